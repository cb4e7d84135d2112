"""The points of a clan's members in the clan games, from an achievement of each. Pure: no clock, no I/O.

The API has no clan games. The value of an achievement grows by the points of all clan games: the points in these ones
are the difference to its value before they started. Times are Unix times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from coc2mqtt.clash.response import iso_time
from coc2mqtt.events.event import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coc2mqtt.events.calendar import Period
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]
Phase = Literal["none", "ongoing", "ended"]

_ACHIEVEMENT = "Games Champion"
_VILLAGE = "home"
# More than any player can earn: a greater value would be kept for good.
_MAX_VALUE = 100_000_000
# An event that is later than this was not reported on time.
_MAX_DELAY_S = 120.0
# Nobody earns more than the maximum of a special month: a response before lacked the achievement.
_MAX_GAIN, _MAX_SHARE = 12_000, 3


class GamesMember(NamedTuple):
    """The points of a member; ``partial`` is whether some may be missing, because they were first seen too late."""

    tag: str
    name: str | None
    points: int
    partial: bool


class GamesState(NamedTuple):
    """The clan games of a clan: the present or the last ones; before the first ones everything is unknown.

    The members are those with known points, those with the most first.
    """

    state: Phase = "none"
    start: float | None = None
    end: float | None = None
    total: int = 0
    max_points: int = 0
    partial: bool = False
    members: tuple[GamesMember, ...] = ()


@dataclass(slots=True)
class Games:
    """The clan games of one clan; ``started`` and ``ended`` are whether that was reported, or needs no report.

    ``members`` are, by tag, the name, the value before the start, the last value, and whether the first one is later
    than the start.
    """

    start: float
    end: float
    max_points: int
    started: bool = False
    ended: bool = False
    members: dict[str, tuple[str | None, int, int, bool]] = field(default_factory=dict)

    @classmethod
    def of(cls, period: Period, max_points: int) -> Games:
        """Return clan games of which nothing is known yet."""
        return cls(period.start, period.end, max_points)

    @classmethod
    def from_json(cls, data: Json | None) -> Games | None:
        """Return the games of a snapshot's data, None if it has none."""
        if not data:
            return None
        members = {tag: (name, base, value, partial) for tag, (name, base, value, partial) in data["members"].items()}
        return cls(data["start"], data["end"], data["max_points"], data["started"], data["ended"], members)

    def to_json(self) -> Json:
        """Return the data of a snapshot."""
        return {
            "start": self.start,
            "end": self.end,
            "max_points": self.max_points,
            "started": self.started,
            "ended": self.ended,
            "members": {tag: list(one) for tag, one in self.members.items()},
        }

    def follow(self, period: Period, max_points: int, *, at: float) -> Games | None:
        """Return these games with another configuration, None if the period is that of other games."""
        if self.start >= period.end or period.start >= self.end:
            return None
        ended = self.ended and not (period.end > self.end and at < period.end)
        return Games(period.start, period.end, max_points, self.started, ended, self.members)

    @property
    def is_open(self) -> bool:
        """Whether the start was reported and the end was not."""
        return self.started and not self.ended

    @property
    def total(self) -> int:
        """The points of all members, also of those who have left the clan since."""
        return sum(value - base for _, base, value, _ in self.members.values())

    @property
    def partial(self) -> bool:
        """Whether points of some members may be missing."""
        return any(partial for *_, partial in self.members.values())

    def standings(self) -> list[GamesMember]:
        """Return the members, those with the most points first."""
        members = [
            GamesMember(tag, name, value - base, partial) for tag, (name, base, value, partial) in self.members.items()
        ]
        return sorted(members, key=lambda member: -member.points)


def games_value(player: Json) -> int | None:
    """Return the value of the achievement for clan games, None if the response shows no achievements.

    A player who never took part has no such achievement.
    """
    achievements = player.get("achievements")
    if not achievements:
        return None
    values = [
        one.get("value")
        for one in achievements
        if one.get("name") == _ACHIEVEMENT and one.get("village", _VILLAGE) == _VILLAGE
    ]
    if not values:
        return 0
    return next((value for value in values if type(value) is int and 0 <= value <= _MAX_VALUE), None)


def start_games(games: Games, clan: Clan, *, at: float, first: bool) -> list[Event]:
    """Return the event of the start if it is due; it is silent if ``first``, because nothing was known before."""
    if games.started or at < games.start:
        return []
    games.started = True
    if first:
        return []
    metadata = {**_times(games), "max_points": games.max_points}
    return [_event(EventType.CLAN_GAMES_STARTED, clan, metadata, at=at, due=games.start)]


def record_value(
    games: Games, clan: Clan, member: tuple[str, str | None], value: int, *, at: float, known_before: bool = False
) -> list[Event]:
    """Record the value of a member (tag and name), and return the event about new points.

    A lower value comes from another server. A value that is first known after the start may include points of these
    games, unless it is ``known_before``. After an impossible increase the points are counted from the new value.
    """
    tag, name = member
    known = games.members.get(tag)
    if known is None or at < games.start:
        base = value if known is None else max(value, known[1])
        games.members[tag] = (name, base, base, at >= games.start and not known_before)
        return []
    _, base, last, partial = known
    if value - base > max(_MAX_GAIN, _MAX_SHARE * games.max_points):
        games.members[tag] = (name, value - (last - base), value, True)
        return []
    games.members[tag] = (name, base, max(last, value), partial)
    if value <= last:
        return []
    metadata = {
        "member_tag": tag,
        "member_name": name or tag,
        "gained": value - last,
        "points": value - base,
        "total": games.total,
        "partial": partial,
    }
    return [Event(EventType.CLAN_GAMES_POINTS, clan.tag, timestamp=at, name=clan.name, metadata=metadata)]


def end_games(games: Games, clan: Clan, *, at: float, complete: bool) -> list[Event]:
    """Return the event of the end; ``complete`` is whether all members were polled after it."""
    games.ended = True
    ranking = [member for member in games.standings() if member.points]
    metadata = {
        **_times(games),
        "total": games.total,
        "members": len(ranking),
        "top_members": [{"tag": one.tag, "name": one.name, "points": one.points} for one in ranking],
        "partial": games.partial or not complete,
    }
    return [_event(EventType.CLAN_GAMES_ENDED, clan, metadata, at=at, due=games.end + 3 * 3600.0)]


class Clan(NamedTuple):
    """The clan of an event: its tag and its name."""

    tag: str
    name: str | None


def games_state(snapshot: Snapshot) -> GamesState:
    """Return the state of the clan games from the snapshot of its resource."""
    games = Games.from_json(snapshot.data)
    if games is None or not games.started:
        return GamesState()
    return GamesState(
        "ended" if games.ended else "ongoing",
        games.start,
        games.end,
        games.total,
        games.max_points,
        games.partial,
        tuple(games.standings()),
    )


def members_below(state: GamesState, members: Mapping[str, Json] | None) -> list[GamesMember]:
    """Return the present members below the maximum, those with the fewest points first; None: all are present."""
    below: Iterable[GamesMember] = (one for one in state.members if one.points < state.max_points)
    return [one for one in reversed(list(below)) if members is None or one.tag in members]


def _times(games: Games) -> Json:
    return {"start_at": iso_time(games.start), "end_at": iso_time(games.end)}


def _event(event_type: EventType, clan: Clan, metadata: Json, *, at: float, due: float) -> Event:
    if at - due > _MAX_DELAY_S:
        metadata = {**metadata, "catch_up": True, "snapshot_age_seconds": round(at - due, 3)}
    return Event(event_type, clan.tag, timestamp=at, name=clan.name, metadata=metadata)
