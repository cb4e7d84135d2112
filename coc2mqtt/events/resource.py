"""The polled resources, their snapshots, and the store that keeps both snapshots and events."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.events.event import Event


class Kind(StrEnum):
    """The kinds of resources; a clan's war is a resource of its own."""

    CLAN = "clan"
    WAR = "war"
    PLAYER = "player"
    API = "api"


class Resource(NamedTuple):
    """A polled resource: its kind and its normalised tag (``api`` for the API itself)."""

    kind: Kind
    tag: str


API = Resource(Kind.API, "api")


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
