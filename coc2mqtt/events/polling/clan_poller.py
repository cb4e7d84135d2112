"""The poller of clans."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import structlog

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
from coc2mqtt.events.polling.poller import LONG_GAP_S, Poller, mark_catch_up
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.poll_context import PollContext
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


class _ShortList(NamedTuple):
    """A member list that is too short: its last confirmation, and the number of cache entries with it."""

    suspicion: StaleSuspicion
    confirmations: int = 1


class ClanPoller(Poller):
    """Polls a clan; events about its members are made if ``track_members`` is set."""

    kind: ClassVar = Kind.CLAN
    endpoint: ClassVar = "clan"
    __slots__ = ("_missing_members", "_short_list", "_track_members")

    def __init__(self, context: PollContext, tag: str, *, interval: float, track_members: bool = True) -> None:
        super().__init__(context, tag, interval=interval)
        self._track_members = track_members
        # While no complete member list is known: the list that is always shorter than the member count.
        self._short_list: _ShortList | None = None
        # The known members that are missing from the last list.
        self._missing_members = _NONE_MISSING

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.clan(self._tag)

    def _validate(self, data: Json) -> list[MalformedField]:
        return validate_clan(data, self._tag)

    def _baseline(self, data: Json, seen: Observation) -> CompareResult:
        roster = self._roster(None, data, seen)
        return CompareResult([], roster.clan, {}, final=roster.is_complete)

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
        return CompareResult(events, restored.without_absent(roster.clan), memo, final=final)

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
