"""In-memory cache of the snapshots that were committed last, most of which are soon read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Resource, Snapshot

# All resources of a small installation, or the recently changed ones of a large one. A clan takes 0.1 MB.
_MAX_SIZE = 32


class SnapshotCache:
    """The last committed snapshots of up to ``max_size`` resources.

    The cache holds the committed objects themselves, which nobody may modify. Snapshots that were read from the file
    are not cached, because a newer one may have been committed during the read.
    """

    def __init__(self, *, max_size: int = _MAX_SIZE) -> None:
        self._max_size = max_size
        self._snapshots: dict[Resource, Snapshot] = {}

    def get(self, resource: Resource) -> Snapshot | None:
        """Return the last snapshot of a resource, None if it is not cached."""
        return self._snapshots.get(resource)

    def put(self, resource: Resource, snapshot: Snapshot) -> None:
        """Add a snapshot that was committed, and evict the oldest one if the cache is full."""
        self._snapshots.pop(resource, None)  # move the resource to the end of the order
        self._snapshots[resource] = snapshot
        if len(self._snapshots) > self._max_size:
            del self._snapshots[next(iter(self._snapshots))]

    def remove(self, resource: Resource) -> None:
        """Remove a resource whose snapshot was deleted."""
        self._snapshots.pop(resource, None)

    def clear(self) -> None:
        """Remove all snapshots."""
        self._snapshots.clear()
