"""The probe of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.clash.errors import ClashError
from coc2mqtt.events.poller import Polled

if TYPE_CHECKING:
    from coc2mqtt.clash.protocol import ClashApi
    from coc2mqtt.events.api_monitor import ApiMonitor


class ApiPoller:
    """Probes the API by a player that is known to exist, to see a maintenance begin and end."""

    def __init__(self, api: ClashApi, monitor: ApiMonitor, *, probe_tag: str) -> None:
        self._api = api
        self._monitor = monitor
        self._probe_tag = probe_tag

    async def poll(self) -> Polled:
        """Probe once. Until a good answer's cache has run out another one would say nothing; a refusal says it anew."""
        trouble, not_before = None, 0.0
        try:
            not_before = (await self._api.player(self._probe_tag)).max_age
        except ClashError as error:
            trouble = error
        events = await self._monitor.observe(trouble, from_probe=True)
        return Polled(events, not_before, committed=bool(events), error=None if trouble is None else trouble.kind)
