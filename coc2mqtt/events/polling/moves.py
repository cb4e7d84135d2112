"""Members who move between clans: the departures and arrivals of all watched clans, to match them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from coc2mqtt.events.compare.staleness import MAX_CACHE_AGE_S
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.resource import Snapshot, Store

Json = dict[str, Any]
Direction = Literal["left", "joined"]

MEMO_KEY = "moves"
# A departure and an arrival further apart are two decisions.
MAX_AGE_S = 86_400.0
# More than the members of a clan who leave within a day.
_MAX_RECENT = 100
# One clan may be polled this much later than another one.
_MAX_SKEW_S = 3600.0
# With ten thousand clans, the arrivals and departures of a day.
_MAX_KNOWN = 20_000


class Clan(NamedTuple):
    """The tag and the name of a clan."""

    tag: str
    name: str | None


class Move(NamedTuple):
    """A member who left or joined a clan, seen ``at`` a time (Unix time).

    ``other`` is the tag of the reported other clan. ``gap`` is for how many seconds the clan was not polled before,
    None if it was polled recently.
    """

    name: str
    at: float
    other: str | None = None
    gap: float | None = None


@dataclass(slots=True)
class RecentMoves:
    """The members who last left and joined one clan within a day, by the direction and the tag of the member.

    Those that were reported are kept as well: the other clan may not have reported them yet.
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

    def add(self, events: Iterable[Event], *, gap: float | None) -> None:
        """Add the members of the events about one response who left or joined; ``gap`` is that of ``Move``."""
        left = self.members["left"]
        for event in events:
            if event.event_type not in (EventType.MEMBER_LEFT, EventType.MEMBER_JOINED):
                continue
            direction: Direction = "left" if event.event_type is EventType.MEMBER_LEFT else "joined"
            tag = event.metadata["member_tag"]
            if direction == "joined" and tag in left and left[tag].other is None:
                del left[tag]  # they have returned
                continue
            members = self.members[direction]
            members.pop(tag, None)
            members[tag] = Move(event.metadata["member_name"], event.timestamp, gap=gap)
        for members in self.members.values():
            for tag in list(members)[:-_MAX_RECENT]:
                del members[tag]

    def report(self, direction: Direction, tag: str, other: Clan) -> Move:
        """Record that a move was reported, and return it."""
        move = self.members[direction][tag] = self.members[direction][tag]._replace(other=other.tag)
        return move

    def pending(self) -> Iterator[tuple[Direction, str, float]]:
        """Yield the direction, the tag and the time of each move that was not reported."""
        for direction, members in self.members.items():
            for tag, move in tuple(members.items()):
                if move.other is None:
                    yield direction, tag, move.at


class _Stay(NamedTuple):
    """When a member last left and joined a clan, as far as it was seen within a day."""

    clan: Clan
    left: Move | None
    joined: Move | None

    @property
    def is_present(self) -> bool:
        """Whether the member joined and has not left since."""
        return self.joined is not None and (self.left is None or self.left.at < self.joined.at)

    def may_follow(self, own: _Stay | None, clan: str, *, at: float) -> float | None:
        """Return how far the arrival is from a departure from ``clan`` at a time, None if it does not follow it.

        It may have been seen a little before. ``own`` is the stay in ``clan``.
        """
        joined = self.joined
        if joined is None or joined.other not in (None, clan) or not -_MAX_SKEW_S <= joined.at - at <= MAX_AGE_S:
            return None
        is_earlier_stay = own is not None and own.joined is not None and own.joined.at > joined.at
        return None if is_earlier_stay else abs(joined.at - at)

    def may_precede(self, clan: str, *, at: float) -> float | None:
        """Return how far the departure is from an arrival in ``clan`` at a time, None if it does not precede it."""
        left = self.left
        if left is None or left.other not in (None, clan) or not -MAX_AGE_S <= left.at - at <= _MAX_SKEW_S:
            return None
        is_later_stay = self.joined is not None and at < self.joined.at < left.at
        return None if is_later_stay else abs(left.at - at)


class Moves:
    """The departures and arrivals of the last day in all clans of an engine."""

    def __init__(self) -> None:
        # By the tag of the member, then by that of the clan; and the members of each clan.
        self._known: dict[str, dict[str, _Stay]] = {}
        self._members: dict[str, frozenset[str]] = {}
        # The clans that were not polled yet in this run.
        self._expected: set[str] = set()

    def expect(self, clan: str) -> None:
        """Record that a clan will be polled."""
        self._expected.add(clan)

    def forget(self, clan: str) -> None:
        """Forget a clan whose watch was removed or replaced."""
        self.register(Clan(clan, None), RecentMoves())

    def is_complete(self, clan: str) -> bool:
        """Return whether all clans except one were polled in this run."""
        return self._expected <= {clan}

    def register(self, clan: Clan, recent: RecentMoves) -> None:
        """Make the departures and arrivals of a clan known to the others, instead of those registered before."""
        self._expected.discard(clan.tag)
        left, joined = recent.members["left"], recent.members["joined"]
        present = left.keys() | joined.keys()
        for member in self._members.pop(clan.tag, frozenset()) - present:
            stays = self._known.get(member, {})
            stays.pop(clan.tag, None)
            if not stays:
                self._known.pop(member, None)
        if present:
            self._members[clan.tag] = frozenset(present)
        for member in present:
            self._known.setdefault(member, {})[clan.tag] = _Stay(clan, left.get(member), joined.get(member))
        while len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def other_clan(self, clan: str, direction: Direction, member: str, *, at: float) -> Clan | None:
        """Return the watched clan that a member joined or left who left or joined ``clan`` at a time; None if unknown.

        The arrival may have been seen a little before the departure.
        """
        stays = self._known.get(member)
        if stays is None:
            return None
        own, others = stays.get(clan), [stay for stay in stays.values() if stay.clan.tag != clan]
        if direction == "left":
            distances = [(stay.may_follow(own, clan, at=at), stay.clan) for stay in others]
        elif any(stay.is_present and stay.joined is not None and stay.joined.at < at for stay in others):
            return None  # the list of the clan that they came from has not shown the departure yet
        else:
            distances = [(stay.may_precede(clan, at=at), stay.clan) for stay in others]
        known = [(distance, one) for distance, one in distances if distance is not None]
        return min(known, default=(0.0, None), key=lambda one: one[0])[1]


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


def moved_event(clan: Clan, direction: Direction, member: tuple[str, Move], other: Clan, *, at: float) -> Event:
    """Return the event of a clan about a member (by tag) who moved to or from another clan."""
    tag, move = member
    origin, destination = (clan, other) if direction == "left" else (other, clan)
    metadata: Json = {
        "member_tag": tag,
        "member_name": move.name,
        "from_clan": origin.tag,
        "from_clan_name": origin.name,
        "to_clan": destination.tag,
        "to_clan_name": destination.name,
    }
    if move.gap is not None:
        metadata |= {"catch_up": True, "snapshot_age_seconds": round(move.gap + at - move.at, 3)}
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
