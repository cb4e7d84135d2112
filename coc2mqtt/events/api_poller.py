"""The probe of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.clash.errors import ClashError
from coc2mqtt.events.poller import Polled

if TYPE_CHECKING:
    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.events.api_monitor import ApiMonitor


class ApiPoller:
    """Probes the API by a player that is known to exist, to see a maintenance begin and end."""

    def __init__(self, api: ClashClient, monitor: ApiMonitor, *, probe_tag: str) -> None:
        self._api = api
        self._monitor = monitor
        self._probe_tag = probe_tag

    async def poll(self) -> Polled:
        """Probe once, whatever an earlier answer's ``max-age`` says: only the state of the API is looked at."""
        trouble: ClashError | None = None
        try:
            await self._api.player(self._probe_tag)
        except ClashError as error:
            trouble = error
        events = await self._monitor.observe(trouble, from_probe=True)
        return Polled(events, 0.0, committed=bool(events))
