"""The pending events: their limits by count and age, and their statistics in memory."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import structlog

from coc2mqtt.journal.cache import PendingCache
from coc2mqtt.journal.codec import encode_event_row
from coc2mqtt.journal.delivered import TimeIndex
from coc2mqtt.journal.expiry import EXPIRED, ExpiryBounds, PendingExpiry
from coc2mqtt.journal.file import MAX_SEQ
from coc2mqtt.journal.protocol import JournalEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta

    from coc2mqtt.events.record import EventRecord
    from coc2mqtt.events.resource import Kind

_ADD = "INSERT INTO event (seq, id, kind, timestamp, record, checksum) VALUES (?, ?, ?, ?, ?, ?)"
_MARK_DELIVERED = "UPDATE event SET delivered_at = ? WHERE seq = ? AND delivered_at IS NULL"
# INDEXED BY, because the query planner may otherwise scan all delivered events to find the pending ones.
_PENDING = "event INDEXED BY event_pending WHERE delivered_at IS NULL"
# Stops at the first event that is not expired: later events are younger, whatever their timestamps are.
_DROP_EXPIRED = f"""
    DELETE FROM {_PENDING} AND seq < coalesce(
        (SELECT seq FROM {_PENDING} AND NOT {EXPIRED} ORDER BY seq LIMIT 1), 1 + :last_seq
    )
"""  # noqa: S608 - built from constants
_DROP_EXCESS = f"""
    DELETE FROM {_PENDING} AND seq <= (SELECT seq FROM {_PENDING} ORDER BY seq DESC LIMIT 1 OFFSET ?)
"""  # noqa: S608
_COUNT = f"SELECT count(*) FROM {_PENDING}"  # noqa: S608
# These columns have no checksum: the casts turn corrupt ones into numbers.
_OLDEST = f"SELECT seq, coalesce(cast(timestamp AS REAL), 0.0) FROM {_PENDING} ORDER BY seq LIMIT 1"  # noqa: S608
_LAST_SEQ = """
    SELECT
        coalesce((SELECT cast(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'event'), 0),
        coalesce((SELECT max(seq) FROM event), 0)
"""

_log = structlog.get_logger()


class Dropped(NamedTuple):
    """The number of events dropped because they were pending for too long, and because there were too many."""

    expired: int = 0
    excess: int = 0


class OldestPending(NamedTuple):
    """The oldest pending event. ``timestamp`` is Unix time in seconds."""

    seq: int
    timestamp: float


@dataclass(slots=True)
class PendingStats:
    """The number of pending events, the oldest of them, and the number of the last event ever stored.

    It includes the state of the time index, which every new event updates.
    """

    last_seq: int = 0
    count: int = 0
    oldest: OldestPending | None = None
    time_index: TimeIndex = field(default_factory=TimeIndex)

    def copy(self) -> PendingStats:
        """Return a copy that a transaction can modify."""
        return replace(self, time_index=replace(self.time_index))

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> PendingStats:
        """Read the statistics from the file."""
        ((last_given, last_stored),) = connection.execute(_LAST_SEQ).fetchall()
        if not isinstance(last_stored, int) or last_stored >= MAX_SEQ:
            error = sqlite3.DatabaseError(f"invalid event number {last_stored!r}")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        last_seq = max(last_given if last_given < MAX_SEQ else 0, last_stored)
        ((count,),) = connection.execute(_COUNT).fetchall()
        return cls(last_seq, count, _read_oldest(connection), TimeIndex.read(connection))


class OutboxDelta:
    """The changes of one transaction. ``Outbox.apply`` makes them effective after the transaction was committed.

    The methods execute statements and must be called inside the transaction.
    """

    def __init__(self, stats: PendingStats, bounds: ExpiryBounds, max_pending: int) -> None:
        self.stats = stats.copy()
        self._bounds = bounds
        self._max_pending = max_pending
        self.added: list[JournalEntry] = []
        self.delivered: set[int] = set()
        self.dropped = Dropped()

    def add(self, connection: sqlite3.Connection, kind: Kind, records: Mapping[str, EventRecord]) -> None:
        """Store events, given by their ids, with the next numbers."""
        stats = self.stats
        # Numbered here, because SQLite does not return the numbers of several rows.
        entries = [
            JournalEntry(seq, id_, kind, record)
            for seq, (id_, record) in enumerate(records.items(), stats.last_seq + 1)
        ]
        stats.time_index.extend(connection, stats.last_seq, [entry.record.timestamp for entry in entries])
        connection.executemany(_ADD, map(encode_event_row, entries))
        self.added += entries
        if stats.count == 0 and entries:
            stats.oldest = OldestPending(entries[0].seq, entries[0].record.timestamp)
        stats.last_seq += len(entries)
        stats.count += len(entries)

    def acknowledge(self, connection: sqlite3.Connection, seqs: Iterable[int], delivered_at: float) -> None:
        """Mark events as delivered at a Unix time in seconds."""
        delivered = set(seqs)
        stats = self.stats
        stats.count -= connection.executemany(_MARK_DELIVERED, [(delivered_at, seq) for seq in delivered]).rowcount
        self.delivered |= delivered
        if stats.oldest is not None and stats.oldest.seq in delivered:
            stats.oldest = _read_oldest(connection) if stats.count else None

    def enforce_limits(self, connection: sqlite3.Connection) -> None:
        """Drop and count the expired events, then the oldest ones if there are still too many."""
        stats, expired, excess = self.stats, 0, 0
        if stats.oldest is not None and self._bounds.include(*stats.oldest):
            parameters = {**self._bounds._asdict(), "last_seq": stats.last_seq}
            expired = connection.execute(_DROP_EXPIRED, parameters).rowcount
        if stats.count - expired > self._max_pending:
            excess = connection.execute(_DROP_EXCESS, (self._max_pending,)).rowcount
        if expired or excess:
            connection.execute("UPDATE tally SET dropped = dropped + ?", (expired + excess,))
            stats.count -= expired + excess
            stats.oldest = _read_oldest(connection)
            self.dropped = Dropped(expired, excess)


class Outbox:
    """Limits the pending events to ``max_pending``, and their age to ``max_age``.

    The first drop of each kind in an outage is logged. ``uptime`` is a monotonic clock in seconds.
    """

    def __init__(self, max_pending: int, max_age: timedelta, *, uptime: Callable[[], float] = time.monotonic) -> None:
        self._max_pending = max_pending
        self._max_age = max_age
        self._expiry = PendingExpiry(max_age.total_seconds(), uptime=uptime)
        self._dropped_in_outage = Dropped()
        self._cache = PendingCache()
        self._stats = PendingStats()

    @property
    def last_seq(self) -> int:
        """The number of the last event ever stored, 0 before the first."""
        return self._stats.last_seq

    @property
    def count(self) -> int:
        """The number of pending events."""
        return self._stats.count

    @property
    def oldest(self) -> OldestPending | None:
        """The oldest pending event, None if there is none."""
        return self._stats.oldest

    def start_run(self, stats: PendingStats, now: float) -> None:
        """Start a run at ``now`` (Unix time in seconds) with the events that are already stored."""
        self._stats = stats
        self._cache.clear(stats.last_seq)
        self._expiry.start_run(now, stats.last_seq)

    def new_delta(self, now: float) -> OutboxDelta:
        """Return the delta for a transaction at ``now``. Apply it before the next one is created."""
        return OutboxDelta(self._stats, self._expiry.bounds(now), self._max_pending)

    def apply(self, delta: OutboxDelta) -> None:
        """Apply the changes of a committed transaction."""
        self._stats = delta.stats
        self._cache.add(delta.added)
        self._cache.remove(delta.delivered)
        if any(delta.dropped):
            self._cache.remove_before(None if delta.stats.oldest is None else delta.stats.oldest.seq)
        if delta.added:
            self._expiry.record_commit(delta.stats.last_seq)
        dropped, earlier = delta.dropped, self._dropped_in_outage
        outage_over = delta.delivered and not delta.stats.count
        self._dropped_in_outage = (
            Dropped() if outage_over else Dropped(earlier.expired + dropped.expired, earlier.excess + dropped.excess)
        )
        self._log_first_drop(dropped, earlier)  # last, because a log that cannot be written raises

    def has_expired(self, now: float) -> bool:
        """Return whether an event has been pending for too long at ``now`` (Unix time in seconds)."""
        oldest = self._stats.oldest
        return oldest is not None and self._expiry.bounds(now).include(*oldest)

    def read(self, after: int, limit: int) -> list[JournalEntry] | None:
        """Return the first ``limit`` pending events with ``seq > after``, None if they must be read from the file."""
        return self._cache.read(after, limit, pending=self._stats.count)

    def _log_first_drop(self, dropped: Dropped, earlier: Dropped) -> None:
        if dropped.expired and not earlier.expired:
            _log.warning(
                "undelivered events expired and were dropped",
                max_pending_age=str(self._max_age),
                hint="check the connection to the broker",
            )
        if dropped.excess and not earlier.excess:
            _log.warning(
                "too many undelivered events: dropped the oldest ones",
                max_pending=self._max_pending,
                hint="check the connection to the broker",
            )


def _read_oldest(connection: sqlite3.Connection) -> OldestPending | None:
    rows = connection.execute(_OLDEST).fetchall()
    return OldestPending(*rows[0]) if rows else None
