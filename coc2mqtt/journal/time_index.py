"""A sparse index of the events by time, so that a search by time need not start at the first event that is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

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
