"""The poller of clans."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import structlog

from coc2mqtt.events.compare.clan import (
    Roster,
    clan_looks_stale,
    compare_clan,
    is_permanent_clan_field,
    restore_missing_members,
)
from coc2mqtt.events.compare.missing_fields import restore_missing_fields
from coc2mqtt.events.compare.result import CompareResult, mark_catch_up
from coc2mqtt.events.compare.season import season_ended_between, tags_with_decreased_donations
from coc2mqtt.events.compare.staleness import Observation, StaleSuspicion
from coc2mqtt.events.compare.validate import validate_clan
from coc2mqtt.events.event import EventType
from coc2mqtt.events.polling.poller import LONG_GAP, Poller
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.poll_context import PollContext
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# A season is four weeks: another end within a week (seconds) is the rest of the first one, seen late.
_SHORTEST_SEASON = 7 * 86_400.0
# In so many cache entries a member list must be the same to be believed although it is too short from the beginning.
_SIGHTS_OF_SHORT_LIST = 3
# Never changed: there are tens of thousands of pollers, and hardly any needs a dictionary of its own.
_NOBODY: dict[str, StaleSuspicion] = {}
_ROSTER = frozenset({"memberList"})

_log = structlog.get_logger()


class _ShortList(NamedTuple):
    """A member list that is too short: the last look at it from another cache entry, and how many there were."""

    doubt: StaleSuspicion
    seen: int = 1


class ClanPoller(Poller):
    """Polls a clan, and its members where ``members`` is set."""

    kind: ClassVar = Kind.CLAN
    endpoint: ClassVar = "clan"
    __slots__ = ("_members", "_short_list", "_unlisted")

    def __init__(self, context: PollContext, tag: str, *, interval: float, members: bool = True) -> None:
        super().__init__(context, tag, interval=interval)
        self._members = members
        # While nobody knows the members: the list that was always shorter than their number.
        self._short_list: _ShortList | None = None
        # The known members whom the last list failed to name.
        self._unlisted = _NOBODY

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.clan(self._tag)

    def _check(self, data: Json) -> list[MalformedField]:
        return validate_clan(data, self._tag)

    def _first_sight(self, data: Json, look: Observation) -> CompareResult:
        roster = self._roster(None, data, look)
        return CompareResult([], roster.clan, {}, final=roster.is_complete)

    def _goes_back(self, old: Snapshot, data: Json, look: Observation) -> bool:
        return clan_looks_stale(old.data or {}, data, malformed=look.malformed)

    def _fallen(self, old: Json, new: Json) -> list[str]:
        return tags_with_decreased_donations(old.get("memberList") or [], new.get("memberList") or [])

    async def _compare(self, old: Snapshot, data: Json, look: Observation) -> CompareResult:
        completed = restore_missing_fields(
            old, data, is_permanent=is_permanent_clan_field, malformed=look.malformed - _ROSTER
        )
        known = completed.old.get("memberList") is not None
        roster = self._roster(completed.old, completed.new, look)
        self._note_missing(roster, look)
        reset_at = old.memo.get("season_reset_at")
        if reset_at is not None:
            reset_at += self._clock_jump(look)
        events = compare_clan(
            completed.old,
            roster.clan,
            at=look.at,
            members=self._members,
            season_ended=self._season_ended(old, reset_at, look),
        )
        if any(event.event_type is EventType.SEASON_RESET for event in events):
            reset_at = look.at
        memo = {**completed.memo, "season_reset_at": reset_at} if reset_at else completed.memo
        since = self._unlisted_since(old, look)
        if known and not data.get("memberList"):
            memo = {**memo, "unlisted_since": since or self._looked_at or old.taken_at}
        elif since is not None and look.at - since > self._interval + LONG_GAP:
            events = [_member_caught_up(event, round(look.at - since, 3)) for event in events]
        settled = roster.is_complete or (known and not roster.missing)
        return CompareResult(events, completed.without_absent(roster.clan), memo, final=settled)

    def _unlisted_since(self, old: Snapshot, look: Observation) -> float | None:
        """Return when (Unix time) the members were last seen, None if that was in the last response."""
        since = old.memo.get("unlisted_since")
        return None if since is None else since + self._clock_jump(look)

    def _roster(self, old: Json | None, new: Json, look: Observation) -> Roster:
        roster = restore_missing_members(old, new, missing=self._missing(look))
        if "memberList" in roster.clan or roster.is_complete:
            self._short_list = None
        elif self._is_believed(new, look):
            return restore_missing_members(old, new, accept_short_list=True)
        return roster

    def _is_believed(self, data: Json, look: Observation) -> bool:
        """Tell whether a list that was always shorter than the number of members is to be believed.

        It is if it names the same members in several cache entries.
        """
        tags = frozenset(member["tag"] for member in data.get("memberList") or [])
        short = self._short_list
        if short is None or short.doubt.claim != tags:
            self._short_list = _ShortList(StaleSuspicion(look, -math.inf, tags))
            return False
        if short.doubt.is_confirmed(look, min_delay=self.patience):
            self._short_list = short = _ShortList(StaleSuspicion(look, -math.inf, tags), short.seen + 1)
        if short.seen < _SIGHTS_OF_SHORT_LIST or not tags:
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

    def _missing(self, look: Observation) -> list[str]:
        """Return the known members whom two cache entries have failed to list."""
        return [tag for tag, doubt in self._unlisted.items() if doubt.is_confirmed(look, min_delay=self.patience)]

    def _note_missing(self, roster: Roster, look: Observation) -> None:
        if roster.missing or self._unlisted:
            until = look.uptime if self._seen_at is None else self._seen_at
            self._unlisted = {
                tag: self._unlisted.get(tag) or StaleSuspicion(look, until) for tag in roster.missing
            } or _NOBODY

    def _season_ended(self, old: Snapshot, reset_at: float | None, look: Observation) -> bool | None:
        """Return whether a season has ended since the snapshot, None where the members' donations are to show it."""
        if reset_at is not None and 0 <= look.at - reset_at < _SHORTEST_SEASON:
            return False
        # While somebody looks the donations fall. Who comes back after weeks may find more of them than before.
        gap = self._unwatched(old, look)
        return True if gap is not None and season_ended_between(look.at - gap, look.at) else None


def _member_caught_up(event: Event, age: float) -> Event:
    return event if event.event_type is EventType.CLAN_UPDATED else mark_catch_up(event, age)
