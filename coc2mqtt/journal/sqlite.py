"""The journal in one SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import structlog

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.events.summary import summarize
from coc2mqtt.journal.cache import SnapshotCache
from coc2mqtt.journal.codec import (
    Compressor,
    decode_event_row,
    decode_snapshot_row,
    decode_watch_row,
    encode_snapshot,
    encode_snapshot_row,
    encode_watch,
    encode_watch_row,
)
from coc2mqtt.journal.database import Database
from coc2mqtt.journal.delivered import DeliveredEventStore, TimeIndex
from coc2mqtt.journal.errors import CorruptJournalError
from coc2mqtt.journal.group_commit import GroupCommitter
from coc2mqtt.journal.outbox import Outbox, PendingStats
from coc2mqtt.journal.protocol import ALL_EVENTS, Journal, JournalCounts, JournalEntry, Selection, StoredWatch
from coc2mqtt.journal.sqlite_errors import corrupt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Snapshot, Watch
    from coc2mqtt.journal.outbox import OutboxDelta

_KEEP_DELIVERED = timedelta(days=7)
_MAX_PENDING_AGE = timedelta(days=7)
# Limits of one transaction, so that other calls do not wait for long and the -wal file stays small.
_MAX_DELETED_EVENTS = 5000
_MAX_SHRUNK_PAGES = 2000
# Acknowledgements wait longer than commits, because no caller depends on their result.
_BATCH_WINDOW_S = 0.005
_ACKNOWLEDGE_WINDOW_S = 0.02
# Unused pages that stay in the file: an ordinary day needs them again.
_SPARE_PAGES = 1000

_SAVE_SNAPSHOT = """
    INSERT INTO snapshot (kind, tag, taken_at, body, checksum) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (kind, tag) DO UPDATE
    SET taken_at = excluded.taken_at, body = excluded.body, checksum = excluded.checksum
"""
_READ_SNAPSHOT = "SELECT body, taken_at, checksum FROM snapshot WHERE kind = ? AND tag = ?"
_DELETE_SNAPSHOT = "DELETE FROM snapshot WHERE kind = ? AND tag = ?"
# INDEXED BY, because the query planner may otherwise scan all delivered events to find the pending ones.
_READ_PENDING = """
    SELECT seq, id, kind, record, checksum FROM event INDEXED BY event_pending
    WHERE delivered_at IS NULL AND seq > ? ORDER BY seq LIMIT ?
"""
_ANY_PENDING = "SELECT 1 FROM event INDEXED BY event_pending WHERE delivered_at IS NULL AND seq > ? LIMIT 1"
_READ_LAST_DELIVERED = """
    SELECT seq, id, kind, record, checksum FROM event WHERE delivered_at IS NOT NULL ORDER BY seq DESC LIMIT 1
"""
_DELETE_DELIVERED = """
    DELETE FROM event WHERE seq IN (
        SELECT seq FROM event INDEXED BY event_delivered WHERE delivered_at < ? LIMIT ?
    )
"""
# The column has no checksum: the cast turns a corrupt value into a number.
_DROPPED = "SELECT cast(dropped AS INTEGER) FROM tally"
_SAVE_WATCH = """
    INSERT INTO watch (kind, tag, body, checksum) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, tag) DO UPDATE SET body = excluded.body, checksum = excluded.checksum
"""

_log = structlog.get_logger()


class SqliteJournal(Journal):
    """A journal in the SQLite file at ``path``. The file is created if it does not exist, its folder is not.

    No other program can open the file while it is open. Delivered events are kept for ``keep_delivered``. At most
    ``max_pending`` events are pending, each for at most ``max_pending_age``. ``clock`` returns Unix time in seconds,
    ``uptime`` is a monotonic clock in seconds, and ``rng`` generates the ids. A commit waits up to ``batch_window``
    seconds for other writes to share its transaction, an acknowledgement up to ``acknowledge_window`` seconds.
    ``describe`` returns the summary of an event.
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
        batch_window: float = _BATCH_WINDOW_S,
        acknowledge_window: float = _ACKNOWLEDGE_WINDOW_S,
        describe: Callable[[Event], str] = summarize,
    ) -> None:
        # Ids need not be unpredictable, and the system's randomness costs a system call for each.
        self._rng = rng or random.Random()  # noqa: S311
        self._path = path
        self._describe = describe
        self._keep_delivered_s = keep_delivered.total_seconds()
        self._clock = clock
        self._batch_window = batch_window
        self._acknowledge_window = acknowledge_window
        self._database = Database(path, self._rng)
        self._delivered_events = DeliveredEventStore(self._database)
        self._outbox = Outbox(max_pending, max_pending_age, uptime=uptime)
        self._committer = GroupCommitter(self._database, self._outbox, now=clock)
        self._compressor = Compressor()
        self._snapshot_cache = SnapshotCache()
        self._new_events = asyncio.Event()
        # The stored watches once they were read. recreate() writes them into the new file.
        self._known_watches: dict[tuple[Kind, str], str | None] | None = None
        # The number of the last event in a corrupt file, until the new file continues from it.
        self._continue_after_seq: int | None = None
        self._usable = False

    async def open(self) -> None:
        """Open the file. A corrupt file is quarantined and replaced by a new one."""
        self._known_watches = None
        await self._open()

    async def ensure_open(self) -> None:
        """Open the journal if a failed ``recreate`` left it unusable, and write the known watches into a new file."""
        if not self._usable:
            await self._database.close()
            await self._open()

    async def recreate(self, corruption: CorruptJournalError) -> None:
        """Quarantine the corrupt file, log it, and open a new file.

        The numbers of the events continue in the new file. It contains the watches if they were read before. Raises
        CorruptJournalError and closes the journal if a file was already quarantined within the last ten minutes or if
        the file cannot be renamed.
        """
        self._usable = False
        # Stored first: if one of the next steps fails, ensure_open() continues from this number.
        self._continue_after_seq = max(self._outbox.last_seq, self._database.recovered_last_seq)
        quarantined = await self._database.quarantine(corruption, now=self._clock())
        if quarantined is None:  # another program has just quarantined, logged and replaced the file
            self._continue_after_seq = None
        else:
            lost = "" if self._known_watches is not None else "; watches added by commands are lost: add them again"
            _log.error(
                "journal is corrupt: moved the file and started a new one",
                reason=corruption.reason,
                path=str(quarantined),
                hint="undelivered events are only in the moved file; every watch starts from a new baseline" + lost,
            )
        await self._database.open()
        await self._load()

    async def close(self) -> None:
        try:
            await self._committer.flush()
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
        if (cached := self._snapshot_cache.get(resource)) is not None:
            return cached
        rows = await self._database.read(_READ_SNAPSHOT, resource)
        with self._detecting_corruption(f"snapshot of {resource.kind} {resource.tag}"):
            return decode_snapshot_row(resource, *rows[0]) if rows else None

    async def commit(self, resource: Resource, snapshot: Snapshot | None, events: Sequence[Event]) -> None:
        # Encoded here, so that a TypeError does not fail other writes.
        body = None if snapshot is None else encode_snapshot(snapshot)
        records = {self._new_id(): EventRecord.of(event, self._describe) for event in events}

        def store(connection: sqlite3.Connection, delta: OutboxDelta) -> None:
            if snapshot is not None and body is not None:
                row = encode_snapshot_row(resource, snapshot.taken_at, self._compressor.compress(body))
                connection.execute(_SAVE_SNAPSHOT, row)
            if records:
                delta.add(connection, resource.kind, records)

        def on_stored() -> None:
            if snapshot is not None:
                self._snapshot_cache.put(resource, snapshot)
            if records:
                self._new_events.set()
                self._new_events = asyncio.Event()

        await self._committer.write(store, on_stored=on_stored, window=self._batch_window)

    async def delete_snapshot(self, resource: Resource) -> None:
        def delete(connection: sqlite3.Connection, _: OutboxDelta) -> None:
            connection.execute(_DELETE_SNAPSHOT, resource)

        await self._committer.write(delete, on_stored=lambda: self._snapshot_cache.remove(resource))

    async def resources(self) -> list[Resource]:
        rows = await self._database.read("SELECT kind, tag FROM snapshot ORDER BY kind, tag")
        with self._detecting_corruption("resources"):
            return [Resource(Kind(kind), tag) for kind, tag in rows]

    async def pending(self, *, after: int = 0, limit: int = 100) -> list[JournalEntry]:
        if self._outbox.has_expired(self._clock()):
            await self._enforce_limits()
        if (cached := self._outbox.read(after, limit)) is not None:
            return cached
        rows = await self._database.read(_READ_PENDING, (after, limit))
        with self._detecting_corruption(f"events after {after}"):
            return [decode_event_row(*row) for row in rows]

    async def last_delivered(self) -> JournalEntry | None:
        rows = await self._database.read(_READ_LAST_DELIVERED)
        with self._detecting_corruption("last delivered event"):
            return decode_event_row(*rows[0]) if rows else None

    async def wait_pending(self, after: int) -> None:
        while True:
            # Taken before the check, so that a commit during the check is not missed.
            new_events = self._new_events
            cached = self._outbox.read(after, 1)
            if cached or (cached is None and await self._database.read(_ANY_PENDING, (after,))):
                return
            await new_events.wait()

    async def acknowledge(self, seqs: Iterable[int]) -> None:
        now, delivered = self._clock(), set(seqs)
        if delivered:
            await self._committer.write(
                lambda connection, delta: delta.acknowledge(connection, delivered, now),
                window=self._acknowledge_window,
            )

    async def delivered(
        self, *, after: int = 0, since: float | None = None, selection: Selection = ALL_EVENTS, limit: int = 100
    ) -> list[JournalEntry]:
        rows = await self._delivered_events.read(after, since, selection, limit)
        with self._detecting_corruption(f"delivered events after {after}"):
            return [decode_event_row(*row) for row in rows]

    async def save_watch(self, watch: Watch, *, reset_snapshots: Sequence[Resource] = ()) -> None:
        await self._save_watch(watch.kind, watch.tag, encode_watch(watch), reset_snapshots)

    async def mark_watch_removed(self, kind: Kind, tag: str) -> None:
        await self._save_watch(kind, tag, None)

    async def delete_watch(self, kind: Kind, tag: str, *, reset_snapshots: Sequence[Resource] = ()) -> None:
        def delete(connection: sqlite3.Connection, _: OutboxDelta) -> None:
            connection.execute("DELETE FROM watch WHERE kind = ? AND tag = ?", (kind, tag))
            connection.executemany(_DELETE_SNAPSHOT, reset_snapshots)

        def on_stored() -> None:
            if self._known_watches is not None:
                self._known_watches.pop((kind, tag), None)
            for resource in reset_snapshots:
                self._snapshot_cache.remove(resource)

        await self._committer.write(delete, on_stored=on_stored)

    async def watches(self) -> list[StoredWatch]:
        rows = await self._database.read("SELECT kind, tag, body, checksum FROM watch ORDER BY position")
        with self._detecting_corruption("watches"):
            stored = [decode_watch_row(*row) for row in rows]
        self._known_watches = {(Kind(kind), tag): body for kind, tag, body, _ in rows}
        return stored

    async def prune(self, now: float) -> int:
        limit = now - self._keep_delivered_s

        def delete(connection: sqlite3.Connection, _: OutboxDelta) -> int:
            count = connection.execute(_DELETE_DELIVERED, (limit, _MAX_DELETED_EVENTS)).rowcount
            TimeIndex.prune(connection)
            return count

        deleted = count = await self._committer.write(delete)
        while count == _MAX_DELETED_EVENTS:
            count = await self._committer.write(delete)
            deleted += count
        await self._shrink()
        return deleted

    async def counts(self) -> JournalCounts:
        ((dropped,),) = await self._database.read(_DROPPED)
        oldest = self._outbox.oldest
        return JournalCounts(
            pending=self._outbox.count,
            oldest_pending=None if oldest is None else oldest.timestamp,
            dropped=dropped,
            last_seq=self._outbox.last_seq,
        )

    def _new_id(self) -> str:
        return uuid.UUID(int=self._rng.getrandbits(128), version=4).hex

    async def _open(self) -> None:
        try:
            await self._database.open()
        except CorruptJournalError as error:
            await self.recreate(error)
        else:
            await self._load()

    async def _load(self) -> None:
        """Read the pending statistics and enforce the limits; in a new file, restore the watches of the old one."""
        watches, last_seq = self._known_watches or {}, self._continue_after_seq

        def load(connection: sqlite3.Connection) -> PendingStats:
            if last_seq is not None:
                # There is a row already if this is the second attempt.
                connection.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?)", (last_seq,))
                connection.executemany(_SAVE_WATCH, [encode_watch_row(*key, body) for key, body in watches.items()])
            return PendingStats.read(connection)

        try:
            self._outbox.start_run(await self._database.transact(load), self._clock())
            self._continue_after_seq = None
            self._snapshot_cache.clear()
            await self._enforce_limits()
            self._usable = True
        except BaseException:
            await self._database.close()
            raise

    async def _enforce_limits(self) -> None:
        """Drop expired and excess events, as each transaction does."""
        await self._committer.write(lambda _connection, _delta: None)

    async def _shrink(self) -> None:
        """Return the pages to the file system that the file gained during an outage."""
        ((unused,),) = await self._database.read("PRAGMA freelist_count")
        for excess in range(unused - _SPARE_PAGES, 0, -_MAX_SHRUNK_PAGES):
            await self._database.shrink(min(excess, _MAX_SHRUNK_PAGES))

    async def _save_watch(
        self, kind: Kind, tag: str, body: str | None, reset_snapshots: Sequence[Resource] = ()
    ) -> None:
        def store(connection: sqlite3.Connection, _: OutboxDelta) -> None:
            connection.execute(_SAVE_WATCH, encode_watch_row(kind, tag, body))
            connection.executemany(_DELETE_SNAPSHOT, reset_snapshots)

        def on_stored() -> None:
            if self._known_watches is not None:
                self._known_watches[kind, tag] = body
            for resource in reset_snapshots:
                self._snapshot_cache.remove(resource)

        await self._committer.write(store, on_stored=on_stored)

    @contextlib.contextmanager
    def _detecting_corruption(self, content: str) -> Iterator[None]:
        """Convert the ValueError of a corrupt row to CorruptJournalError. ``content`` names what was read."""
        try:
            yield
        except ValueError as error:
            raise corrupt(self._path, f"{content}: {error}") from error
