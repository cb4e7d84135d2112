"""Watches, the resources that are polled for them, their snapshots, and the store of snapshots and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coc2mqtt.events.event import Event

CLAN_INTERVAL_S = 60.0
WAR_INTERVAL_S = 30.0
PLAYER_INTERVAL_S = 120.0
# The API caches the responses about a clan war league for ten minutes.
CWL_INTERVAL_S = 600.0
RAID_INTERVAL_S = 600.0
# In which the points of all members of a clan in the clan games are fetched once.
GAMES_INTERVAL_S = 3600.0
# The API caches the responses about ranked battles for five minutes.
RANKED_INTERVAL_S = 600.0
CALENDAR_INTERVAL_S = 3600.0
# The reminders of a clan are checked this often, besides the times at which one is due.
REMINDER_INTERVAL_S = 3600.0
MIN_INTERVAL_S = 1.0
_MAX_MEMBERS = 50


class Kind(StrEnum):
    """The kinds of resources.

    The parts of a clan and of a player are resources of their own. So is the calendar of the game, which belongs to the
    API. ``REMINDER`` is the schedule of a clan's reminders, which is not polled.
    """

    CLAN = "clan"
    WAR = "war"
    CWL = "cwl"
    RAID = "raid"
    GAMES = "games"
    REMINDER = "reminder"
    PLAYER = "player"
    RANKED = "ranked"
    API = "api"
    CALENDAR = "calendar"


class Resource(NamedTuple):
    """A polled resource: its kind and its normalised tag (``api`` for the API itself)."""

    kind: Kind
    tag: str


API = Resource(Kind.API, "api")
CALENDAR = Resource(Kind.CALENDAR, "api")
# The parts of a clan or player that are resources of their own. Their events and states belong to the clan or player.
CLAN_PARTS = (Kind.WAR, Kind.CWL, Kind.RAID, Kind.GAMES, Kind.REMINDER)
PLAYER_PARTS = (Kind.RANKED,)
PARTS = (*CLAN_PARTS, *PLAYER_PARTS)


@dataclass(frozen=True, slots=True)
class Reminders:
    """When a clan is reminded of unused attacks and of missing points in the clan games, and whom it is about.

    The times are seconds before the end, the longest first. Members are listed who have at least ``min_attacks_left``
    attacks, one of the ``roles`` (the API's values; None: any), and a town hall in the range (None: no limit).
    """

    war: tuple[float, ...] = ()
    cwl: tuple[float, ...] = ()
    raid: tuple[float, ...] = ()
    games: tuple[float, ...] = ()
    min_attacks_left: int = 1
    roles: frozenset[str] | None = None
    min_town_hall: int | None = None
    max_town_hall: int | None = None

    def __bool__(self) -> bool:
        """Return whether there are any reminders."""
        return bool(self.war or self.cwl or self.raid or self.games)


NO_REMINDERS = Reminders()
DEFAULT_REMINDERS = Reminders(
    war=(21_600.0, 3_600.0), cwl=(14_400.0, 3_600.0), raid=(86_400.0, 21_600.0), games=(172_800.0, 43_200.0)
)
# A member is inactive after this time without a change that only the player can make.
INACTIVE_AFTER_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Watch:
    """A clan with optional parts, a clan's war alone, or a player to be polled.

    ``kind`` is CLAN, WAR or PLAYER, ``tag`` is normalised, intervals are seconds. The fields up to ``inactive_after``
    apply to clans: whether its members, its war, its clan war leagues (with ``cwl_standings`` all wars of the group),
    its raid weekends (with ``raid_defenses`` the raids on it) and the clan games are watched, its reminders, and the
    seconds after which a member counts as inactive (None: never). The fields after them apply to players: whether
    their ranked battles are watched, and the fields to compare; None as ``include_fields`` means all fields.
    """

    kind: Kind
    tag: str
    interval: float
    members: bool = True
    war: bool = True
    war_interval: float = WAR_INTERVAL_S
    cwl: bool = False
    cwl_interval: float = CWL_INTERVAL_S
    cwl_standings: bool = False
    raids: bool = False
    raid_defenses: bool = False
    raid_interval: float = RAID_INTERVAL_S
    games: bool = False
    games_interval: float = GAMES_INTERVAL_S
    reminders: Reminders = NO_REMINDERS
    inactive_after: float | None = None
    ranked: bool = False
    ranked_interval: float = RANKED_INTERVAL_S
    include_fields: frozenset[str] | None = None
    exclude_fields: frozenset[str] | None = None

    def polls(self, kind: Kind) -> bool:
        """Return whether the resource of a kind belongs to this watch: the watched one, or a part of it."""
        return kind is self.kind or self._parts().get(kind, (False, 0.0))[0]

    def resources(self) -> Iterator[tuple[Resource, float]]:
        """Yield each resource to poll for this watch, with its interval in seconds."""
        yield Resource(self.kind, self.tag), self.interval
        for kind, (watched, interval) in self._parts().items():
            if watched:
                yield Resource(kind, self.tag), interval

    def _parts(self) -> dict[Kind, tuple[bool, float]]:
        """Return whether each part is watched, and its interval in seconds."""
        if self.kind is Kind.PLAYER:
            return {Kind.RANKED: (self.ranked, self.ranked_interval)}
        if self.kind is not Kind.CLAN:
            return {}
        return {
            Kind.WAR: (self.war, self.war_interval),
            Kind.CWL: (self.cwl, self.cwl_interval),
            Kind.RAID: (self.raids, self.raid_interval),
            # One member after the other.
            Kind.GAMES: (self.games, max(MIN_INTERVAL_S, self.games_interval / _MAX_MEMBERS)),
            Kind.REMINDER: (bool(self.reminders), REMINDER_INTERVAL_S),
        }


def default_watch(kind: Kind, tag: str) -> Watch:
    """Return the watch of a clan (with all its parts) or a player that is added without any options."""
    if kind is Kind.CLAN:
        return Watch(
            kind,
            tag,
            CLAN_INTERVAL_S,
            cwl=True,
            raids=True,
            reminders=DEFAULT_REMINDERS,
            inactive_after=INACTIVE_AFTER_S,
        )
    return Watch(kind, tag, PLAYER_INTERVAL_S)


def owner(resource: Resource) -> Resource:
    """Return the clan, the player or the API that a resource belongs to."""
    if resource.kind in CLAN_PARTS:
        return Resource(Kind.CLAN, resource.tag)
    if resource.kind in PLAYER_PARTS:
        return Resource(Kind.PLAYER, resource.tag)
    return API if resource.kind is Kind.CALENDAR else resource


def resources_of(resource: Resource) -> list[Resource]:
    """Return a clan or player with the resources of all its parts, for any other resource only itself."""
    parts = {Kind.CLAN: CLAN_PARTS, Kind.PLAYER: PLAYER_PARTS}.get(resource.kind, ())
    return [resource, *(Resource(kind, resource.tag) for kind in parts)]


def validate_interval(interval: float) -> None:
    """Raise ValueError if an interval is shorter than one second."""
    if interval < MIN_INTERVAL_S:
        raise ValueError(f"interval must be at least {MIN_INTERVAL_S:g} s, got {interval} s")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last accepted state of a resource.

    ``data`` is the JSON object of the response, None before the first valid one. ``memo`` is the engine's state that
    is stored with it (JSON as well): the current failure, whether the resource is available, a war's reported attacks.
    ``taken_at`` is the Unix time in seconds of the response.
    """

    data: dict[str, Any] | None
    memo: dict[str, Any] = field(default_factory=dict)
    taken_at: float = 0.0

    @property
    def name(self) -> str | None:
        """The name of the clan or player, None if it is unknown."""
        name = None if self.data is None else self.data.get("name")
        return name if isinstance(name, str) else None


class Store(Protocol):
    """Keeps the snapshots and the events of each new snapshot: the journal of a bridge, or a stream's memory."""

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return the last committed snapshot of a resource, None if there is none."""

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Store the new snapshot together with its events: both or, after any failure, neither."""
