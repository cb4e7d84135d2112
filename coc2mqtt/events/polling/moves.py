"""Members who move between clans: the departures and arrivals of all watched clans, to match them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from coc2mqtt.events.compare.staleness import MAX_CACHE_AGE_S
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.resource import Snapshot, Store

Json = dict[str, Any]
Direction = Literal["left", "joined"]
_Key: TypeAlias = "tuple[Direction, str]"

MEMO_KEY = "moves"
# A departure and an arrival further apart are two decisions.
MAX_AGE_S = 86_400.0
# More than the members of a clan who leave within a day.
_MAX_RECENT = 100
# One clan may be polled this much later than another one.
_MAX_SKEW_S = 3600.0
# With ten thousand clans, the arrivals and departures of a day.
_MAX_KNOWN = 20_000
_OPPOSITE: dict[Direction, Direction] = {"left": "joined", "joined": "left"}


class Clan(NamedTuple):
    """The tag and the name of a clan."""

    tag: str
    name: str | None


class Move(NamedTuple):
    """A member who left or joined a clan ``at`` a time (Unix time), and whether their other clan was reported."""

    name: str
    at: float
    reported: bool = False


@dataclass(slots=True)
class RecentMoves:
    """The members who left or joined one clan within a day, by the direction and the tag of the member.

    Those that were reported are kept as well: the other clan may not have reported them yet. A member is in one of both
    directions at most: the last one.
    """

    members: dict[Direction, dict[str, Move]] = field(default_factory=lambda: {"left": {}, "joined": {}})

    @classmethod
    def from_memo(cls, memo: Json, *, at: float) -> RecentMoves:
        """Return those of a snapshot's memo that are not too old."""
        recent, stored = cls(), memo.get(MEMO_KEY)
        if stored is not None:
            for direction, known in recent.members.items():
                moves = {tag: Move(*values) for tag, values in stored.get(direction, {}).items()}
                known |= {tag: move for tag, move in moves.items() if abs(at - move.at) <= MAX_AGE_S}
        return recent

    def to_memo(self) -> Json:
        """Return the entry of the memo, an empty one without recent moves."""
        if not any(self.members.values()):
            return {}
        found = {
            direction: {tag: list(one) for tag, one in members.items()} for direction, members in self.members.items()
        }
        return {MEMO_KEY: found}

    def add(self, events: Iterable[Event]) -> None:
        """Add the members of the events about one response who left or joined."""
        for event in events:
            if event.event_type not in (EventType.MEMBER_LEFT, EventType.MEMBER_JOINED):
                continue
            direction: Direction = "left" if event.event_type is EventType.MEMBER_LEFT else "joined"
            tag = event.metadata["member_tag"]
            earlier = self.members[_OPPOSITE[direction]].pop(tag, None)
            if direction == "left" or earlier is None or earlier.reported:  # otherwise they have returned
                self.members[direction][tag] = Move(event.metadata["member_name"], event.timestamp)
        for members in self.members.values():
            for tag in list(members)[:-_MAX_RECENT]:
                del members[tag]

    def report(self, direction: Direction, tag: str) -> str:
        """Record that a move was reported, and return the member's name."""
        members = self.members[direction]
        members[tag] = members[tag]._replace(reported=True)
        return members[tag].name

    def pending(self) -> Iterator[tuple[Direction, str, float]]:
        """Yield the direction, the tag and the time of each move that was not reported."""
        for direction, members in self.members.items():
            for tag, move in tuple(members.items()):
                if not move.reported:
                    yield direction, tag, move.at


class Moves:
    """The departures and arrivals of the last day in all clans of an engine."""

    def __init__(self) -> None:
        # By the direction and the tag of the member, then by the tag of the clan; and the keys of each clan.
        self._known: dict[_Key, dict[str, tuple[Clan, float]]] = {}
        self._keys: dict[str, frozenset[_Key]] = {}

    def register(self, clan: Clan, recent: RecentMoves) -> None:
        """Make the departures and arrivals of a clan known to the others, instead of those registered before."""
        known = {
            (direction, tag): move.at for direction, moves in recent.members.items() for tag, move in moves.items()
        }
        for key in self._keys.pop(clan.tag, frozenset()) - known.keys():
            clans = self._known.get(key, {})
            clans.pop(clan.tag, None)
            if not clans:
                self._known.pop(key, None)
        if known:
            self._keys[clan.tag] = frozenset(known)
        for key, at in known.items():
            self._known.setdefault(key, {})[clan.tag] = clan, at
        while len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def other_clan(self, clan: str, direction: Direction, member: str, *, at: float) -> Clan | None:
        """Return the watched clan that a member joined or left who left or joined ``clan`` at a time; None if unknown.

        The arrival may have been seen a little before the departure.
        """
        found = self._known.get((_OPPOSITE[direction], member))
        if found is None:
            return None
        if direction == "joined" and self._is_elsewhere(clan, member, before=at):
            return None
        sign = 1 if direction == "left" else -1
        times = {
            one: abs(time - at)
            for one, time in found.values()
            if one.tag != clan and -_MAX_SKEW_S <= sign * (time - at) <= MAX_AGE_S
        }
        return min(times, key=times.__getitem__, default=None)

    def _is_elsewhere(self, clan: str, member: str, *, before: float) -> bool:
        """Return whether a member joined another clan since, whose list has not shown the departure yet."""
        arrivals = self._known.get(("joined", member), {})
        return any(one.tag != clan and at < before for one, at in arrivals.values())


async def find_other_clan(
    moves: Moves,
    store: Store,
    polled: Mapping[Resource, float],
    pending: tuple[Direction, str, float],
    *,
    clan: str,
    seen: Observation,
) -> Clan | None:
    """Return where a member went or came from, if that clan or the player is watched, None if it is unknown.

    ``polled`` are the resources that were polled in this run, with the uptime of the last response.
    """
    direction, member, at = pending
    player = Resource(Kind.PLAYER, member)
    other = moves.other_clan(clan, direction, member, at=at)
    if other is not None or player not in polled:
        return other
    # The seconds from the clan's response to the last one about the player.
    later = seen.at - (seen.uptime - polled[player]) - at
    return _clan_of_player(await store.snapshot(player), clan, direction, at=at, later=later)


def remember_previous_clan(old: Snapshot, new: Json, memo: Json, *, at: float) -> Json:
    """Return the memo of a player with the clan that they were in before the present one."""
    before, after = _clan(old.data), _clan(new)
    if before is not None and (after is None or after.tag != before.tag):
        return {**memo, "previous_clan": [before.tag, before.name, at]}
    known = old.memo.get("previous_clan")
    return memo if known is None or at - known[2] > MAX_AGE_S else {**memo, "previous_clan": known}


def moved_event(clan: Clan, direction: Direction, member: tuple[str, str], other: Clan, *, at: float) -> Event:
    """Return the event of a clan about a member (tag and name) who moved to or from another clan."""
    origin, destination = (clan, other) if direction == "left" else (other, clan)
    metadata = {
        "member_tag": member[0],
        "member_name": member[1],
        "from_clan": origin.tag,
        "from_clan_name": origin.name,
        "to_clan": destination.tag,
        "to_clan_name": destination.name,
    }
    return Event(EventType.MEMBER_MOVED, clan.tag, timestamp=at, metadata=metadata, name=clan.name)


def _clan_of_player(
    snapshot: Snapshot | None, clan: str, direction: Direction, *, at: float, later: float
) -> Clan | None:
    """Return where a player went or came from, who was last polled ``later`` seconds after the clan showed it."""
    if snapshot is None or snapshot.data is None:
        return None
    present, previous = _clan(snapshot.data), snapshot.memo.get("previous_clan")
    if previous is not None and abs(at - previous[2]) > MAX_AGE_S:
        previous = None
    if direction == "left":
        # Another clan may be the one before, if the player was not polled in this one.
        is_later = later >= MAX_CACHE_AGE_S or (previous is not None and previous[0] == clan)
        return present if present is not None and present.tag != clan and is_later else None
    if present is not None and present.tag != clan:
        return present if later <= 0 else None
    return None if previous is None or previous[0] == clan else Clan(previous[0], previous[1])


def _clan(data: Json | None) -> Clan | None:
    found = (data or {}).get("clan") or {}
    tag = found.get("tag")
    return Clan(tag, found.get("name")) if isinstance(tag, str) else None
