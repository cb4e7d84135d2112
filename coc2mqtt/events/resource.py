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
MIN_INTERVAL_S = 1.0


class Kind(StrEnum):
    """The kinds of resources; a clan's war, clan war league and raid weekend are resources of their own."""

    CLAN = "clan"
    WAR = "war"
    CWL = "cwl"
    RAID = "raid"
    PLAYER = "player"
    API = "api"


class Resource(NamedTuple):
    """A polled resource: its kind and its normalised tag (``api`` for the API itself)."""

    kind: Kind
    tag: str


API = Resource(Kind.API, "api")
# The parts of a clan that are resources of their own. Their events and states belong to the clan.
CLAN_PARTS = (Kind.WAR, Kind.CWL, Kind.RAID)


@dataclass(frozen=True, slots=True)
class Watch:
    """A clan with optional parts, a clan's war alone, or a player to be polled.

    ``kind`` is CLAN, WAR or PLAYER, ``tag`` is normalised, intervals are seconds. The fields up to ``raid_interval``
    apply to clans: whether its members, its war, its clan war leagues (with ``cwl_standings`` all wars of the group)
    and its raid weekends (with ``raid_defenses`` the raids on it) are watched. The fields after them apply to players;
    None as ``include_fields`` means all fields.
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
    include_fields: frozenset[str] | None = None
    exclude_fields: frozenset[str] | None = None

    def polls(self, kind: Kind) -> bool:
        """Return whether the resource of a kind is polled for this watch: the watched one, or a part of a clan."""
        parts = {Kind.WAR: self.war, Kind.CWL: self.cwl, Kind.RAID: self.raids}
        return kind is self.kind or (self.kind is Kind.CLAN and parts.get(kind, False))

    def resources(self) -> Iterator[tuple[Resource, float]]:
        """Yield each resource to poll for this watch, with its interval in seconds."""
        yield Resource(self.kind, self.tag), self.interval
        intervals = (self.war_interval, self.cwl_interval, self.raid_interval)
        for kind, interval in zip(CLAN_PARTS, intervals, strict=True):
            if kind is not self.kind and self.polls(kind):
                yield Resource(kind, self.tag), interval


def default_watch(kind: Kind, tag: str) -> Watch:
    """Return the watch of a clan (with all its parts) or a player that is added without any options."""
    if kind is Kind.CLAN:
        return Watch(kind, tag, CLAN_INTERVAL_S, cwl=True, raids=True)
    return Watch(kind, tag, PLAYER_INTERVAL_S)


def owner(resource: Resource) -> Resource:
    """Return the clan or player that a resource belongs to."""
    return Resource(Kind.CLAN, resource.tag) if resource.kind in CLAN_PARTS else resource


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


class Store(Protocol):
    """Keeps the snapshots and the events of each new snapshot: the journal of a bridge, or a stream's memory."""

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return the last committed snapshot of a resource, None if there is none."""

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Store the new snapshot together with its events: both or, after any failure, neither."""
