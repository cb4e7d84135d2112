"""The journal in one SQLite file."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import structlog

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.journal.codec import (
    decode_record,
    decode_snapshot,
    decode_watch,
    encode_record,
    encode_snapshot,
    encode_watch,
)
from coc2mqtt.journal.database import Database
from coc2mqtt.journal.protocol import JournalCounts, JournalEntry, StoredWatch
from coc2mqtt.journal.sqlite_errors import damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    import aiosqlite

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Snapshot
    from coc2mqtt.events.watch import Watch

_KEEP_DELIVERED = timedelta(days=7)

_SAVE_SNAPSHOT = """
    INSERT INTO snapshot (kind, tag, taken_at, body) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, tag) DO UPDATE SET taken_at = excluded.taken_at, body = excluded.body
"""
_ADD_EVENT = "INSERT INTO event (id, kind, timestamp, record) VALUES (?, ?, ?, ?)"
# INDEXED BY in what follows, because the planner may else walk over every delivered event to find the pending ones.
_READ_PENDING = """
    SELECT seq, id, kind, record FROM event INDEXED BY event_pending
    WHERE delivered_at IS NULL AND seq > ? ORDER BY seq LIMIT ?
"""
_ANY_PENDING = "SELECT 1 FROM event INDEXED BY event_pending WHERE delivered_at IS NULL AND seq > ? LIMIT 1"
_DROP_OLDEST = """
    DELETE FROM event INDEXED BY event_pending WHERE delivered_at IS NULL AND seq <= (
        SELECT seq FROM event INDEXED BY event_pending WHERE delivered_at IS NULL ORDER BY seq DESC LIMIT 1 OFFSET ?
    )
"""
_COUNT = """
    SELECT
        (SELECT count(*) FROM event INDEXED BY event_pending WHERE delivered_at IS NULL),
        (SELECT timestamp FROM event INDEXED BY event_pending WHERE delivered_at IS NULL ORDER BY seq LIMIT 1),
        (SELECT count(*) FROM event WHERE delivered_at IS NOT NULL),
        (SELECT dropped FROM tally),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)
"""
_SAVE_WATCH = """
    INSERT INTO watch (kind, tag, body) VALUES (?, ?, ?)
    ON CONFLICT (kind, tag) DO UPDATE SET body = excluded.body
"""

_log = structlog.get_logger()


class SqliteJournal:
    """A Journal in the SQLite file at ``path``, which is created if it is not there; its folder is not.

    Delivered events are kept for ``keep_delivered``; at most ``max_pending`` wait for delivery, at any time.
    ``clock`` gives Unix time in seconds, ``rng`` the ids.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_delivered: timedelta = _KEEP_DELIVERED,
        max_pending: int = 100_000,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._database = Database(path)
        self._path = path
        self._keep_delivered = keep_delivered.total_seconds()
        self._max_pending = max_pending
        self._clock = clock
        self._rng = rng or random.SystemRandom()
        self._arrival = asyncio.Event()
        self._dropping = False

    async def open(self) -> None:
        """Open the file."""
        await self._database.open()

    async def close(self) -> None:
        """Close the file."""
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
        rows = await self._database.read("SELECT body, taken_at FROM snapshot WHERE kind = ? AND tag = ?", resource)
        if not rows:
            return None
        ((body, taken_at),) = rows
        try:
            return decode_snapshot(body, taken_at=taken_at)
        except ValueError as error:
            raise damaged(self._path, f"snapshot of {resource.kind} {resource.tag}: {error}") from error

    async def commit(self, resource: Resource, snapshot: Snapshot | None, events: Sequence[Event]) -> None:
        """Store the new snapshot together with the events that it caused."""
        saved = [] if snapshot is None else [(*resource, snapshot.taken_at, encode_snapshot(snapshot))]
        added = [self._row(resource.kind, EventRecord.of(event)) for event in events]

        async def store(connection: aiosqlite.Connection) -> int:
            await connection.executemany(_SAVE_SNAPSHOT, saved)
            if not added:
                return 0
            await connection.executemany(_ADD_EVENT, added)
            return await self._drop_oldest(connection)

        try:
            dropped = await self._database.transact(store)
        finally:
            # After a cancellation, too, because the events may be stored nevertheless: who waits looks for itself.
            if added:
                self._wake()
        if added:
            self._say_dropped(dropped)

    async def forget(self, resource: Resource) -> None:
        """Drop the snapshot of a resource."""
        await self._execute("DELETE FROM snapshot WHERE kind = ? AND tag = ?", [resource])

    async def resources(self) -> list[Resource]:
        """Return every resource of which there is a snapshot."""
        rows = await self._database.read("SELECT kind, tag FROM snapshot ORDER BY kind, tag")
        return [Resource(Kind(kind), tag) for kind, tag in rows]

    async def pending(self, *, after: int = 0, limit: int = 100) -> list[JournalEntry]:
        """Return the first events that are not yet delivered."""
        rows = await self._database.read(_READ_PENDING, (after, limit))
        try:
            return [JournalEntry(seq, id_, Kind(kind), decode_record(record)) for seq, id_, kind, record in rows]
        except ValueError as error:
            raise damaged(self._path, f"events after {after}: {error}") from error

    async def wait_pending(self, after: int) -> None:
        """Return as soon as there is an event that is not yet delivered."""
        while True:
            # Taken before looking: a commit from here on sets it.
            arrival = self._arrival
            if await self._database.read(_ANY_PENDING, (after,)):
                return
            await arrival.wait()

    async def acknowledge(self, seqs: Iterable[int]) -> None:
        """Mark events as delivered."""
        now = self._clock()
        await self._execute(
            "UPDATE event SET delivered_at = ? WHERE seq = ? AND delivered_at IS NULL", [(now, seq) for seq in seqs]
        )

    async def save_watch(self, watch: Watch) -> None:
        """Store a watch."""
        await self._execute(_SAVE_WATCH, [(watch.kind, watch.tag, encode_watch(watch))])

    async def remove_watch(self, kind: Kind, tag: str) -> None:
        """Leave word that something is not watched."""
        await self._execute(_SAVE_WATCH, [(kind, tag, None)])

    async def forget_watch(self, kind: Kind, tag: str) -> None:
        """Store nothing of a watch any more."""
        await self._execute("DELETE FROM watch WHERE kind = ? AND tag = ?", [(kind, tag)])

    async def watches(self) -> list[StoredWatch]:
        """Return what is stored for every kind and tag."""
        rows = await self._database.read("SELECT kind, tag, body FROM watch ORDER BY position")
        try:
            return [
                StoredWatch(Kind(kind), tag, None if body is None else decode_watch(body)) for kind, tag, body in rows
            ]
        except ValueError as error:
            raise damaged(self._path, f"watches: {error}") from error

    async def prune(self, now: float) -> int:
        """Delete the events that were delivered long ago, and drop the oldest pending ones if there are too many."""

        async def delete(connection: aiosqlite.Connection) -> tuple[int, int]:
            cursor = await connection.execute("DELETE FROM event WHERE delivered_at < ?", (now - self._keep_delivered,))
            return cursor.rowcount, await self._drop_oldest(connection)

        deleted, dropped = await self._database.transact(delete)
        self._say_dropped(dropped)
        return deleted

    async def counts(self) -> JournalCounts:
        """Return how many events there are of each sort."""
        (row,) = await self._database.read(_COUNT)
        return JournalCounts(*row)

    async def _execute(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        async def work(connection: aiosqlite.Connection) -> None:
            await connection.executemany(statement, rows)

        await self._database.transact(work)

    def _row(self, kind: Kind, record: EventRecord) -> tuple[str, str, float, str]:
        identity = uuid.UUID(int=self._rng.getrandbits(128), version=4)
        return identity.hex, kind, record.timestamp, encode_record(record)

    async def _drop_oldest(self, connection: aiosqlite.Connection) -> int:
        dropped = (await connection.execute(_DROP_OLDEST, (self._max_pending,))).rowcount
        if dropped:
            await connection.execute("UPDATE tally SET dropped = dropped + ?", (dropped,))
        return dropped

    def _say_dropped(self, dropped: int) -> None:
        """Log the first of many drops in a row: afterwards ``counts`` tells."""
        if dropped and not self._dropping:
            _log.warning(
                "the oldest events are dropped: too many wait for delivery, see whether the broker is there",
                max_pending=self._max_pending,
            )
        self._dropping = dropped > 0

    def _wake(self) -> None:
        self._arrival.set()
        self._arrival = asyncio.Event()
