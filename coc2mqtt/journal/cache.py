"""Caches in memory of what was written last, most of which is soon read again."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.resource import Resource, Snapshot
    from coc2mqtt.journal.protocol import JournalEntry

# Far more events, each of 2 kB at most, than are in flight. During a long outage, the others are read from the file.
_MAX_EVENTS = 1000
# All resources of a small installation, or the recently changed ones of a large one. A clan takes 0.1 MB.
_MAX_SNAPSHOTS = 32


class PendingCache:
    """The newest pending events in memory, so that delivering them does not read the file.

    It contains all pending events with a ``seq`` above a minimum, which rises when the cache is full, sorted by seq.
    """

    def __init__(self, *, max_size: int = _MAX_EVENTS) -> None:
        self._max_size = max_size
        self._entries: dict[int, JournalEntry] = {}
        self._complete_after = 0

    def clear(self, last_seq: int) -> None:
        """Remove all events. From now on, the cache contains the events after ``last_seq``."""
        self._entries.clear()
        self._complete_after = last_seq

    def add(self, entries: Iterable[JournalEntry]) -> None:
        """Add new events, and evict the oldest ones if the cache is full."""
        self._entries.update((entry.seq, entry) for entry in entries)
        while len(self._entries) > self._max_size:
            self._complete_after = next(iter(self._entries))
            del self._entries[self._complete_after]

    def remove(self, seqs: Iterable[int]) -> None:
        """Remove delivered or dropped events from the cache. Events that are not cached are ignored."""
        for seq in seqs:
            self._entries.pop(seq, None)

    def remove_before(self, seq: int | None) -> None:
        """Remove the events before ``seq``, or all events if it is None."""
        self.remove([cached for cached in self._entries if seq is None or cached < seq])

    def read(self, after: int, limit: int, *, pending: int) -> list[JournalEntry] | None:
        """Return the first ``limit`` pending events with ``seq > after``, None if some of them may not be cached.

        ``pending`` is the number of all pending events.
        """
        if after < self._complete_after and len(self._entries) < pending:
            return None
        return list(islice((entry for seq, entry in self._entries.items() if seq > after), limit))


class SnapshotCache:
    """The last committed snapshots of up to ``max_size`` resources.

    The cache holds the committed objects themselves, which nobody may modify. Snapshots that were read from the file
    are not cached, because a newer one may have been committed during the read.
    """

    def __init__(self, *, max_size: int = _MAX_SNAPSHOTS) -> None:
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
