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
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.resource import API, Snapshot
from coc2mqtt.util.clocks import clock_jump

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.clash.client import ClashApi
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Store

_log = structlog.get_logger()

# A server that keeps refusing while others respond must not cause a probe for every poll.
_MIN_PROBE_REQUEST_GAP_S = 5.0
# One failing resource does not show that others fail. If two fail without a usable response in between, the API
# itself may be down.
_SOURCES_OF_OUTAGE = 2
# Failures in a row, even of one resource, after which a probe is requested.
_FAILURES_UNTIL_PROBE = 2
# The pause before a failed probe is repeated, until it is decided whether the API is unreachable.
_PROBE_RETRY_S = 5.0
# The meaning of these errors does not depend on the endpoint.
_CONCLUSIVE_ERRORS = (MaintenanceError, DeniedError, NotFoundError)
_HINTS = {
    ApiStatus.UNREACHABLE: (
        "check the network, name resolution, api.base_url and any proxy in between; polling resumes by itself"
    ),
    ApiStatus.DENIED: "check api.tokens and the keys at https://developer.clashofclans.com",
    ApiStatus.MAINTENANCE: "nothing to do: polling resumes by itself",
}


class ApiMonitor:
    """Tracks the status of the API from the outcome of every request, and commits its changes.

    ``on_change`` is called with the new status after it was committed, ``on_suspicion`` whenever the probe should be
    made immediately. ``now`` returns Unix time, ``uptime`` seconds that do not depend on the wall clock (None: use
    ``now``). Until ``probing`` is set, every response counts as one of the probe. The failures that make
    the API unreachable must then come from two resources, unless ``resource_count`` returns 1.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], float],
        uptime: Callable[[], float] | None = None,
        on_change: Callable[[ApiStatus], None],
        on_suspicion: Callable[[], object] = lambda: None,
        resource_count: Callable[[], int] = lambda: 1,
    ) -> None:
        self.probing = False
        # The uptime at which a maintenance was last seen to end.
        self.maintenance_ended_at = -math.inf
        self._store = store
        self._now = now
        self._uptime = uptime or now
        # The difference between the clocks when this run entered the status, None if an earlier run did.
        self._clock_offset: float | None = None
        self._on_change = on_change
        self._on_suspicion = on_suspicion
        self._resource_count = resource_count
        # The sources that have failed since the last usable response, at most _SOURCES_OF_OUTAGE.
        self._failed_sources: set[object] = set()
        self._failures = 0
        self._last_failure: str | None = None
        self._state: ApiState | None = None
        self._probe_requested_at = -math.inf
        # Polls run concurrently: their outcomes are processed one by one, each with its commit.
        self._lock = asyncio.Lock()

    @property
    def status(self) -> ApiStatus | None:
        """The present status, None until a usable response or enough failures have decided it."""
        return None if self._state is None else self._state.status

    @property
    def message(self) -> str | None:
        """The problem with the API and its remedy, None without a problem."""
        state = self._state
        return self._last_failure if state is None or state.status is None else state.message

    @property
    def may_be_down(self) -> bool:
        """Whether a failure may be the API's: other resources fail too, or no response has been usable yet."""
        return len(self._failed_sources) >= _SOURCES_OF_OUTAGE or (self._failures > 0 and self.status is None)

    async def load(self) -> None:
        """Load the last committed state, so that a maintenance that started in an earlier run can end."""
        async with self._lock:
            snapshot = await self._store.snapshot(API)
            if snapshot is not None and snapshot.data is not None:
                state = ApiState.from_json(snapshot.data)
                if self._state is not None and self._state.status is state.status:
                    # The wall clock may have been set since the commit.
                    state = replace(state, since=self._state.since)
                self._state = state
                if state.status is not None:
                    self._on_change(state.status)

    async def observe(self, error: ClashError | None, *, from_probe: bool = False, source: object = API) -> list[Event]:
        """Process one response (None) or failure; return the events it caused, which are already committed.

        ``source`` identifies the requested resource.
        """
        async with self._lock:
            self._count_failure(error, source)
            at = self._now()
            self._state = self._adjusted_to_clock(at)
            before = self._state or ApiState(None, at)
            state, events = observe_api(
                before,
                error,
                at=at,
                from_probe=from_probe or not self.probing,
                source=source,
                min_sources=1 if self.probing else min(_SOURCES_OF_OUTAGE, self._resource_count()),
            )
            if self._state is None or state.since != before.since:
                self._clock_offset = at - self._uptime()
            if state is not before and state.status is not None and state.to_json() != before.to_json():
                await self._store.commit(API, Snapshot(state.to_json(), taken_at=at), events)
                self._state = state
                if before.status is ApiStatus.MAINTENANCE and state.status is not ApiStatus.MAINTENANCE:
                    self.maintenance_ended_at = self._uptime()
                self._log_change(before, state)
                self._on_change(state.status)
            self._state = state
        if not from_probe:
            self._request_probe_if_suspicious(state, at)
        return events

    def _adjusted_to_clock(self, at: float) -> ApiState | None:
        """Return the state with its times shifted if the wall clock was set since, so that durations stay correct."""
        state, offset = self._state, at - self._uptime()
        jump = 0.0 if self._clock_offset is None else clock_jump(self._clock_offset, offset)
        if state is None or not jump:
            return state
        self._clock_offset = offset
        reported_at = state.maintenance_reported_at
        reported_at = None if reported_at is None else reported_at + jump
        return replace(state, since=state.since + jump, maintenance_reported_at=reported_at)

    def _count_failure(self, error: ClashError | None, source: object) -> None:
        if isinstance(error, NotFoundError | PrivateWarLogError) or error is None:
            if self._failures:
                self._failures = 0
                self._failed_sources.clear()
            return
        self._failures += 1
        self._last_failure = str(error)
        if len(self._failed_sources) < _SOURCES_OF_OUTAGE:
            self._failed_sources.add(source)

    def _request_probe_if_suspicious(self, state: ApiState, at: float) -> None:
        failing = self._failures >= _FAILURES_UNTIL_PROBE and state.status in (None, ApiStatus.OK)
        if not (state.needs_probe or failing):
            return
        if not 0 <= at - self._probe_requested_at < _MIN_PROBE_REQUEST_GAP_S:
            self._probe_requested_at = at
            self._on_suspicion()

    def _log_change(self, before: ApiState, state: ApiState) -> None:
        assert state.status is not None  # noqa: S101 - only decided states are logged
        if (before.status, before.address) == (state.status, state.address):
            return
        if state.status is not ApiStatus.OK:
            _log.warning("API unavailable", status=state.status.value, reason=state.message, hint=_HINTS[state.status])
        elif before.status is not None:
            _log.info("API available again", after=before.status.value, seconds=round(state.since - before.since))


class ApiProbe:
    """Polls a player that is known to exist, to detect when outages and maintenances start and end.

    After a failed probe ``check_other_endpoint`` is called; it returns None if there is no other endpoint. If that
    endpoint responds, only the probe's own endpoint is failing.
    """

    def __init__(
        self,
        api: ClashApi,
        monitor: ApiMonitor,
        *,
        probe_tag: str,
        check_other_endpoint: Callable[[], Awaitable[None] | None] = lambda: None,
    ) -> None:
        self._api = api
        self._monitor = monitor
        self._probe_tag = probe_tag
        self._check_other_endpoint = check_other_endpoint

    async def poll(self) -> PollResult:
        """Probe once. The next probe is made after the response's cache entry has expired."""
        failure, earliest, latest = None, 0.0, math.inf
        try:
            response = await self._api.player(self._probe_tag)
            self._validate(response)
            earliest = response.max_age
        except ClashError as error:
            failure = error
        if failure is not None and await self._other_endpoint_responds(failure):
            events = await self._monitor.observe(None)
        else:
            events = await self._monitor.observe(failure, from_probe=True)
            if failure is not None and self._monitor.status in (None, ApiStatus.OK):
                latest = _PROBE_RETRY_S
        kind = None if failure is None else failure.kind
        return PollResult(events, earliest, committed=bool(events), latest=latest, error=kind)

    def _validate(self, response: ApiResponse) -> None:
        # A captive portal may send JSON too. A complete validation is left to the player's poller.
        if not response.data.keys() & {"tag", "name"}:
            raise InvalidResponseError(
                f"the response to the probe is not player {self._probe_tag}: a server other than the Clash of Clans "
                "API responded, check api.base_url and any proxy in between",
                status=response.status,
            )

    async def _other_endpoint_responds(self, failure: ClashError) -> bool:
        if isinstance(failure, _CONCLUSIVE_ERRORS) or self._monitor.status is ApiStatus.MAINTENANCE:
            return False
        try:
            request = self._check_other_endpoint()
            if request is None:
                return False
            await request
        except (NotFoundError, PrivateWarLogError):
            return True
        except ClashError:
            return False
        return True
