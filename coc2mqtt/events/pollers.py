"""The pollers of clans and players."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.events.clan import clan_goes_back, compare_clan, complete_members
from coc2mqtt.events.event import EventType
from coc2mqtt.events.player import compare_player, complete_player, player_goes_back
from coc2mqtt.events.poller import Comparison, PollContext, Poller
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.season import season_ended_between
from coc2mqtt.events.shapes import check_clan, check_player

if TYPE_CHECKING:
    from coc2mqtt.clash.answer import Answer
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# A season is four weeks: another end within a week (seconds) is the rest of the first one, seen late.
_SHORTEST_SEASON = 7 * 86_400.0


class ClanPoller(Poller):
    """Polls a clan, and its members where ``members`` is set."""

    kind: ClassVar = Kind.CLAN
    endpoint: ClassVar = "clan"
    __slots__ = ("_members",)

    def __init__(self, context: PollContext, tag: str, *, interval: float, members: bool = True) -> None:
        super().__init__(context, tag, interval=interval)
        self._members = members

    async def _fetch(self) -> Answer:
        return await self._context.api.clan(self._tag)

    def _check(self, data: Json) -> None:
        check_clan(data, self._tag)

    def _first_sight(self, data: Json) -> Comparison:
        roster = complete_members(None, data)
        return Comparison([], roster.clan, {}, settled=roster.whole)

    def _goes_back(self, old: Snapshot, data: Json, at: float) -> bool:  # noqa: ARG002 - time tells nothing of it
        return clan_goes_back(old.data or {}, data)

    async def _compare(self, old: Snapshot, data: Json, at: float) -> Comparison:
        before = old.data or {}
        # A wall clock that was set back begins anew.
        missing, since = old.memo.get("missing", []), min(old.memo.get("missing_since", at), at)
        roster = complete_members(before, data, missing=missing if self._is_another(since, at) else ())
        if not set(roster.missing) <= set(missing):
            since = at
        reset_at = old.memo.get("season_reset_at")
        events = compare_clan(
            before,
            roster.clan,
            at=at,
            members=self._members,
            season_ended=self._season_ended(old, reset_at, at),
        )
        if any(event.event_type is EventType.SEASON_RESET for event in events):
            reset_at = at
        memo = {
            "missing": roster.missing,
            "missing_since": since if roster.missing else None,
            "season_reset_at": reset_at,
        }
        return Comparison(
            events, roster.clan, {key: value for key, value in memo.items() if value}, settled=roster.whole
        )

    def _season_ended(self, old: Snapshot, reset_at: float | None, at: float) -> bool | None:
        """Return whether a season has ended since the snapshot, None where the members' donations are to show it."""
        if reset_at is not None and 0 <= at - reset_at < _SHORTEST_SEASON:
            return False
        # While somebody looks the donations fall. Who comes back after weeks may find more of them than before.
        since = self._unwatched_since(old, at)
        return True if since is not None and season_ended_between(since, at) else None


class PlayerPoller(Poller):
    """Polls a player; ``include_fields`` and ``exclude_fields`` are the API's keys, as ``compare_player`` has them."""

    kind: ClassVar = Kind.PLAYER
    endpoint: ClassVar = "player"
    __slots__ = ("_exclude_fields", "_include_fields")

    def __init__(
        self,
        context: PollContext,
        tag: str,
        *,
        interval: float,
        include_fields: frozenset[str] | None = None,
        exclude_fields: frozenset[str] | None = None,
    ) -> None:
        super().__init__(context, tag, interval=interval)
        self._include_fields = include_fields
        self._exclude_fields = exclude_fields

    async def _fetch(self) -> Answer:
        return await self._context.api.player(self._tag)

    def _check(self, data: Json) -> None:
        check_player(data, self._tag)

    def _first_sight(self, data: Json) -> Comparison:
        return Comparison([], data, {})

    def _goes_back(self, old: Snapshot, data: Json, at: float) -> bool:  # noqa: ARG002 - time tells nothing of it
        return player_goes_back(old.data or {}, data)

    async def _compare(self, old: Snapshot, data: Json, at: float) -> Comparison:
        before = old.data or {}
        believed = complete_player(before, data)
        events = compare_player(
            before, believed, at=at, include_fields=self._include_fields, exclude_fields=self._exclude_fields
        )
        return Comparison(events, believed, {})
