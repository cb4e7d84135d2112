"""What every journal does, whatever it is kept in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.record import EventRecord
    from coc2mqtt.events.resource import Kind, Resource, Snapshot
    from coc2mqtt.events.watch import Watch


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One event in the journal.

    ``seq`` grows from event to event of a journal, with gaps where events were dropped, and no number is ever given
    twice. ``id`` is the event's own, unique everywhere: 32 hexadecimal digits. ``kind`` is that of the resource that
    the event was seen in.
    """

    seq: int
    id: str
    kind: Kind
    record: EventRecord


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events are wanted; None is any. ``kinds`` are those of the resources that the events were seen in."""

    kinds: frozenset[Kind] | None = None
    tag: str | None = None
    event_type: str | None = None


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class StoredWatch:
    """What was last decided about a clan, a war or a player at run time: a watch, or None to stop watching it."""

    kind: Kind
    tag: str
    watch: Watch | None


@dataclass(frozen=True, slots=True)
class JournalCounts:
    """How many events wait for delivery, and how many were ever dropped: too many waited, or for too long.

    ``oldest_pending`` is the timestamp of the event that waits longest (Unix time in seconds), None if none waits.
    ``last_seq`` is the number of the last event that was ever committed, 0 before the first.
    """

    pending: int
    oldest_pending: float | None
    dropped: int
    last_seq: int


class Journal(Protocol):
    """Snapshots, events not yet delivered, and watches, over any crash.

    Each method that changes something does so whole or not at all, whatever dies or is cancelled meanwhile, and what
    it has changed when it returns stands. All of them may be called from many tasks at the same time. They raise
    JournalError when the storage fails, and RuntimeError when the journal is not open.
    """

    async def open(self) -> None:
        """Open the journal, and begin one if there is none; raises CannotOpenError when that is impossible."""

    async def close(self) -> None:
        """Close the journal after what is under way; a second time does nothing."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return what was last committed of a resource, None if nothing was or if it was forgotten."""

    async def commit(self, resource: Resource, snapshot: Snapshot | None, events: Sequence[Event]) -> None:
        """Store the new snapshot (None: leave the stored one as it is) together with the events that it caused.

        The events are pending then, in their order, each with its ``seq`` and ``id``, and whoever waits for them is
        woken. If more are pending than the journal may hold, the oldest are dropped and counted, and so are those that
        have waited for longer than they may. Raises TypeError when
        something in the snapshot or in an event is no JSON.
        """

    async def forget(self, resource: Resource) -> None:
        """Drop the snapshot of a resource; its events stay."""

    async def resources(self) -> list[Resource]:
        """Return every resource of which there is a snapshot, in order of kind and tag."""

    async def pending(self, *, after: int = 0, limit: int = 100) -> list[JournalEntry]:
        """Return the first ``limit`` events that are not yet delivered and have ``seq > after``, in order of seq.

        None that has waited for longer than it may is among them: it is dropped and counted before.
        """

    async def last_delivered(self) -> JournalEntry | None:
        """Return the event with the highest ``seq`` that is delivered and still kept, None if there is none."""

    async def wait_pending(self, after: int) -> None:
        """Return as soon as there is an event that is not yet delivered and has ``seq > after``."""

    async def acknowledge(self, seqs: Iterable[int]) -> None:
        """Mark events as delivered; they are kept for a while. What is delivered already or unknown is passed over."""

    async def delivered(
        self, *, after: int = 0, since: float | None = None, only: Selection = EVERYTHING, limit: int = 100
    ) -> list[JournalEntry]:
        """Return the first ``limit`` events that are delivered, still kept, and have ``seq > after``, in order of seq.

        With ``since`` (Unix time in seconds) they begin with the first one of that time or later: of what follows, one
        may be older by its timestamp where the clock was set back. ``only`` leaves out what is not asked for. It holds
        up nobody, however much is kept: others take their turns in between.
        """

    async def save_watch(self, watch: Watch, *, anew: Sequence[Resource] = ()) -> None:
        """Store a watch, in place of what was stored for the same kind and tag, and drop the snapshots of ``anew``."""

    async def remove_watch(self, kind: Kind, tag: str) -> None:
        """Leave word that something is not watched, so that a watch of the configuration stays stopped as well."""

    async def forget_watch(self, kind: Kind, tag: str) -> None:
        """Store nothing of a watch any more, as if nothing had ever been decided about it."""

    async def watches(self) -> list[StoredWatch]:
        """Return what is stored for every kind and tag, in the order in which each was first stored."""

    async def prune(self, now: float) -> int:
        """Delete the events that were delivered longer than ``keep_delivered`` before ``now`` (Unix time in seconds).

        Returns how many. Drops pending ones, too, if there are more than the journal may hold or if they have waited
        for longer than they may. A cancelled one has done a part of it.
        """

    async def counts(self) -> JournalCounts:
        """Return how many events there are of each sort."""
