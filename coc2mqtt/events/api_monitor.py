"""The state of the API, fed by every poll and remembered over restarts."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.api_state import ApiState, ApiStatus, first_api_state, observe_api
from coc2mqtt.events.clocks import clock_jump
from coc2mqtt.events.event import Event
from coc2mqtt.events.resource import API, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.clash.errors import ClashError
    from coc2mqtt.events.store import Store

_log = structlog.get_logger()

# A server that goes on refusing when the others do not must not have the probe ask all the time (seconds).
_BETWEEN_SUSPICIONS = 5.0


class ApiMonitor:
    """Takes up the outcome of every request and tells when the API's status changes.

    ``changed`` is called with the new status after it was committed, ``suspected`` whenever the probe should look at
    once. ``now`` gives Unix time, ``uptime`` seconds that no change of the wall clock affects (None: as ``now``). Until
    ``probing`` is set there is no probe, and every answer counts as one of its.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], float],
        uptime: Callable[[], float] | None = None,
        changed: Callable[[ApiStatus], None],
        suspected: Callable[[], None] = lambda: None,
    ) -> None:
        self.probing = False
        self._store = store
        self._now = now
        self._uptime = uptime or now
        # The difference between the two clocks when this run entered the status, None where an earlier one did.
        self._offset: float | None = None
        self._changed = changed
        self._suspected = suspected
        self._state: ApiState | None = None
        self._suspected_at = -math.inf
        # Polls run concurrently: their outcomes are taken up one after the other, each with its commit.
        self._lock = asyncio.Lock()

    @property
    def status(self) -> ApiStatus | None:
        """The present status, None before anything was asked."""
        return None if self._state is None else self._state.status

    async def load(self) -> None:
        """Take up the state of an earlier run, so that a maintenance that it saw begin can end."""
        snapshot = await self._store.snapshot(API)
        if snapshot is not None and snapshot.data is not None:
            self._state = ApiState.from_json(snapshot.data)
            self._changed(self._state.status)

    async def observe(self, error: ClashError | None, *, from_probe: bool = False) -> list[Event]:
        """Take up one answer (None) or failure; returns the events that it caused, which are committed then."""
        async with self._lock:
            at = self._now()
            before = self._state = self._by_the_clock_of(at)
            if before is None:
                state, events = first_api_state(error, at=at), list[Event]()
            else:
                state, events = observe_api(before, error, at=at, from_probe=from_probe or not self.probing)
            if before is None or state.since != before.since:
                self._offset = at - self._uptime()
            if before is None or (state is not before and state.to_json() != before.to_json()):
                await self._store.commit(API, Snapshot(state.to_json(), taken_at=at), events)
                self._state = state
                self._say(before)
                self._changed(state.status)
            self._state = state
        if state.suspicious and not from_probe and not 0 <= at - self._suspected_at < _BETWEEN_SUSPICIONS:
            self._suspected_at = at
            self._suspected()
        return events

    def _by_the_clock_of(self, at: float) -> ApiState | None:
        """Return the present state, its time corrected if the wall clock was set since: durations are not affected."""
        state, offset = self._state, at - self._uptime()
        jump = 0.0 if self._offset is None else clock_jump(self._offset, offset)
        if state is None or not jump:
            return state
        self._offset = offset
        first_word = None if state.first_word is None else state.first_word + jump
        return replace(state, since=state.since + jump, first_word=first_word)

    def _say(self, before: ApiState | None) -> None:
        assert self._state is not None  # noqa: S101 - said after it was set
        if before is not None and (before.status, before.address) == (self._state.status, self._state.address):
            return
        if self._state.status is not ApiStatus.OK:
            _log.warning("api " + self._state.status, reason=self._state.message)
        elif before is not None:
            _log.info("api ok", after=before.status.value, seconds=round(self._state.since - before.since))
