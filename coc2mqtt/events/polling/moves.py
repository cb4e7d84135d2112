"""Members who move between clans: the departures and arrivals of all watched clans, to match them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from coc2mqtt.events.resource import Snapshot, Store

Json = dict[str, Any]
Direction = Literal["left", "joined"]

MEMO_KEY = "moves"
# A departure and an arrival further apart are two decisions.
MAX_AGE_S = 86_400.0
# More than the members of a clan who leave within a day.
_MAX_PENDING = 100
# One clan may be polled this much later than another one.
_MAX_SKEW_S = 3600.0
# With ten thousand clans, the arrivals and departures of a day.
_MAX_KNOWN = 20_000
_OPPOSITE: dict[Direction, Direction] = {"left": "joined", "joined": "left"}


class Clan(NamedTuple):
    """The tag and the name of a clan."""

    tag: str
    name: str | None


@dataclass(slots=True)
class PendingMoves:
    """The members who left or joined one clan within a day, and whose other clan is unknown.

    The names and the times (Unix time in seconds) by the direction and the tag of the member.
    """

    members: dict[Direction, dict[str, tuple[str, float]]] = field(default_factory=lambda: {"left": {}, "joined": {}})

    @classmethod
    def from_memo(cls, memo: Json, *, at: float) -> PendingMoves:
        """Return those of a snapshot's memo that are not too old."""
        pending = cls()
        for direction, known in pending.members.items():
            stored = memo.get(MEMO_KEY, {}).get(direction, {})
            known |= {tag: (name, time) for tag, (name, time) in stored.items() if abs(at - time) <= MAX_AGE_S}
        return pending

    def to_memo(self) -> Json:
        """Return the entry of the memo, an empty one without pending moves."""
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
            if direction == "left" or earlier is None:  # otherwise they have returned
                self.members[direction][tag] = (event.metadata["member_name"], event.timestamp)
        for members in self.members.values():
            for tag in list(members)[:-_MAX_PENDING]:
                del members[tag]

    def __iter__(self) -> Iterator[tuple[Direction, str, float]]:
        """Yield the direction, the tag and the time of each."""
        for direction, members in self.members.items():
            for tag, (_, at) in tuple(members.items()):
                yield direction, tag, at


class Moves:
    """The departures and arrivals of the last day in all clans of an engine, by the tag of the member."""

    def __init__(self) -> None:
        self._known: dict[tuple[Direction, str], dict[Clan, float]] = {}

    def register(self, clan: Clan, pending: PendingMoves) -> None:
        """Make the departures and arrivals of a clan known to the others."""
        for direction, members in pending.members.items():
            for tag, (_, at) in members.items():
                self._known.setdefault((direction, tag), {})[clan] = at
        while len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def other_clan(self, clan: str, direction: Direction, member: str, *, at: float) -> Clan | None:
        """Return the watched clan that a member joined or left who left or joined ``clan`` at a time; None if unknown.

        The arrival may have been seen a little before the departure.
        """
        found = self._known.get((_OPPOSITE[direction], member), {})
        sign = 1 if direction == "left" else -1
        return next(
            (one for one, time in found.items() if one.tag != clan and -_MAX_SKEW_S <= sign * (time - at) <= MAX_AGE_S),
            None,
        )


async def find_other_clan(
    moves: Moves, store: Store, polled: Collection[Resource], *, clan: str, direction: Direction, member: str, at: float
) -> Clan | None:
    """Return where a member went or came from, if that clan or the player is watched, None if it is unknown.

    ``polled`` are the resources that were polled in this run.
    """
    other = moves.other_clan(clan, direction, member, at=at)
    player = Resource(Kind.PLAYER, member)
    if other is not None or player not in polled:
        return other
    return _clan_of_player(await store.snapshot(player), clan, direction, at=at)


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


def _clan_of_player(snapshot: Snapshot | None, clan: str, direction: Direction, *, at: float) -> Clan | None:
    if snapshot is None or snapshot.data is None:
        return None
    present = _clan(snapshot.data)
    if present is not None and present.tag != clan:
        return present  # before the player was polled, it is the one that they came from
    previous = snapshot.memo.get("previous_clan")
    if direction == "left" or previous is None or previous[0] == clan or abs(at - previous[2]) > MAX_AGE_S:
        return None
    return Clan(previous[0], previous[1])


def _clan(data: Json | None) -> Clan | None:
    found = (data or {}).get("clan") or {}
    tag = found.get("tag")
    return Clan(tag, found.get("name")) if isinstance(tag, str) else None
