"""The probe of the API."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coc2mqtt.clash.errors import (
    ClashError,
    DeniedError,
    InvalidResponseError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
)
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.poll_context import PollResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.clash.protocol import ClashApi
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.polling.api_monitor import ApiMonitor

# A failed probe is repeated after so many seconds until it is decided whether the API is unreachable.
_SECOND_PROBE = 5.0
# These say what they mean, whichever endpoint answers.
_CLEAR = (MaintenanceError, DeniedError, NotFoundError)


class ApiPoller:
    """Probes the API by a player that is known to exist, to see outages and maintenances start and end.

    A probe that fails asks ``another`` endpoint, None without one: if that one answers, only the probe's own endpoint
    is in trouble.
    """

    def __init__(
        self,
        api: ClashApi,
        monitor: ApiMonitor,
        *,
        probe_tag: str,
        another: Callable[[], Awaitable[None] | None] = lambda: None,
    ) -> None:
        self._api = api
        self._monitor = monitor
        self._probe_tag = probe_tag
        self._another = another

    async def poll(self) -> PollResult:
        """Probe once. Until a good response's cache has run out another probe would learn nothing new."""
        trouble, not_before, wanted = None, 0.0, math.inf
        try:
            answer = await self._api.player(self._probe_tag)
            self._check(answer)
            not_before = answer.max_age
        except ClashError as error:
            trouble = error
        if trouble is not None and await self._another_answers(trouble):
            events = await self._monitor.observe(None)
        else:
            events = await self._monitor.observe(trouble, from_probe=True)
            if trouble is not None and self._monitor.status in (None, ApiStatus.OK):
                wanted = _SECOND_PROBE
        kind = None if trouble is None else trouble.kind
        return PollResult(events, not_before, committed=bool(events), wanted=wanted, error=kind)

    def _check(self, answer: ApiResponse) -> None:
        # A captive portal may answer in JSON. What a player must have is for those who compare players to know.
        if not answer.data.keys() & {"tag", "name"}:
            raise InvalidResponseError(
                f"the response to the probe is not player {self._probe_tag}: something else than the Clash of Clans "
                "API answers, check api.base_url and any proxy in between",
                status=answer.status,
            )

    async def _another_answers(self, trouble: ClashError) -> bool:
        if isinstance(trouble, _CLEAR) or self._monitor.status is ApiStatus.MAINTENANCE:
            return False
        try:
            asked = self._another()
            if asked is None:
                return False
            await asked
        except (NotFoundError, PrivateWarLogError):
            return True
        except ClashError:
            return False
        return True
