"""The poller of a clan's war."""

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
from coc2mqtt.events.compare.result import CompareResult
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
from coc2mqtt.events.polling.poller import LONGEST_BACKOFF, Poller
from coc2mqtt.events.resource import Kind, Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.compare.validate import MalformedField

Json = dict[str, Any]

# What a source has not got it will not have in a minute either; any other trouble may pass.
_NOT_THERE = (NotFoundError, PrivateWarLogError, InvalidResponseError, BadRequestError, InvalidTagError)
# So often passing trouble may keep the end of a war from being found out; then it stays unknown.
_SEARCHES = 3
_TIMES = ("state", "startTime", "endTime")
# A war log that has just become private may be public again soon: for so long (seconds) it is polled as before.
_JUST_PRIVATE = 300.0


class WarPoller(Poller):
    """Polls a clan's current war.

    A private war log is a state of the war, not a failure: its begin and its end are said, and it is looked at seldom.
    That the clan itself is missing is left to the clan's own poller, unless the war is watched ``alone``. A war that is
    replaced before its end was seen is looked up at its opponent's, then in the war log.
    """

    kind: ClassVar = Kind.WAR
    endpoint: ClassVar = "currentwar"
    # What a war shows hides nothing of its age, and what seems old is never urgent: every cache has run out by then.
    patience: ClassVar = 130.0
    # A war goes on from state to state, and what was told of it is remembered.
    reverts: ClassVar = False
    __slots__ = ("_alone", "_private_since", "_searches", "_settled", "_times")

    def __init__(self, context: PollContext, tag: str, *, interval: float, alone: bool = False) -> None:
        super().__init__(context, tag, interval=interval)
        self._alone = alone
        self._searches = 0
        # Of the present war, as far as it says when to look again.
        self._times: Json = {}
        self._settled = True
        # When (seconds of uptime) the war log was first refused, None since it was last public.
        self._private_since: float | None = None

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.current_war(self._tag)

    def _check(self, data: Json) -> list[MalformedField]:
        return validate_war(data, self._tag)

    def _first_sight(self, data: Json, look: Observation) -> CompareResult:  # noqa: ARG002 - there is nothing to compare with
        return self._noted(CompareResult([], data, initial_war_memo(data)))

    def _goes_back(self, old: Snapshot, data: Json, look: Observation) -> bool:
        data = restore_missing_war_fields(old.data or {}, data, self._tag)
        return war_looks_stale(old, data, tag=self._tag, at=look.at)

    async def _compare(self, old: Snapshot, data: Json, look: Observation) -> CompareResult | None:
        data = restore_missing_war_fields(old.data or {}, data, self._tag)
        gone, outcome = war_ended_unobserved(old, data, tag=self._tag), None
        if gone is not None:
            first = look if self._doubt is None else self._doubt.first
            # By the clock of now: the first look may have been made by one that was wrong.
            cancelled = war_may_be_cancelled(old, data, at=look.at - (look.uptime - first.uptime))
            outcome = await self._look_up(gone, replaced=war_id(data) is not None, cancelled=cancelled)
            if outcome is None:
                return None
        jump = self._clock_jump(look)
        return self._noted(compare_war(old, data, tag=self._tag, at=look.at, outcome=outcome, clock_jump=jump))

    def _is_copy(self, digest: bytes) -> bool:  # noqa: ARG002 - that there is no war always looks the same
        return False

    def _claim(self, data: Json) -> object:
        return war_id(data), data.get("state")

    def _noted(self, comparison: CompareResult) -> CompareResult:
        self._times = {key: comparison.data.get(key) for key in _TIMES}
        self._settled = comparison.final
        return comparison

    def _wanted(self, at: float) -> float:
        return next_war_poll(self._times, final=self._settled, at=at)

    async def _look_up(self, war: Json, *, replaced: bool, cancelled: bool) -> WarOutcome | None:
        """Find out how a war ended; None where it has not, or where trouble that may pass is in the way."""
        try:
            theirs = await self._of_opponent(war)
            if theirs is not None and theirs["state"] == WarState.WAR_ENDED.value:
                return self._found(WarOutcome(war=theirs))
            if theirs is not None and not replaced:
                return None  # it goes on, whatever the clan's own endpoint says
            if cancelled:
                return self._found(WarOutcome(cancelled=True))
            return self._found(await self._in_the_log(war))
        except ClashError:
            self._searches += 1
            return None if self._searches < _SEARCHES else self._found(WarOutcome(cancelled=cancelled))

    def _found(self, outcome: WarOutcome) -> WarOutcome:
        self._searches = 0
        return outcome

    async def _of_opponent(self, war: Json) -> Json | None:
        """Return what the opponent's endpoint says of a war, None where it says nothing of it."""
        opponent = war_sides(war, self._tag)[1].get("tag")
        if opponent is None:
            return None
        asked = self._context.api.current_war(opponent)
        theirs = await _evidence(asked, lambda data: validate_war(data, opponent))
        return theirs if theirs is not None and war_id(theirs) == war_id(war) else None

    async def _in_the_log(self, war: Json) -> WarOutcome:
        log = await _evidence(self._context.api.war_log(self._tag), validate_war_log)
        return WarOutcome() if log is None else WarOutcome(log_entry=find_war_log_entry(log, war, self._tag))

    def _back(self, old: Snapshot | None) -> list[Event]:
        self._private_since = None
        public = self._said(EventType.WAR_LOG_PUBLIC, old, {}) if old is not None and old.memo.get("private") else []
        return [*super()._back(old), *public]

    async def _fail(self, error: ClashError, old: Snapshot | None) -> PollResult:
        if not isinstance(error, PrivateWarLogError):
            return await super()._fail(error, old)
        self._failures = 0
        memo = {} if old is None else {key: old.memo[key] for key in old.memo.keys() - {"trouble", "unavailable"}}
        now = self._context.uptime()
        if self._private_since is None:
            # One that is private at first sight, or was in an earlier run, has probably been so for long.
            news = old is not None and old.data is not None and not memo.get("private")
            self._private_since = now if news else -math.inf
        just_private = now - self._private_since < _JUST_PRIVATE
        polled = PollResult([], 0.0, committed=False)
        if old is None or not memo.get("private") or memo != old.memo:
            data, taken_at = (None, self._context.now()) if old is None else (old.data, old.taken_at)
            # Where nothing was ever seen it is the first sight.
            events = [] if data is None or memo.get("private") else self._said(EventType.WAR_LOG_PRIVATE, old, {})
            snapshot = Snapshot(data, {**memo, "private": True}, taken_at)
            polled = await self._commit(snapshot, events, 0.0)
        # Its clan says when it is public again, unless it was so for a moment only: then a look now and then will do.
        return polled if just_private else polled._replace(backoff=LONGEST_BACKOFF)

    def _said(self, event_type: EventType, old: Snapshot | None, metadata: Json) -> list[Event]:
        if not self._alone and event_type in (EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE):
            return []
        return super()._said(event_type, old, metadata)

    def _name(self, data: Json) -> str | None:
        return war_sides(data, self._tag)[0].get("name")


async def _evidence(asked: Awaitable[ApiResponse], check: Callable[[Json], object]) -> Json | None:
    """Return what another endpoint says, None where it has nothing; raises ClashError for trouble that may pass."""
    try:
        data = (await asked).data
        validate_depth(data)
        check(data)
    except TruncatedResponseError:
        raise
    except _NOT_THERE:
        return None
    return data
