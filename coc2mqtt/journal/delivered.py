"""What is kept after its delivery, looked through without holding up anybody."""

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

# So many events are looked at in one go: others wait no longer than for that, which is some ten milliseconds.
_AT_ONCE = 5000

# By count and not by number, because there may be large gaps between the numbers.
_STRETCH = "SELECT max(seq) FROM (SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?)"
# NOT INDEXED, because in order of seq nothing has to be sorted.
_KEPT = "event NOT INDEXED WHERE seq > :after AND seq <= :end AND delivered_at IS NOT NULL"
_FIRST_SINCE = f"SELECT min(seq) FROM {_KEPT} AND timestamp >= :since"  # noqa: S608 - put together from what stands here
# A record that is damaged passes, so that whoever decodes it finds that out.
_WANTED = """
    (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
    AND (
        (:tag IS NULL AND :event_type IS NULL)
        OR CASE WHEN json_valid(record) THEN
            coalesce(:tag, json_extract(record, '$.tag')) = json_extract(record, '$.tag')
            AND coalesce(:event_type, json_extract(record, '$.event_type')) = json_extract(record, '$.event_type')
        ELSE TRUE END
    )
"""
_READ = f"SELECT seq, id, kind, record, checksum FROM {_KEPT} AND {_WANTED} ORDER BY seq LIMIT :limit"  # noqa: S608

# Events between two entries: as many as a search reads in vain, in a few milliseconds.
STEP = 1000

_LAST = "SELECT seq, cast(latest AS REAL) FROM time_index ORDER BY seq DESC LIMIT 1"
# With a cast, because timestamps have no checksum, and a damaged one must at least be a number.
_LATEST_AFTER = "SELECT max(cast(timestamp AS REAL)) FROM event NOT INDEXED WHERE seq > ?"
_ADD = "INSERT INTO time_index (seq, latest) VALUES (?, ?)"
# The entries ascend by time as well, and there are few: no index is worth its writes.
FIND = "SELECT coalesce(max(seq), 0) FROM time_index WHERE latest < ?"
_PRUNE = """
    DELETE FROM time_index WHERE seq < coalesce((SELECT min(seq) FROM event), (SELECT max(seq) FROM time_index))
"""


class DeliveredEventStore:
    """Reads delivered events, stretch by stretch."""

    def __init__(self, database: Database, *, at_once: int = _AT_ONCE) -> None:
        self._database = database
        self._at_once = at_once

    async def read(self, after: int, since: float | None, only: Selection, limit: int) -> list[Any]:
        """Return the rows (seq, id, kind, record, checksum) of what ``Journal.delivered`` describes."""
        if since is not None:
            first = await self._first_since(after, since)
            if first is None:
                return []
            after = first - 1
        kinds = None if only.kinds is None else orjson.dumps(sorted(only.kinds)).decode()
        wanted = {"kinds": kinds, "tag": only.tag, "event_type": only.event_type}
        rows: list[Any] = []
        async for begin, end in self._stretches(after):
            bounds = {"after": begin, "end": end, "limit": limit - len(rows)}
            rows += await self._database.read(_READ, {**wanted, **bounds})
            if len(rows) >= limit:
                break
        return rows

    async def _first_since(self, after: int, since: float) -> int | None:
        ((earlier,),) = await self._database.read(FIND, (since,))
        after = max(after, earlier)
        async for begin, end in self._stretches(after):
            ((seq,),) = await self._database.read(_FIRST_SINCE, {"after": begin, "end": end, "since": since})
            if seq is not None:
                return int(seq)
        return None

    async def _stretches(self, after: int) -> AsyncIterator[tuple[int, int]]:
        """Yield the bounds of one stretch of events after the other: after the first number, up to the second."""
        while True:
            ((end,),) = await self._database.read(_STRETCH, (after, self._at_once))
            if end is None:
                return
            yield after, end
            after = end


@dataclass(slots=True)
class TimeIndex:
    """What the next entry needs: the last one's number, and the latest timestamp (Unix seconds) of all events.

    An entry ``(seq, latest)`` says that no event up to ``seq`` has a later timestamp than ``latest``. It is not the
    timestamp of the event ``seq``, because a clock can be set back.
    """

    seq: int = 0
    latest: float = -math.inf

    @classmethod
    def look(cls, connection: sqlite3.Connection) -> TimeIndex:
        """Read it from the file, and of the events only those after the last entry."""
        rows = connection.execute(_LAST).fetchall()
        index = cls(*rows[0]) if rows else cls()
        ((latest,),) = connection.execute(_LATEST_AFTER, (index.seq,)).fetchall()
        if latest is not None:
            index.latest = max(index.latest, latest)
        return index

    def extend(self, connection: sqlite3.Connection, last_seq: int, timestamps: Iterable[float]) -> None:
        """Take up the events after ``last_seq``, in the transaction that stores them."""
        if last_seq - self.seq >= STEP:
            if self.latest > -math.inf:
                connection.execute(_ADD, (last_seq, self.latest))
            self.seq = last_seq
        self.latest = max((self.latest, *timestamps))

    @staticmethod
    def prune(connection: sqlite3.Connection) -> None:
        """Delete the entries before the first event that is kept."""
        connection.execute(_PRUNE)
