"""The interface of every journal, independent of its storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.record import EventRecord
    from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One event in the journal.

    ``seq`` increases from event to event of a journal and is never reused. There are gaps where events were dropped.
    ``id`` is globally unique: 32 hexadecimal digits. ``kind`` is the kind of the resource that caused the event.
    """

    seq: int
    id: str
    kind: Kind
    record: EventRecord


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter for events. None matches everything; ``kinds`` are the kinds of the resources that caused the events."""

    kinds: frozenset[Kind] | None = None
    tag: str | None = None
    event_type: str | None = None


ALL_EVENTS = Selection()


@dataclass(frozen=True, slots=True)
class StoredWatch:
    """The last run-time decision about a clan, a war or a player: a watch, or None if its watch was removed."""

    kind: Kind
    tag: str
    watch: Watch | None


@dataclass(frozen=True, slots=True)
class JournalCounts:
    """The number of pending events, and the number of all events that were ever dropped.

    ``oldest_pending`` is the timestamp of the oldest pending event (Unix time in seconds), None if there is none.
    ``last_seq`` is the number of the last committed event, 0 before the first.
    """

    pending: int
    oldest_pending: float | None
    dropped: int
    last_seq: int


class Journal(Protocol):
    """Durable storage for snapshots, events and watches. Events are pending until they are acknowledged.

    Each method that changes something is atomic, even if the program crashes or the caller is cancelled, and its change
    is durable when it returns. Many tasks may call all methods concurrently. They raise JournalError if the storage
    fails, and RuntimeError if the journal is not open.
    """

    async def open(self) -> None:
        """Open the journal, and create it if there is none. Raises CannotOpenError."""

    async def close(self) -> None:
        """Finish the pending operations and close the journal. Closing it twice has no effect."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return the last committed snapshot of a resource, None if there is none."""

    async def commit(self, resource: Resource, snapshot: Snapshot | None, events: Sequence[Event]) -> None:
        """Store a new snapshot together with the events that it caused; None keeps the stored snapshot.

        The events become pending in their order, each with a new ``seq`` and ``id``, and ``wait_pending`` returns. The
        oldest pending events are dropped and counted if there are more than the journal may hold, and so are those
        that have been pending for too long. Raises TypeError if the snapshot or an event cannot be encoded as JSON.
        """

    async def delete_snapshot(self, resource: Resource) -> None:
        """Delete the snapshot of a resource. Its events are kept."""

    async def resources(self) -> list[Resource]:
        """Return all resources that have a snapshot, sorted by kind and tag."""

    async def pending(self, *, after: int = 0, limit: int = 100) -> list[JournalEntry]:
        """Return the first ``limit`` pending events with ``seq > after``, sorted by seq.

        Events that have been pending for too long are dropped and counted first.
        """

    async def last_delivered(self) -> JournalEntry | None:
        """Return the delivered event with the highest ``seq`` that is still stored, None if there is none."""

    async def wait_pending(self, after: int) -> None:
        """Wait until there is a pending event with ``seq > after``."""

    async def acknowledge(self, seqs: Iterable[int]) -> None:
        """Mark events as delivered. Unknown events and events that are already delivered are ignored."""

    async def delivered(
        self, *, after: int = 0, since: float | None = None, selection: Selection = ALL_EVENTS, limit: int = 100
    ) -> list[JournalEntry]:
        """Return the first ``limit`` stored delivered events with ``seq > after`` that match, sorted by seq.

        With ``since`` (Unix time in seconds) the result starts with the first event that has this timestamp or a later
        one. If the clock was set back, some of the following events can have an earlier timestamp. The search does not
        block other calls, however many events are stored.
        """

    async def save_watch(self, watch: Watch, *, reset_snapshots: Sequence[Resource] = ()) -> None:
        """Store a watch, replacing the one of its kind and tag, and delete the snapshots of some resources."""

    async def mark_watch_removed(self, kind: Kind, tag: str) -> None:
        """Store that a watch was removed, so that a watch in the configuration file stays removed after a restart."""

    async def delete_watch(self, kind: Kind, tag: str, *, reset_snapshots: Sequence[Resource] = ()) -> None:
        """Delete the stored state of a watch, as if it had never been saved or removed at run time.

        Also deletes the snapshots of some resources.
        """

    async def watches(self) -> list[StoredWatch]:
        """Return the stored watches, in the order in which each kind and tag was first stored."""

    async def prune(self, now: float) -> int:
        """Delete the events that were delivered more than ``keep_delivered`` before ``now`` (Unix time in seconds).

        Returns the number of deleted events. Also drops pending events if there are too many or if they have been
        pending for too long. If it is cancelled, some of the events are already deleted.
        """

    async def counts(self) -> JournalCounts:
        """Return the number of pending and dropped events."""
