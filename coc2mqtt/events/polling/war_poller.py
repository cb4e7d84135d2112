"""The poller of a clan's current war."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.clash.errors import (
    BadRequestError,
    ClashError,
    InvalidResponseError,
    NotFoundError,
    PrivateWarLogError,
    TruncatedResponseError,
)
from coc2mqtt.clash.tags import InvalidTagError
from coc2mqtt.events.compare.diff import CompareResult
from coc2mqtt.events.compare.validate import validate_depth, validate_war, validate_war_log
from coc2mqtt.events.compare.war import WarState, next_war_poll, restore_missing_war_fields, war_id, war_sides
from coc2mqtt.events.compare.war_diff import (
    compare_war,
    initial_war_memo,
    war_ended_unobserved,
    war_looks_stale,
    war_may_be_cancelled,
)
from coc2mqtt.events.compare.war_result import WarOutcome, find_war_log_entry
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.polling.poll_context import PollContext, PollResult
from coc2mqtt.events.polling.poller import MAX_BACKOFF_S, Poller
from coc2mqtt.events.resource import Kind, Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.compare.validate import MalformedField

Json = dict[str, Any]

# Errors that will not be gone in a minute; any other error may be.
_PERMANENT_ERRORS = (NotFoundError, PrivateWarLogError, InvalidResponseError, BadRequestError, InvalidTagError)
# After this many lookups that failed with a temporary error the outcome of a war stays unknown.
_MAX_FAILED_LOOKUPS = 3
_TIME_FIELDS = ("state", "startTime", "endTime")
# A war log that has just become private may soon be public again: for this long it is polled as before.
_RECENTLY_PRIVATE_S = 300.0


class WarPoller(Poller):
    """Polls a clan's current war.

    A private war log is not a failure: an event reports when it becomes private or public, and it is polled rarely. A
    missing clan is reported by the clan's own poller, unless the war is watched ``standalone``. If a war is replaced
    before its end was seen, its outcome is looked up in the opponent's war, then in the war log.
    """

    kind: ClassVar = Kind.WAR
    endpoint: ClassVar = "currentwar"
    # Only the content decides whether a war looks stale. Longer than any cache entry lives (120 s).
    recheck_delay_s: ClassVar = 130.0
    # "Not in a war" always has the same bytes, and a war's history is kept, so nothing is reported twice.
    suspects_repetition: ClassVar = False
    __slots__ = ("_failed_lookups", "_private_since", "_result_final", "_standalone", "_war_times")

    def __init__(self, context: PollContext, tag: str, *, interval: float, standalone: bool = False) -> None:
        super().__init__(context, tag, interval=interval)
        self._standalone = standalone
        self._failed_lookups = 0
        # The fields of the present war that decide when to poll it.
        self._war_times: Json = {}
        self._result_final = True
        # The uptime (seconds) since which the war log is private, None while it is public.
        self._private_since: float | None = None

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.current_war(self._tag)

    def _validate(self, data: Json) -> list[MalformedField]:
        return validate_war(data, self._tag)

    def _baseline(self, data: Json, seen: Observation) -> CompareResult:  # noqa: ARG002 - a war needs no more
        return self._remember_times(CompareResult([], data, initial_war_memo(data)))

    def _looks_stale(self, old: Snapshot, data: Json, seen: Observation) -> bool:
        data = restore_missing_war_fields(old.data or {}, data, self._tag)
        return war_looks_stale(old, data, tag=self._tag, at=seen.at)

    async def _compare(self, old: Snapshot, data: Json, seen: Observation) -> CompareResult | None:
        data = restore_missing_war_fields(old.data or {}, data, self._tag)
        ended, outcome = war_ended_unobserved(old, data, tag=self._tag), None
        if ended is not None:
            first = seen if self._suspicion is None else self._suspicion.first
            # In terms of the present wall clock, because the first response may have been timed by a wrong one.
            cancelled = war_may_be_cancelled(old, data, at=seen.at - (seen.uptime - first.uptime))
            outcome = await self._look_up_outcome(ended, replaced=war_id(data) is not None, cancelled=cancelled)
            if outcome is None:
                return None
        return self._remember_times(
            compare_war(old, data, tag=self._tag, at=seen.at, outcome=outcome, clock_jump=self._clock_jump(seen))
        )

    def _claim(self, data: Json) -> object:
        return war_id(data), data.get("state")

    def _remember_times(self, comparison: CompareResult) -> CompareResult:
        self._war_times = {key: comparison.data.get(key) for key in _TIME_FIELDS}
        self._result_final = comparison.final
        return comparison

    def _latest_next_poll(self, at: float) -> float:
        return next_war_poll(self._war_times, final=self._result_final, at=at)

    async def _look_up_outcome(self, war: Json, *, replaced: bool, cancelled: bool) -> WarOutcome | None:
        """Find out how a war ended; None if it has not ended, or if a temporary error prevents the lookup."""
        try:
            outcome = await self._fetch_outcome(war, replaced=replaced, cancelled=cancelled)
        except ClashError:
            self._failed_lookups += 1
            if self._failed_lookups < _MAX_FAILED_LOOKUPS:
                return None
            outcome = WarOutcome(cancelled=cancelled)
        if outcome is not None:
            self._failed_lookups = 0
        return outcome

    async def _fetch_outcome(self, war: Json, *, replaced: bool, cancelled: bool) -> WarOutcome | None:
        theirs = await self._fetch_opponents_war(war)
        if theirs is not None and theirs["state"] == WarState.WAR_ENDED.value:
            return WarOutcome(war=theirs)
        if theirs is not None and not replaced:
            return None  # the war continues, although the clan's own endpoint no longer shows it
        if cancelled:
            return WarOutcome(cancelled=True)
        log = await _fetch_valid(self._context.api.war_log(self._tag), validate_war_log)
        return WarOutcome() if log is None else WarOutcome(log_entry=find_war_log_entry(log, war, self._tag))

    async def _fetch_opponents_war(self, war: Json) -> Json | None:
        """Return a war as the opponent's endpoint shows it, None if it does not show this war."""
        opponent = war_sides(war, self._tag)[1].get("tag")
        if opponent is None:
            return None
        request = self._context.api.current_war(opponent)
        theirs = await _fetch_valid(request, lambda data: validate_war(data, opponent))
        return theirs if theirs is not None and war_id(theirs) == war_id(war) else None

    def _recovery_events(self, old: Snapshot | None) -> list[Event]:
        self._private_since = None
        events = super()._recovery_events(old)
        if old is not None and old.memo.get("private"):
            events += self._watch_events(EventType.WAR_LOG_PUBLIC, {})
        return events

    async def _handle_failure(self, error: ClashError, old: Snapshot | None) -> PollResult:
        if not isinstance(error, PrivateWarLogError):
            return await super()._handle_failure(error, old)
        self._failures = 0
        memo = {} if old is None else {key: old.memo[key] for key in old.memo.keys() - {"trouble", "unavailable"}}
        now = self._context.uptime()
        if self._private_since is None:
            # A log that is private at the first poll, or was private in an earlier run, has probably long been so.
            changed = old is not None and old.data is not None and not memo.get("private")
            self._private_since = now if changed else -math.inf
        recently_private = now - self._private_since < _RECENTLY_PRIVATE_S
        result = PollResult([], 0.0, committed=False)
        if old is None or not memo.get("private") or memo != old.memo:
            data, taken_at = (None, self._context.now()) if old is None else (old.data, old.taken_at)
            # Without data this is the baseline.
            silent = data is None or memo.get("private")
            events = [] if silent else self._watch_events(EventType.WAR_LOG_PRIVATE, {})
            snapshot = Snapshot(data, {**memo, "private": True}, taken_at)
            result = await self._commit(snapshot, events, 0.0)
        # The clan's own poll shows when the log is public again. If it missed a short private time, a rare poll of the
        # war is sufficient.
        return result if recently_private else result._replace(backoff=MAX_BACKOFF_S)

    def _watch_events(self, event_type: EventType, metadata: Json) -> list[Event]:
        if not self._standalone and event_type in (EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE):
            return []
        return super()._watch_events(event_type, metadata)


async def _fetch_valid(request: Awaitable[ApiResponse], validate: Callable[[Json], object]) -> Json | None:
    """Return the data of a response, None after a permanent error; raises ClashError for a temporary one."""
    try:
        data = (await request).data
        validate_depth(data)
        validate(data)
    except TruncatedResponseError:
        raise
    except _PERMANENT_ERRORS:
        return None
    return data
