"""What waits for delivery: its bounds, by count and by age, and what of it is known without a look into the file."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import structlog

from coc2mqtt.journal.delivered import TimeIndex
from coc2mqtt.journal.expiry import TOO_OLD, ExpiryBounds, PendingExpiry
from coc2mqtt.journal.file import LARGEST_SEQ
from coc2mqtt.journal.rows import EventRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta

    from coc2mqtt.journal.rows import NewEvent

_ADD = "INSERT INTO event (seq, id, kind, timestamp, record, checksum) VALUES (?, ?, ?, ?, ?, ?)"
_MARK_DELIVERED = "UPDATE event SET delivered_at = ? WHERE seq = ? AND delivered_at IS NULL"
# INDEXED BY in what follows, because the planner may else walk over every delivered event to find the pending ones.
_PENDING = "event INDEXED BY event_pending WHERE delivered_at IS NULL"
# Up to the first that is not too old: what was stored after it cannot be older, whatever its timestamp says.
_DROP_OLD = f"""
    DELETE FROM {_PENDING} AND seq < coalesce(
        (SELECT seq FROM {_PENDING} AND NOT {TOO_OLD} ORDER BY seq LIMIT 1), 1 + :last_seq
    )
"""  # noqa: S608 - put together from what stands here
_DROP_MANY = f"""
    DELETE FROM {_PENDING} AND seq <= (SELECT seq FROM {_PENDING} ORDER BY seq DESC LIMIT 1 OFFSET ?)
"""  # noqa: S608
_COUNT = f"SELECT count(*) FROM {_PENDING}"  # noqa: S608
# With casts, because these have no checksum, and a damaged one must at least be a number.
_OLDEST = f"SELECT seq, coalesce(cast(timestamp AS REAL), 0.0) FROM {_PENDING} ORDER BY seq LIMIT 1"  # noqa: S608
_LAST_SEQ = """
    SELECT
        coalesce((SELECT cast(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'event'), 0),
        coalesce((SELECT max(seq) FROM event), 0)
"""

# Far more than are on their way to a broker at a time; in an outage the file has the others.
_MOST = 1000
_MOST_CHARACTERS = 1_000_000

_log = structlog.get_logger()


class Dropped(NamedTuple):
    """How many events were dropped because they had waited for too long, and because too many waited."""

    old: int = 0
    many: int = 0


class Oldest(NamedTuple):
    """The event that waits longest; ``timestamp`` is Unix time in seconds."""

    seq: int
    timestamp: float


@dataclass(slots=True)
class PendingStats:
    """How many events wait, which waits longest (None: none), and the number of the last one that there ever was.

    ``time_index`` goes along, because each event that is stored goes into it.
    """

    last_seq: int = 0
    count: int = 0
    oldest: Oldest | None = None
    time_index: TimeIndex = field(default_factory=TimeIndex)

    def copy(self) -> PendingStats:
        """Return one that a transaction can change."""
        return replace(self, time_index=replace(self.time_index))

    @classmethod
    def look(cls, connection: sqlite3.Connection) -> PendingStats:
        """Find it out from the file."""
        ((ever, kept),) = connection.execute(_LAST_SEQ).fetchall()
        if not isinstance(kept, int) or kept >= LARGEST_SEQ:
            raise _damage(f"an event has the number {kept}")
        last_seq = max(ever if ever < LARGEST_SEQ else 0, kept)
        ((count,),) = connection.execute(_COUNT).fetchall()
        return cls(last_seq, count, _oldest(connection), TimeIndex.look(connection))


class OutboxDelta:
    """What a transaction makes of what waits. It counts once that is committed.

    Its methods belong into the transaction.
    """

    def __init__(self, waiting: PendingStats, bounds: ExpiryBounds, max_pending: int) -> None:
        self.waiting = waiting.copy()
        self._bounds = bounds
        self._max_pending = max_pending
        self.added: list[EventRow] = []
        self.delivered: set[int] = set()
        self.dropped = Dropped()

    def add(self, connection: sqlite3.Connection, events: Sequence[NewEvent]) -> None:
        """Store events, with the next numbers."""
        waiting = self.waiting
        waiting.time_index.extend(connection, waiting.last_seq, [event.timestamp for event in events])
        numbered = list(enumerate(events, waiting.last_seq + 1))
        # Numbered here and not by SQLite, which would not say what the numbers are.
        connection.executemany(_ADD, [(seq, *event) for seq, event in numbered])
        self.added += [EventRow(seq, one.id, one.kind, one.record, one.checksum) for seq, one in numbered]
        if waiting.count == 0 and numbered:
            seq, first = numbered[0]
            waiting.oldest = Oldest(seq, first.timestamp)
        waiting.last_seq += len(numbered)
        waiting.count += len(numbered)

    def acknowledge(self, connection: sqlite3.Connection, seqs: Iterable[int], at: float) -> None:
        """Mark events as delivered at a Unix time in seconds."""
        delivered = set(seqs)
        waiting = self.waiting
        waiting.count -= connection.executemany(_MARK_DELIVERED, [(at, seq) for seq in delivered]).rowcount
        self.delivered |= delivered
        if waiting.oldest is not None and waiting.oldest.seq in delivered:
            waiting.oldest = _oldest(connection) if waiting.count else None

    def hold_bounds(self, connection: sqlite3.Connection) -> None:
        """Drop and count what is too old, then the oldest of what is too many."""
        waiting, old, many = self.waiting, 0, 0
        if waiting.oldest is not None and self._bounds.exceeds(*waiting.oldest):
            bounds = {**self._bounds._asdict(), "last_seq": waiting.last_seq}
            old = connection.execute(_DROP_OLD, bounds).rowcount
        if waiting.count - old > self._max_pending:
            many = connection.execute(_DROP_MANY, (self._max_pending,)).rowcount
        if old or many:
            connection.execute("UPDATE tally SET dropped = dropped + ?", (old + many,))
            waiting.count -= old + many
            waiting.oldest = _oldest(connection)
            self.dropped = Dropped(old, many)


class PendingCache:
    """Holds the events that wait and have a ``seq`` above ``floor``, and maybe more; these in order of ``seq``."""

    def __init__(self, *, most: int = _MOST, most_characters: int = _MOST_CHARACTERS) -> None:
        self._most = most
        self._most_characters = most_characters
        self._rows: dict[int, EventRow] = {}
        self._characters = 0
        self._floor = 0

    def begin(self, last_seq: int) -> None:
        """Begin anew after the event ``last_seq``."""
        self._rows.clear()
        self._characters, self._floor = 0, last_seq

    def add(self, rows: Iterable[EventRow]) -> None:
        """Add the events that were stored last."""
        for row in rows:
            self._rows[row.seq] = row
            self._characters += len(row.record)
        while len(self._rows) > self._most or self._characters > self._most_characters:
            self._floor = next(iter(self._rows))
            self._remove(self._floor)

    def delivered(self, seqs: Iterable[int]) -> None:
        """Leave out events that wait no more."""
        for seq in seqs:
            if seq in self._rows:
                self._remove(seq)

    def begins_with(self, seq: int | None) -> None:
        """Leave out all events before this one, None: all of them."""
        self.delivered([other for other in self._rows if seq is None or other < seq])

    def read(self, after: int, limit: int, *, waiting: int) -> list[EventRow] | None:
        """Return the first events that wait after this one; None where only the file knows them all.

        ``waiting`` is how many wait in all.
        """
        if after < self._floor and len(self._rows) < waiting:
            return None
        return list(islice((row for seq, row in self._rows.items() if seq > after), limit))

    def _remove(self, seq: int) -> None:
        self._characters -= len(self._rows.pop(seq).record)


class Outbox:
    """Keeps at most ``max_pending`` events waiting, and each for at most ``max_age``, and says it once of each outage.

    ``uptime`` gives seconds from anywhere.
    """

    def __init__(self, max_pending: int, max_age: timedelta, *, uptime: Callable[[], float] = time.monotonic) -> None:
        self._max_pending = max_pending
        self._max_age = max_age
        self._age = PendingExpiry(max_age.total_seconds(), uptime=uptime)
        self._said = Dropped()
        self._tail = PendingCache()
        self._waiting = PendingStats()

    @property
    def last_seq(self) -> int:
        """The number of the last event that there ever was, 0 before the first."""
        return self._waiting.last_seq

    @property
    def count(self) -> int:
        """How many events wait."""
        return self._waiting.count

    @property
    def oldest(self) -> Oldest | None:
        """The event that waits longest, None if none waits."""
        return self._waiting.oldest

    def begin(self, waiting: PendingStats, now: float) -> None:
        """Begin a run at ``now`` (Unix time in seconds) with the events that are there."""
        self._waiting = waiting
        self._tail.begin(waiting.last_seq)
        self._age.begin(now, waiting.last_seq)

    def draft(self, now: float) -> OutboxDelta:
        """Return what a transaction that begins now shall change."""
        return OutboxDelta(self._waiting, self._age.bounds(now), self._max_pending)

    def settle(self, draft: OutboxDelta) -> None:
        """Take over what a transaction has changed, the only one since its draft was made."""
        self._waiting = draft.waiting
        self._tail.add(draft.added)
        self._tail.delivered(draft.delivered)
        if any(draft.dropped):
            self._tail.begins_with(None if draft.waiting.oldest is None else draft.waiting.oldest.seq)
        if draft.added:
            self._age.note(draft.waiting.last_seq)
        dropped, said = draft.dropped, self._said
        over = draft.delivered and not draft.waiting.count  # when nothing waits any more, the outage is over
        self._said = Dropped() if over else Dropped(said.old + dropped.old, said.many + dropped.many)
        self._say(dropped, said)  # last, because a log that cannot be written raises

    def exceeds_age(self, now: float) -> bool:
        """Tell whether an event waits that has waited for too long."""
        oldest = self._waiting.oldest
        return oldest is not None and self._age.bounds(now).exceeds(*oldest)

    def read(self, after: int, limit: int) -> list[EventRow] | None:
        """Return the first ``limit`` events that wait and have ``seq > after``, None where only the file knows."""
        return self._tail.read(after, limit, waiting=self._waiting.count)

    def _say(self, dropped: Dropped, said: Dropped) -> None:
        """Log what was dropped, unless it was said before: ``counts`` reports the rest."""
        if dropped.old and not said.old:
            _log.warning(
                "events are dropped that have waited too long for delivery: see whether the broker is there",
                max_pending_age=str(self._max_age),
            )
        if dropped.many and not said.many:
            _log.warning(
                "the oldest events are dropped: too many wait for delivery, see whether the broker is there",
                max_pending=self._max_pending,
            )


def _damage(found: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(found)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT  # as SQLite would say it
    return error


def _oldest(connection: sqlite3.Connection) -> Oldest | None:
    rows = connection.execute(_OLDEST).fetchall()
    return Oldest(*rows[0]) if rows else None
