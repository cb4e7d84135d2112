"""The snapshots that were committed last, in memory: most are read again right away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Resource, Snapshot

# A home's few, or those that many watches have changed a moment ago; a clan's takes 0.1 MB.
_MOST = 32


class SnapshotCache:
    """At most ``most`` snapshots of different resources, which nobody may change: the objects that were committed.

    None is put here that was only read: by then there might be a newer one.
    """

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._snapshots: dict[Resource, Snapshot] = {}

    def get(self, resource: Resource) -> Snapshot | None:
        """Return the last snapshot of a resource, None where only the file knows."""
        return self._snapshots.get(resource)

    def put(self, resource: Resource, snapshot: Snapshot) -> None:
        """Take a snapshot that was committed."""
        self._snapshots.pop(resource, None)  # so that it is the newest
        self._snapshots[resource] = snapshot
        if len(self._snapshots) > self._most:
            del self._snapshots[next(iter(self._snapshots))]

    def drop(self, resource: Resource) -> None:
        """Leave out a resource that was forgotten."""
        self._snapshots.pop(resource, None)

    def clear(self) -> None:
        """Leave out all of them."""
        self._snapshots.clear()
