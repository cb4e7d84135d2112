"""The poller of a clan's war."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.clash.errors import BadAnswerError, BadRequestError, ClashError, NotFoundError, PrivateWarLogError
from coc2mqtt.clash.tags import InvalidTagError
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.poller import LONGEST_BACKOFF, Comparison, PollContext, Polled, Poller
from coc2mqtt.events.resource import Kind, Snapshot
from coc2mqtt.events.shapes import check_war, check_war_log
from coc2mqtt.events.war import next_look, war_id, war_sides
from coc2mqtt.events.war_compare import compare_war, ended_unseen, first_war, war_goes_back
from coc2mqtt.events.war_fsm import WarState
from coc2mqtt.events.war_result import Outcome, find_in_log

if TYPE_CHECKING:
    from coc2mqtt.clash.answer import Answer

Json = dict[str, Any]

# What a source has not got it will not have in a minute either; any other trouble may pass.
_NOT_THERE = (NotFoundError, PrivateWarLogError, BadAnswerError, BadRequestError, InvalidTagError)
# So often a passing trouble may keep the end of a war from being found out; then it stays unknown.
_SEARCHES = 3
_TIMES = ("state", "startTime", "endTime")


class WarPoller(Poller):
    """Polls a clan's current war.

    A private war log is a state of the war, not a failure: its begin and its end are said, and it is looked at seldom.
    That the clan itself is missing is left to the clan's own poller. A war that is replaced before its end was seen
    is looked up at its opponent's, then in the war log.
    """

    kind: ClassVar = Kind.WAR
    endpoint: ClassVar = "currentwar"

    def __init__(self, context: PollContext, tag: str, *, interval: float) -> None:
        super().__init__(context, tag, interval=interval)
        self._searches = 0
        # Of the present war, as far as it says when to look again.
        self._times: Json = {}
        self._settled = True

    async def _fetch(self) -> Answer:
        return await self._context.api.current_war(self._tag)

    def _check(self, data: Json) -> None:
        check_war(data, self._tag)

    def _first_sight(self, data: Json) -> Comparison:
        return self._noted(Comparison([], data, first_war(data)))

    def _goes_back(self, old: Snapshot, data: Json, at: float) -> bool:
        return war_goes_back(old, data, at=at)

    async def _compare(self, old: Snapshot, data: Json, at: float) -> Comparison:
        gone = ended_unseen(old, data)
        outcome = None if gone is None else await self._look_up(gone)
        events, memo, settled = compare_war(old, data, tag=self._tag, at=at, outcome=outcome)
        return self._noted(Comparison(events, data, memo, settled=settled))

    def _noted(self, comparison: Comparison) -> Comparison:
        self._times = {key: comparison.data.get(key) for key in _TIMES}
        self._settled = comparison.settled
        return comparison

    def _wanted(self, at: float) -> float:
        return next_look(self._times, settled=self._settled, at=at)

    async def _look_up(self, war: Json) -> Outcome:
        """Find out how a war ended; raises ClashError where trouble that may pass is in the way."""
        self._searches += 1
        try:
            outcome = await self._at_the_opponent(war) or await self._in_the_log(war) or Outcome()
        except ClashError:
            if self._searches < _SEARCHES:
                raise
            outcome = Outcome()
        self._searches = 0
        return outcome

    async def _at_the_opponent(self, war: Json) -> Outcome | None:
        opponent = str(war_sides(war, self._tag)[1].get("tag"))
        try:
            data = (await self._context.api.current_war(opponent)).data
            check_war(data, opponent)
        except _NOT_THERE:
            return None
        ended = war_id(data) == war_id(war) and data["state"] == WarState.WAR_ENDED.value
        return Outcome(war=data) if ended else None

    async def _in_the_log(self, war: Json) -> Outcome | None:
        try:
            log = (await self._context.api.war_log(self._tag)).data
            check_war_log(log)
        except _NOT_THERE:
            return None
        entry = find_in_log(log, war, self._tag)
        return None if entry is None else Outcome(entry=entry)

    def _back(self, old: Snapshot | None) -> list[Event]:
        public = self._said(EventType.WAR_LOG_PUBLIC, old, {}) if old is not None and old.memo.get("private") else []
        return [*super()._back(old), *public]

    async def _fail(self, error: ClashError, old: Snapshot | None) -> Polled:
        if not isinstance(error, PrivateWarLogError):
            return await super()._fail(error, old)
        self._failures = 0
        memo = {} if old is None else {key: old.memo[key] for key in old.memo.keys() - {"trouble", "unavailable"}}
        polled = Polled([], error.max_age, committed=False)
        if old is None or not memo.get("private") or memo != old.memo:
            said = old is not None and not memo.get("private")
            events = self._said(EventType.WAR_LOG_PRIVATE, old, {}) if said else []
            data = None if old is None else old.data
            snapshot = Snapshot(data, {**memo, "private": True}, self._context.now())
            polled = await self._commit(snapshot, events, error.max_age)
        # Its clan says when it is public again: until then a look now and then will do.
        return polled._replace(backoff=LONGEST_BACKOFF)

    def _said(self, event_type: EventType, old: Snapshot | None, metadata: Json) -> list[Event]:
        if event_type in (EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE):
            return []
        return super()._said(event_type, old, metadata)

    def _name(self, data: Json) -> str | None:
        return war_sides(data, self._tag)[0].get("name")
