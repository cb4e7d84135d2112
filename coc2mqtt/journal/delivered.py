"""Searches in the delivered events that are still stored, and their index by time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Iterable

    from coc2mqtt.journal.database import Database
    from coc2mqtt.journal.protocol import Selection

# Events that one query examines. Other calls wait for a query for about ten milliseconds.
_CHUNK_SIZE = 5000
# Events between two entries of the time index. A search reads up to this number of unwanted events, in a few ms.
_INDEX_STEP = 1000

# Chunks are measured in events, not in numbers, because there may be large gaps between the numbers.
_CHUNK_END = "SELECT max(seq) FROM (SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?)"
# NOT INDEXED, because the table is already sorted by seq.
_CHUNK = "event NOT INDEXED WHERE seq > :after AND seq <= :end AND delivered_at IS NOT NULL"
_FIRST_SINCE = f"SELECT min(seq) FROM {_CHUNK} AND timestamp >= :since"  # noqa: S608 - built from constants
# A corrupt record matches every selection, so that decoding it reports the corruption.
_MATCHES = """
    (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
    AND (
        (:tag IS NULL AND :event_type IS NULL)
        OR CASE WHEN json_valid(record) THEN
            coalesce(:tag, json_extract(record, '$.tag')) = json_extract(record, '$.tag')
            AND coalesce(:event_type, json_extract(record, '$.event_type')) = json_extract(record, '$.event_type')
        ELSE TRUE END
    )
"""
_READ = f"SELECT seq, id, kind, record, checksum FROM {_CHUNK} AND {_MATCHES} ORDER BY seq LIMIT :limit"  # noqa: S608

_LAST_ENTRY = "SELECT seq, cast(latest AS REAL) FROM time_index ORDER BY seq DESC LIMIT 1"
# Timestamps have no checksum: the cast turns a corrupt one into a number.
_LATEST_AFTER = "SELECT max(cast(timestamp AS REAL)) FROM event NOT INDEXED WHERE seq > ?"
_ADD_ENTRY = "INSERT INTO time_index (seq, latest) VALUES (?, ?)"
# The table is small and ascends by time as well, so that it needs no SQL index.
_LAST_ENTRY_BEFORE = "SELECT coalesce(max(seq), 0) FROM time_index WHERE latest < ?"
_PRUNE_ENTRIES = """
    DELETE FROM time_index WHERE seq < coalesce((SELECT min(seq) FROM event), (SELECT max(seq) FROM time_index))
"""


class DeliveredEventStore:
    """Reads delivered events in chunks of ``chunk_size``, so that a long search does not block other calls."""

    def __init__(self, database: Database, *, chunk_size: int = _CHUNK_SIZE) -> None:
        self._database = database
        self._chunk_size = chunk_size

    async def read(self, after: int, since: float | None, selection: Selection, limit: int) -> list[Any]:
        """Return the rows (seq, id, kind, record, checksum) that ``Journal.delivered`` describes."""
        if since is not None:
            first = await self._first_since(after, since)
            if first is None:
                return []
            after = first - 1
        kinds = None if selection.kinds is None else orjson.dumps(sorted(selection.kinds)).decode()
        criteria = {"kinds": kinds, "tag": selection.tag, "event_type": selection.event_type}
        rows: list[Any] = []
        async for start, end in self._chunks(after):
            bounds = {"after": start, "end": end, "limit": limit - len(rows)}
            rows += await self._database.read(_READ, {**criteria, **bounds})
            if len(rows) >= limit:
                break
        return rows

    async def _first_since(self, after: int, since: float) -> int | None:
        ((indexed,),) = await self._database.read(_LAST_ENTRY_BEFORE, (since,))
        async for start, end in self._chunks(max(after, indexed)):
            ((seq,),) = await self._database.read(_FIRST_SINCE, {"after": start, "end": end, "since": since})
            if seq is not None:
                return int(seq)
        return None

    async def _chunks(self, after: int) -> AsyncIterator[tuple[int, int]]:
        """Yield the bounds of each chunk: the number before its first event, and the number of its last event."""
        while True:
            ((end,),) = await self._database.read(_CHUNK_END, (after, self._chunk_size))
            if end is None:
                return
            yield after, end
            after = end


@dataclass(slots=True)
class TimeIndex:
    """The state of the sparse index by time, which lets a search skip the events before a time.

    An entry ``(seq, latest)`` means that no event up to ``seq`` has a timestamp later than ``latest``. This is not
    always the timestamp of the event ``seq``, because a clock can be set back.

    ``seq`` is the number of the last entry, and ``latest`` the latest timestamp of all events (Unix time in seconds).
    """

    seq: int = 0
    latest: float = -math.inf

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> TimeIndex:
        """Read the last entry, and the events after it."""
        rows = connection.execute(_LAST_ENTRY).fetchall()
        index = cls(*rows[0]) if rows else cls()
        ((latest,),) = connection.execute(_LATEST_AFTER, (index.seq,)).fetchall()
        if latest is not None:
            index.latest = max(index.latest, latest)
        return index

    def extend(self, connection: sqlite3.Connection, last_seq: int, timestamps: Iterable[float]) -> None:
        """Add the events after ``last_seq``, in the transaction that stores them."""
        if last_seq - self.seq >= _INDEX_STEP:
            if self.latest > -math.inf:
                connection.execute(_ADD_ENTRY, (last_seq, self.latest))
            self.seq = last_seq
        self.latest = max((self.latest, *timestamps))

    @staticmethod
    def prune(connection: sqlite3.Connection) -> None:
        """Delete the entries before the first stored event."""
        connection.execute(_PRUNE_ENTRIES)
