"""The poller of clans."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import structlog

from coc2mqtt.events.compare.activity import MEMO_KEY as ACTIVITY_KEY
from coc2mqtt.events.compare.activity import Activity, Elapsed, next_check, report_inactive, update_activity
from coc2mqtt.events.compare.clan import (
    Roster,
    clan_looks_stale,
    compare_clan,
    is_permanent_clan_field,
    restore_missing_members,
)
from coc2mqtt.events.compare.cwl_state import league_result
from coc2mqtt.events.compare.diff import CompareResult
from coc2mqtt.events.compare.missing_fields import restore_missing_fields
from coc2mqtt.events.compare.season import season_ended_between, tags_with_decreased_donations
from coc2mqtt.events.compare.staleness import Observation, StaleSuspicion
from coc2mqtt.events.compare.validate import validate_clan
from coc2mqtt.events.event import EventType
from coc2mqtt.events.polling.moves import MEMO_KEY as MOVES_KEY
from coc2mqtt.events.polling.moves import Clan, RecentMoves, find_other_clan, moved_event
from coc2mqtt.events.polling.poller import LONG_GAP_S, Poller, mark_catch_up
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.poll_context import PollContext, PollResult
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

_log = structlog.get_logger()

# A season takes four weeks: another reset within a week is a late part of the same one.
_MIN_SEASON_S = 7 * 86_400.0
# A member list that is too short from the first poll on is accepted if this many cache entries agree.
_SHORT_LIST_CONFIRMATIONS = 3
# Shared and never modified: there are tens of thousands of pollers, and hardly any has missing members.
_NONE_MISSING: dict[str, StaleSuspicion] = {}
_MEMBER_LIST = frozenset({"memberList"})


# After a start, nobody is reported as inactive for this long.
_SETTLING_S = 600.0
# After a start, moves wait this many rounds for the other clans, which may have seen the same members.
_ROUNDS = 2
_NO_MOVES = RecentMoves()
_NOBODY: dict[str, float] = {}


class _Followed(NamedTuple):
    """Events about members, and what to remember of them."""

    events: list[Event]
    memo: Json


class _ShortList(NamedTuple):
    """A member list that is too short: its last confirmation, and the number of cache entries with it."""

    suspicion: StaleSuspicion
    confirmations: int = 1


class ClanPoller(Poller):
    """Polls a clan; events about its members are made if ``track_members`` is set.

    With ``track_activity`` the snapshot's memo contains the donations of the day and the week and when each member was
    last seen, and events report those who are inactive for ``inactive_after`` seconds (None: never) and those who moved
    to or from another clan.
    """

    kind: ClassVar = Kind.CLAN
    endpoint: ClassVar = "clan"
    __slots__ = (
        "_applied_members",
        "_check_at",
        "_first_polled",
        "_inactive_after",
        "_missing_members",
        "_recent_moves",
        "_seen_members",
        "_short_list",
        "_track_activity",
        "_track_members",
    )

    def __init__(
        self,
        context: PollContext,
        tag: str,
        *,
        interval: float,
        track_members: bool = True,
        track_activity: bool = False,
        inactive_after: float | None = None,
    ) -> None:
        super().__init__(context, tag, interval=interval)
        self._track_members = track_members
        self._track_activity = track_activity and track_members
        self._inactive_after = inactive_after
        # When even an unchanged response has to be compared (Unix time).
        self._check_at = math.inf
        # The uptime of the first poll of this run.
        self._first_polled: float | None = None
        # When members were seen elsewhere since the last commit, and those that the last comparison has included.
        self._seen_members = self._applied_members = _NOBODY
        self._recent_moves = _NO_MOVES
        # While no complete member list is known: the list that is always shorter than the member count.
        self._short_list: _ShortList | None = None
        # The known members that are missing from the last list.
        self._missing_members = _NONE_MISSING
        if self._track_activity:
            context.moves.expect(tag)

    def see_members(self, tags: Iterable[str], at: float) -> None:
        """Record when members were seen to do something, such as an attack in a war."""
        if self._track_activity:
            self._seen_members = self._seen_members | dict.fromkeys(tags, at)

    async def poll(self) -> PollResult:
        """Poll once. Errors of the store are raised; errors of the API are handled."""
        if self._seen_members or self._context.now() >= self._check_at or self._knows_a_move():
            self._last_digest = None
        return await super().poll()

    def retire(self) -> None:
        """Commit nothing from now on, not even the result of a poll in progress."""
        super().retire()
        self._context.moves.forget(self._tag)

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.clan(self._tag)

    def _validate(self, data: Json) -> list[MalformedField]:
        return validate_clan(data, self._tag)

    def _baseline(self, data: Json, seen: Observation) -> CompareResult:
        roster = self._roster(None, data, seen)
        memo: Json = {}
        if self._track_activity and "memberList" in roster.clan:
            memo = self._follow_activity(None, None, roster.clan, seen, Elapsed(seen.at, seen.at)).memo
        return CompareResult([], roster.clan, memo, final=roster.is_complete)

    def _looks_stale(self, old: Snapshot, data: Json, seen: Observation) -> bool:
        return clan_looks_stale(old.data or {}, data, malformed=seen.malformed)

    def _decreased_donations(self, old: Json, new: Json) -> list[str]:
        return tags_with_decreased_donations(old.get("memberList") or [], new.get("memberList") or [])

    async def _compare(self, old: Snapshot, data: Json, seen: Observation) -> CompareResult:
        restored = restore_missing_fields(
            old, data, is_permanent=is_permanent_clan_field, malformed=seen.malformed - _MEMBER_LIST
        )
        known = restored.old.get("memberList") is not None
        roster = self._roster(restored.old, restored.new, seen)
        self._remember_missing_members(roster, seen)
        reset_at = old.memo.get("season_reset_at")
        if reset_at is not None:
            reset_at += self._clock_jump(seen)
        events = compare_clan(
            restored.old,
            roster.clan,
            at=seen.at,
            members=self._track_members,
            season_ended=self._season_ended(old, reset_at, seen),
        )
        if any(event.event_type is EventType.CLAN_WAR_LEAGUE_CHANGED for event in events):
            events = await self._add_league_result(events)
        if any(event.event_type is EventType.SEASON_RESET for event in events):
            reset_at = seen.at
        memo = {**restored.memo, "season_reset_at": reset_at} if reset_at else restored.memo
        since = old.memo.get("unlisted_since")
        if since is not None:
            since += self._clock_jump(seen)
        if known and not data.get("memberList"):
            memo = {**memo, "unlisted_since": since or self._polled_at or old.taken_at}
        elif since is not None and seen.at - since > self._interval + LONG_GAP_S:
            events = [_mark_member_catch_up(event, round(seen.at - since, 3)) for event in events]
        final = roster.is_complete or (known and not roster.missing)
        if self._track_activity and "memberList" in roster.clan:
            followed = await self._follow_members(old, restored.old, roster.clan, seen, events)
            events, memo = [*events, *followed.events], {**memo, **followed.memo}
        return CompareResult(events, restored.without_absent(roster.clan), memo, final=final)

    async def _follow_members(
        self, old: Snapshot, before: Json, clan: Json, seen: Observation, events: list[Event]
    ) -> _Followed:
        """Return the events about the activity and the moves of the members, and what to remember of them."""
        gap = self._unobserved_seconds(old, seen)
        polled = self._polled_uptime
        since = seen.at - (gap if gap is not None else 0.0 if polled is None else seen.uptime - polled)
        activity = Activity.from_memo(old.memo)
        jump = self._clock_jump(seen)
        if activity is not None and jump:
            activity = activity.shifted(jump)
        season_ended = any(event.event_type is EventType.SEASON_RESET for event in events)
        followed = self._follow_activity(activity, before, clan, seen, Elapsed(since, seen.at, season_ended))
        moves = RecentMoves.from_memo(old.memo, at=seen.at)
        # A member who has returned may have been elsewhere.
        moved = await self._resolve_moves(moves, clan, seen)
        moves.add(events, gap=gap)
        moved += await self._resolve_moves(moves, clan, seen)
        return _Followed([*followed.events, *moved], followed.memo | moves.to_memo())

    def _follow_activity(
        self, known: Activity | None, old: Json | None, clan: Json, seen: Observation, elapsed: Elapsed
    ) -> _Followed:
        members = clan["memberList"] or []
        before = None if old is None else old.get("memberList")
        activity = update_activity(known, before, members, elapsed, seen=self._seen_members)
        self._applied_members = self._seen_members
        if self._first_polled is None:
            self._first_polled = seen.uptime
        events: list[Event] = []
        # After a start, the polls of wars and raids show first who attacked meanwhile.
        settled = self._first_polled + _SETTLING_S
        if seen.uptime >= settled:
            activity, events = report_inactive(activity, members, clan=clan, after=self._inactive_after, at=seen.at)
        check_at = next_check(activity, after=self._inactive_after, at=seen.at)
        self._check_at = max(check_at, seen.at + settled - seen.uptime)
        return _Followed(events, {ACTIVITY_KEY: activity.to_memo()})

    def _knows_a_move(self) -> bool:
        """Return whether it may be known by now where a member went or came from."""
        moves, polled = self._context.moves, self._context.polled
        since = -math.inf if self._polled_uptime is None else self._polled_uptime
        return any(
            moves.other_clan(self._tag, direction, tag, at=at) is not None
            or polled.get(Resource(Kind.PLAYER, tag), -math.inf) >= since
            for direction, tag, at in self._recent_moves.pending()
        )

    async def _resolve_moves(self, moves: RecentMoves, clan: Json, seen: Observation) -> list[Event]:
        """Return an event for each member whose other clan is known now, and record that they were reported."""
        context, own = self._context, Clan(self._tag, clan.get("name"))
        events: list[Event] = []
        waited = 0.0 if self._first_polled is None else seen.uptime - self._first_polled
        if waited < _ROUNDS * self._interval and not context.moves.is_complete(self._tag):
            return events
        for pending in moves.pending():
            other = await find_other_clan(
                context.moves, context.store, context.polled, pending, clan=self._tag, seen=seen
            )
            if other is not None:
                direction, tag, _ = pending
                events.append(
                    moved_event(own, direction, (tag, moves.report(direction, tag, other)), other, at=seen.at)
                )
        return events

    async def _commit_changes(
        self, old: Snapshot | None, comparison: CompareResult, seen: Observation, max_age: float
    ) -> PollResult:
        result = await super()._commit_changes(old, comparison, seen, max_age)
        if self._seen_members is self._applied_members:
            self._seen_members = self._applied_members = _NOBODY
        if not self._retired:
            # Only now: the other clans must not see the moves of a response that was not accepted.
            memo = comparison.memo
            self._recent_moves = RecentMoves.from_memo(memo, at=seen.at) if MOVES_KEY in memo else _NO_MOVES
            self._context.moves.register(Clan(self._tag, comparison.data.get("name")), self._recent_moves)
        return result

    async def _add_league_result(self, events: list[Event]) -> list[Event]:
        """Return the events with the result of the last clan war league, if it is watched."""
        result = league_result(await self._context.store.snapshot(Resource(Kind.CWL, self._tag)), self._tag)
        return [
            replace(event, metadata={**event.metadata, **result._asdict()})
            if event.event_type is EventType.CLAN_WAR_LEAGUE_CHANGED
            else event
            for event in events
        ]

    def _roster(self, old: Json | None, new: Json, seen: Observation) -> Roster:
        # Members that two cache entries failed to list have left.
        left = [
            tag
            for tag, suspicion in self._missing_members.items()
            if suspicion.is_confirmed(seen, min_delay=self.recheck_delay_s)
        ]
        roster = restore_missing_members(old, new, left=left)
        if "memberList" in roster.clan or roster.is_complete:
            self._short_list = None
        elif self._confirms_short_list(new, seen):
            return restore_missing_members(old, new, accept_short_list=True)
        return roster

    def _confirms_short_list(self, data: Json, seen: Observation) -> bool:
        """Return whether to accept a member list that was always shorter than the member count.

        It is accepted if several cache entries list the same members.
        """
        tags = frozenset(member["tag"] for member in data.get("memberList") or [])
        short = self._short_list
        if short is None or short.suspicion.claim != tags:
            self._short_list = _ShortList(StaleSuspicion(seen, -math.inf, tags))
            return False
        if short.suspicion.is_confirmed(seen, min_delay=self.recheck_delay_s):
            self._short_list = short = _ShortList(StaleSuspicion(seen, -math.inf, tags), short.confirmations + 1)
        if short.confirmations < _SHORT_LIST_CONFIRMATIONS or not tags:
            return False
        self._short_list = None
        _log.warning(
            "member list is shorter than the member count",
            tag=self._tag,
            listed=len(tags),
            members=data.get("members"),
            hint="the listed members are watched; the others become known once the API lists them",
        )
        return True

    def _remember_missing_members(self, roster: Roster, seen: Observation) -> None:
        if roster.missing or self._missing_members:
            until = seen.uptime if self._polled_uptime is None else self._polled_uptime
            self._missing_members = {
                tag: self._missing_members.get(tag) or StaleSuspicion(seen, until) for tag in roster.missing
            } or _NONE_MISSING

    def _season_ended(self, old: Snapshot, reset_at: float | None, seen: Observation) -> bool | None:
        """Return whether a season has ended since the snapshot, None if the members' donations have to show it."""
        if reset_at is not None and 0 <= seen.at - reset_at < _MIN_SEASON_S:
            return False
        # Donations decrease visibly at the end of a season. After a gap of weeks they may be higher than before.
        gap = self._unobserved_seconds(old, seen)
        return True if gap is not None and season_ended_between(seen.at - gap, seen.at) else None


def _mark_member_catch_up(event: Event, age: float) -> Event:
    is_from_member_list = "member_tag" in event.metadata or event.event_type is EventType.SEASON_RESET
    return mark_catch_up(event, age) if is_from_member_list else event
