"""Where the engine keeps what it believes: the journal of a bridge, or a stream's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Resource, Snapshot


class Store(Protocol):
    """Snapshots, and the events that come with each new one."""

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return what was last committed of a resource, None if nothing was."""

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Store the new snapshot together with the events that it caused: both or, after any failure, neither."""
