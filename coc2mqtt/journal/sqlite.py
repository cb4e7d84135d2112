"""The journal in one SQLite file."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import structlog

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.journal.codec import Compressor, encode_snapshot, encode_watch
from coc2mqtt.journal.database import Database
from coc2mqtt.journal.delivered import DeliveredEventStore, TimeIndex
from coc2mqtt.journal.errors import CorruptJournalError
from coc2mqtt.journal.group_commit import GroupCommitter
from coc2mqtt.journal.outbox import Outbox, PendingStats
from coc2mqtt.journal.protocol import EVERYTHING, JournalCounts, JournalEntry, Selection, StoredWatch
from coc2mqtt.journal.rows import entry, new_event, snapshot_row, stored_snapshot, stored_watch, watch_row
from coc2mqtt.journal.snapshot_cache import SnapshotCache
from coc2mqtt.journal.sqlite_errors import damaged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Snapshot
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.journal.outbox import OutboxDelta

_KEEP_DELIVERED = timedelta(days=7)
_MAX_PENDING_AGE = timedelta(days=7)
# So many events are deleted, and so many pages given back, in one transaction: others wait no longer than for that,
# and what SQLite writes ahead stays small.
_DELETE_AT_ONCE = 5000
_PAGES_AT_ONCE = 2000
# So long a commit waits for others, and an acknowledgement, which nobody waits for, for commits (seconds).
_LINGER = 0.005
_LINGER_DELIVERED = 0.02
# What an ordinary day fills again is left in the file (pages).
_SPARE_PAGES = 1000

_SAVE_SNAPSHOT = """
    INSERT INTO snapshot (kind, tag, taken_at, body, checksum) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (kind, tag) DO UPDATE
    SET taken_at = excluded.taken_at, body = excluded.body, checksum = excluded.checksum
"""
_READ_SNAPSHOT = "SELECT body, taken_at, checksum FROM snapshot WHERE kind = ? AND tag = ?"
# INDEXED BY in what follows, because the planner may else walk over every delivered event to find the pending ones.
_READ_PENDING = """
    SELECT seq, id, kind, record, checksum FROM event INDEXED BY event_pending
    WHERE delivered_at IS NULL AND seq > ? ORDER BY seq LIMIT ?
"""
_READ_LAST_DELIVERED = """
    SELECT seq, id, kind, record, checksum FROM event WHERE delivered_at IS NOT NULL ORDER BY seq DESC LIMIT 1
"""
_ANY_PENDING = "SELECT 1 FROM event INDEXED BY event_pending WHERE delivered_at IS NULL AND seq > ? LIMIT 1"
_DELETE_DELIVERED = """
    DELETE FROM event WHERE seq IN (
        SELECT seq FROM event INDEXED BY event_delivered WHERE delivered_at < ? LIMIT ?
    )
"""
# With a cast, because it has no checksum, and a damaged one must at least be a number.
_DROPPED = "SELECT cast(dropped AS INTEGER) FROM tally"
_FORGET = "DELETE FROM snapshot WHERE kind = ? AND tag = ?"
_SAVE_WATCH = """
    INSERT INTO watch (kind, tag, body, checksum) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, tag) DO UPDATE SET body = excluded.body, checksum = excluded.checksum
"""

_log = structlog.get_logger()


class SqliteJournal:
    """A Journal in the SQLite file at ``path``, which is created if it is not there; its folder is not.

    While it is open no other program can open the file. Delivered events are kept for ``keep_delivered``; at most
    ``max_pending`` wait for delivery, each for at most ``max_pending_age``. ``clock`` gives Unix time in seconds,
    ``uptime`` seconds from anywhere, ``rng`` the ids. A commit waits up to ``linger`` seconds for other writes to share
    its transaction, an acknowledgement up to ``linger_delivered`` seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_delivered: timedelta = _KEEP_DELIVERED,
        max_pending: int = 100_000,
        max_pending_age: timedelta = _MAX_PENDING_AGE,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        linger: float = _LINGER,
        linger_delivered: float = _LINGER_DELIVERED,
    ) -> None:
        # Nobody has to be unable to guess an id, and the system's own randomness is a call to the kernel for each.
        self._rng = rng or random.Random()  # noqa: S311
        self._database = Database(path, self._rng)
        self._archive = DeliveredEventStore(self._database)
        self._path = path
        self._keep_delivered = keep_delivered.total_seconds()
        self._clock = clock
        self._outbox = Outbox(max_pending, max_pending_age, uptime=uptime)
        self._writer = GroupCommitter(self._database, self._outbox, now=clock)
        self._linger = linger
        self._linger_delivered = linger_delivered
        self._compressor = Compressor()
        self._recent = SnapshotCache()
        self._arrival = asyncio.Event()
        # What is stored of each watch, once it was read: a new file gets it from here when the old one is damaged.
        self._watches: dict[tuple[Kind, str], str | None] | None = None
        # The number of the last event in a damaged file, until the new one goes on from there.
        self._continued_seq: int | None = None
        self._usable = False

    async def open(self) -> None:
        """Open the file; one that is damaged is put aside, and a new one begun."""
        self._watches = None
        await self._open()

    async def ensure_open(self) -> None:
        """Open the journal if an exception in ``start_afresh`` left it unusable; what is known goes into a new file."""
        if not self._usable:
            await self._database.close()
            await self._open()

    async def start_afresh(self, damage: CorruptJournalError) -> None:
        """Put the damaged file aside, begin a new one and say so; the journal is open then, whether it was or not.

        The new one goes on counting where the old one ended, and knows the watches if they were read before. Raises
        DamagedError, and closes the journal, when the same happened within the last ten minutes or the file cannot
        be renamed.
        """
        self._usable = False
        # Noted before: should anything fail from here on, whoever opens the journal next goes on from it.
        self._continued_seq = max(self._outbox.last_seq, self._database.last_seq_of_damaged)
        kept = await self._database.put_aside(damage, now=self._clock())
        if kept is None:  # another program did it just before, has logged it, and has started a new one
            self._continued_seq = None
        else:
            lost = "" if self._watches is not None else ", and watches added by commands are lost: add them again"
            _log.error(
                "journal is corrupt: moved it and started a new one",
                found=damage.found,
                kept_as=str(kept),
                hint=f"undelivered events stay in the old file; every watch starts from a new baseline{lost}",
            )
        await self._database.open()
        await self._begin()

    async def close(self) -> None:
        """Store what was asked for, and close the file."""
        try:
            await self._writer.flush()
        finally:
            self._usable = False
            await self._database.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return what was last committed of a resource."""
        if (known := self._recent.get(resource)) is not None:
            return known
        rows = await self._database.read(_READ_SNAPSHOT, resource)
        try:
            return stored_snapshot(resource, *rows[0]) if rows else None
        except ValueError as error:
            raise damaged(self._path, f"snapshot of {resource.kind} {resource.tag}: {error}") from error

    async def commit(self, resource: Resource, snapshot: Snapshot | None, events: Sequence[Event]) -> None:
        """Store the new snapshot together with the events that it caused."""
        # Here, where a TypeError is that of this caller alone.
        body = None if snapshot is None else encode_snapshot(snapshot)
        added = [new_event(resource.kind, event, self._rng) for event in events]

        def store(connection: sqlite3.Connection, draft: OutboxDelta) -> None:
            if snapshot is not None and body is not None:
                row = snapshot_row(resource, snapshot.taken_at, self._compressor.compress(body))
                connection.execute(_SAVE_SNAPSHOT, row)
            if added:
                draft.add(connection, added)

        def stored() -> None:
            if snapshot is not None:
                self._recent.put(resource, snapshot)
            if added:
                self._wake()

        await self._writer.write(store, stored=stored, within=self._linger)

    async def forget(self, resource: Resource) -> None:
        """Drop the snapshot of a resource."""
        await self._execute(_FORGET, [resource], stored=lambda: self._recent.drop(resource))

    async def resources(self) -> list[Resource]:
        """Return every resource of which there is a snapshot."""
        rows = await self._database.read("SELECT kind, tag FROM snapshot ORDER BY kind, tag")
        try:
            return [Resource(Kind(kind), tag) for kind, tag in rows]
        except ValueError as error:
            raise damaged(self._path, f"resources: {error}") from error

    async def pending(self, *, after: int = 0, limit: int = 100) -> list[JournalEntry]:
        """Return the first events that are not yet delivered."""
        if self._outbox.exceeds_age(self._clock()):
            await self._hold_bounds()
        rows: Sequence[Any] | None = self._outbox.read(after, limit)
        if rows is None:
            rows = await self._database.read(_READ_PENDING, (after, limit))
        try:
            return [entry(*row) for row in rows]
        except ValueError as error:
            raise damaged(self._path, f"events after {after}: {error}") from error

    async def last_delivered(self) -> JournalEntry | None:
        """Return the event with the highest seq that is delivered and still kept."""
        rows = await self._database.read(_READ_LAST_DELIVERED)
        try:
            return entry(*rows[0]) if rows else None
        except ValueError as error:
            raise damaged(self._path, f"the last event: {error}") from error

    async def wait_pending(self, after: int) -> None:
        """Return as soon as there is an event that is not yet delivered."""
        while True:
            # Taken before looking: a commit from here on sets it.
            arrival = self._arrival
            known = self._outbox.read(after, 1)
            if known or (known is None and await self._database.read(_ANY_PENDING, (after,))):
                return
            await arrival.wait()

    async def acknowledge(self, seqs: Iterable[int]) -> None:
        """Mark events as delivered."""
        now, marked = self._clock(), set(seqs)
        if marked:
            await self._writer.write(
                lambda connection, draft: draft.acknowledge(connection, marked, now), within=self._linger_delivered
            )

    async def delivered(
        self, *, after: int = 0, since: float | None = None, only: Selection = EVERYTHING, limit: int = 100
    ) -> list[JournalEntry]:
        """Return the first delivered events that are wanted."""
        rows = await self._archive.read(after, since, only, limit)
        try:
            return [entry(*row) for row in rows]
        except ValueError as error:
            raise damaged(self._path, f"delivered events after {after}: {error}") from error

    async def save_watch(self, watch: Watch, *, anew: Sequence[Resource] = ()) -> None:
        """Store a watch, and drop the snapshots of ``anew``."""
        await self._store_watch(watch.kind, watch.tag, encode_watch(watch), anew)

    async def remove_watch(self, kind: Kind, tag: str) -> None:
        """Leave word that something is not watched."""
        await self._store_watch(kind, tag, None)

    async def forget_watch(self, kind: Kind, tag: str) -> None:
        """Store nothing of a watch any more."""

        def stored() -> None:
            if self._watches is not None:
                self._watches.pop((kind, tag), None)

        await self._execute("DELETE FROM watch WHERE kind = ? AND tag = ?", [(kind, tag)], stored=stored)

    async def watches(self) -> list[StoredWatch]:
        """Return what is stored for every kind and tag."""
        rows = await self._database.read("SELECT kind, tag, body, checksum FROM watch ORDER BY position")
        try:
            stored = [stored_watch(*row) for row in rows]
        except ValueError as error:
            raise damaged(self._path, f"watches: {error}") from error
        self._watches = {(Kind(kind), tag): body for kind, tag, body, _ in rows}
        return stored

    async def prune(self, now: float) -> int:
        """Delete the events that were delivered long ago, and drop the pending ones that are too old or too many."""
        limit = now - self._keep_delivered

        def delete(connection: sqlite3.Connection, _: OutboxDelta) -> int:
            count = connection.execute(_DELETE_DELIVERED, (limit, _DELETE_AT_ONCE)).rowcount
            TimeIndex.prune(connection)
            return count

        deleted = last = await self._writer.write(delete)
        while last == _DELETE_AT_ONCE:
            last = await self._writer.write(delete)
            deleted += last
        await self._shrink()
        return deleted

    async def counts(self) -> JournalCounts:
        """Return how many events there are of each sort."""
        ((dropped,),) = await self._database.read(_DROPPED)
        oldest = self._outbox.oldest
        return JournalCounts(
            pending=self._outbox.count,
            oldest_pending=None if oldest is None else oldest.timestamp,
            dropped=dropped,
            last_seq=self._outbox.last_seq,
        )

    async def _execute(self, statement: str, rows: Sequence[Sequence[object]], *, stored: Callable[[], None]) -> None:
        def work(connection: sqlite3.Connection, _: OutboxDelta) -> None:
            connection.executemany(statement, rows)

        await self._writer.write(work, stored=stored)

    async def _open(self) -> None:
        try:
            await self._database.open()
        except CorruptJournalError as error:
            await self.start_afresh(error)
        else:
            await self._begin()

    async def _begin(self) -> None:
        """Drop what is too old before anybody reads it; begin a new file from what is known."""
        watches, last_seq = self._watches or {}, self._continued_seq

        def begin(connection: sqlite3.Connection) -> PendingStats:
            if last_seq is not None:
                # Deleted first: this may be the second attempt.
                connection.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?)", (last_seq,))
                connection.executemany(_SAVE_WATCH, [watch_row(*key, body) for key, body in watches.items()])
            return PendingStats.look(connection)

        try:
            self._outbox.begin(await self._database.transact(begin), self._clock())
            self._continued_seq = None
            self._recent.clear()
            await self._hold_bounds()
            self._usable = True
        except BaseException:
            await self._database.close()
            raise

    async def _hold_bounds(self) -> None:
        """Drop what is too old or too many: each transaction does."""
        await self._writer.write(lambda _connection, _draft: None)

    async def _shrink(self) -> None:
        """Give back what an outage made the file grow by."""
        ((unused,),) = await self._database.read("PRAGMA freelist_count")
        for spare in range(unused - _SPARE_PAGES, 0, -_PAGES_AT_ONCE):
            await self._database.shrink(min(spare, _PAGES_AT_ONCE))

    async def _store_watch(self, kind: Kind, tag: str, body: str | None, anew: Sequence[Resource] = ()) -> None:
        def store(connection: sqlite3.Connection, _: OutboxDelta) -> None:
            connection.execute(_SAVE_WATCH, watch_row(kind, tag, body))
            connection.executemany(_FORGET, anew)

        def stored() -> None:
            if self._watches is not None:
                self._watches[kind, tag] = body
            for resource in anew:
                self._recent.drop(resource)

        await self._writer.write(store, stored=stored)

    def _wake(self) -> None:
        self._arrival.set()
        self._arrival = asyncio.Event()
