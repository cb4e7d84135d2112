"""The state of the API: the monitor that every poll reports to, and the probe."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clash.errors import (
    ClashError,
    DeniedError,
    InvalidResponseError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
)
from coc2mqtt.events.compare.api_state import ApiState, ApiStatus, observe_api
from coc2mqtt.events.polling.clocks import clock_jump
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.resource import API, Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.clash.protocol import ClashApi
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Store

_log = structlog.get_logger()

# A server that goes on refusing when the others do not must not have the probe ask all the time (seconds).
_BETWEEN_SUSPICIONS = 5.0
# One resource that fails says nothing of the others; two, with no usable response in between, may be the API itself.
_SOURCES_TO_DOUBT = 2
# So many failures in a row, even of one resource, have the probe look at once.
_FAILURES_TO_SUSPECT = 2
_HINTS = {
    ApiStatus.UNREACHABLE: (
        "check the network, name resolution, api.base_url and any proxy in between; polling resumes by itself"
    ),
    ApiStatus.DENIED: "check api.tokens and the keys at https://developer.clashofclans.com",
    ApiStatus.MAINTENANCE: "nothing to do: polling resumes by itself",
}
# A failed probe is repeated after so many seconds until it is decided whether the API is unreachable.
_SECOND_PROBE = 5.0
# These say what they mean, whichever endpoint answers.
_CLEAR = (MaintenanceError, DeniedError, NotFoundError)


class ApiMonitor:
    """Takes up the outcome of every request and tells when the API's status changes.

    ``changed`` is called with the new status after it was committed, ``suspected`` whenever the probe should look at
    once. ``now`` gives Unix time, ``uptime`` seconds that no change of the wall clock affects (None: as ``now``). Until
    ``probing`` is set there is no probe, and every response counts as one of its; then the failures that
    make the API unreachable must come from two resources, unless ``resources`` says that only one is polled.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], float],
        uptime: Callable[[], float] | None = None,
        changed: Callable[[ApiStatus], None],
        suspected: Callable[[], None] = lambda: None,
        resources: Callable[[], int] = lambda: 1,
    ) -> None:
        self.probing = False
        self._store = store
        self._now = now
        self._uptime = uptime or now
        # The difference between the two clocks when this run entered the status, None where an earlier one did.
        self._offset: float | None = None
        self._changed = changed
        self._suspected = suspected
        self._resources = resources
        # What has failed since the last usable response, two at most.
        self._failing: set[object] = set()
        self._failures = 0
        self._last_failure: str | None = None
        self._state: ApiState | None = None
        self._suspected_at = -math.inf
        # Polls run concurrently: their outcomes are taken up one after the other, each with its commit.
        self._lock = asyncio.Lock()

    @property
    def status(self) -> ApiStatus | None:
        """The present status, None before the first usable response, unless failures have decided it already."""
        return None if self._state is None else self._state.status

    @property
    def message(self) -> str | None:
        """What is wrong with the API and what to do, None while nothing is."""
        state = self._state
        return self._last_failure if state is None or state.status is None else state.message

    @property
    def in_doubt(self) -> bool:
        """Whether a failure may be the API's own: others fail as well, or there was no usable response yet."""
        return len(self._failing) >= _SOURCES_TO_DOUBT or (self._failures > 0 and self.status is None)

    async def load(self) -> None:
        """Take up the state that was committed last, so that a maintenance that an earlier run saw begin can end."""
        async with self._lock:
            snapshot = await self._store.snapshot(API)
            if snapshot is not None and snapshot.data is not None:
                state = ApiState.from_json(snapshot.data)
                if self._state is not None and self._state.status is state.status:
                    # The wall clock may have been set since that was committed.
                    state = replace(state, since=self._state.since)
                self._state = state
                if state.status is not None:
                    self._changed(state.status)

    async def observe(self, error: ClashError | None, *, from_probe: bool = False, source: object = API) -> list[Event]:
        """Take up one response (None) or failure; returns the events that it caused, which are committed then.

        ``source`` names what was asked for.
        """
        async with self._lock:
            self._note(error, source)
            at = self._now()
            self._state = self._by_the_clock_of(at)
            before = self._state or ApiState(None, at)
            state, events = observe_api(
                before,
                error,
                at=at,
                from_probe=from_probe or not self.probing,
                source=source,
                min_sources=1 if self.probing else min(_SOURCES_TO_DOUBT, self._resources()),
            )
            if self._state is None or state.since != before.since:
                self._offset = at - self._uptime()
            if state is not before and state.status is not None and state.to_json() != before.to_json():
                await self._store.commit(API, Snapshot(state.to_json(), taken_at=at), events)
                self._state = state
                self._log_change(before, state)
                self._changed(state.status)
            self._state = state
        if not from_probe and (state.needs_probe or self._is_suspicious(state)):
            self._suspect(at)
        return events

    def _by_the_clock_of(self, at: float) -> ApiState | None:
        """Return the present state, its time corrected if the wall clock was set since: durations are not affected."""
        state, offset = self._state, at - self._uptime()
        jump = 0.0 if self._offset is None else clock_jump(self._offset, offset)
        if state is None or not jump:
            return state
        self._offset = offset
        reported_at = state.maintenance_reported_at
        reported_at = None if reported_at is None else reported_at + jump
        return replace(state, since=state.since + jump, maintenance_reported_at=reported_at)

    def _note(self, error: ClashError | None, source: object) -> None:
        if isinstance(error, NotFoundError | PrivateWarLogError) or error is None:
            if self._failures:
                self._failures = 0
                self._failing.clear()
            return
        self._failures += 1
        self._last_failure = str(error)
        if len(self._failing) < _SOURCES_TO_DOUBT:
            self._failing.add(source)

    def _is_suspicious(self, state: ApiState) -> bool:
        return self._failures >= _FAILURES_TO_SUSPECT and state.status in (None, ApiStatus.OK)

    def _suspect(self, at: float) -> None:
        if not 0 <= at - self._suspected_at < _BETWEEN_SUSPICIONS:
            self._suspected_at = at
            self._suspected()

    def _log_change(self, before: ApiState, state: ApiState) -> None:
        assert state.status is not None  # noqa: S101 - logged only once it is decided
        if (before.status, before.address) == (state.status, state.address):
            return
        if state.status is not ApiStatus.OK:
            _log.warning("api " + state.status, reason=state.message, hint=_HINTS[state.status])
        elif before.status is not None:
            _log.info("api ok", after=before.status.value, seconds=round(state.since - before.since))


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
