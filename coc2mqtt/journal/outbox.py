"""The bounds of what waits for delivery: by count and by age."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import structlog

from coc2mqtt.journal.age import TOO_OLD, PendingAge

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    import aiosqlite

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
OLDEST_IS_TOO_OLD = f"SELECT {TOO_OLD} FROM {_PENDING} ORDER BY seq LIMIT 1"  # noqa: S608
_ANY = f"SELECT 1 FROM {_PENDING} LIMIT 1"  # noqa: S608
_LAST_SEQ = "SELECT coalesce((SELECT cast(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'event'), 0)"

_log = structlog.get_logger()


class Dropped(NamedTuple):
    """How many events were dropped because they had waited for too long, and because too many waited."""

    old: int = 0
    many: int = 0


class Outbox:
    """Keeps at most ``max_pending`` events waiting, and each for at most ``max_age``, and says it once of each outage.

    The methods with a connection belong into a transaction. ``uptime`` gives seconds from anywhere.
    """

    def __init__(self, max_pending: int, max_age: timedelta, *, uptime: Callable[[], float] = time.monotonic) -> None:
        self._max_pending = max_pending
        self._max_age = max_age
        self._age = PendingAge(max_age.total_seconds(), uptime=uptime)
        self._said = Dropped()
        self.last_seq = 0

    async def begin(self, connection: aiosqlite.Connection, now: float) -> None:
        """Begin a run at ``now`` (Unix time in seconds) with the events that are there."""
        self.last_seq = await _number(connection, _LAST_SEQ)
        self._age.begin(now, self.last_seq)

    def bounds(self, now: float) -> dict[str, float]:
        """Return the parameters of ``OLDEST_IS_TOO_OLD``."""
        return self._age.bounds(now, self.last_seq)

    async def drop(self, connection: aiosqlite.Connection, now: float) -> Dropped:
        """Drop and count what is too old, then the oldest of what is too many."""
        self.last_seq = await _number(connection, _LAST_SEQ)
        bounds = {**self._age.bounds(now, self.last_seq), "last_seq": self.last_seq}
        old = (await connection.execute(_DROP_OLD, bounds)).rowcount
        many = (await connection.execute(_DROP_MANY, (self._max_pending,))).rowcount
        if old or many:
            await connection.execute("UPDATE tally SET dropped = dropped + ?", (old + many,))
        return Dropped(old, many)

    def say(self, dropped: Dropped) -> None:
        """Log what was dropped, the first time: afterwards ``counts`` tells."""
        if dropped.old and not self._said.old:
            _log.warning(
                "events are dropped that have waited too long for delivery: see whether the broker is there",
                max_pending_age=str(self._max_age),
            )
        if dropped.many and not self._said.many:
            _log.warning(
                "the oldest events are dropped: too many wait for delivery, see whether the broker is there",
                max_pending=self._max_pending,
            )
        self._said = Dropped(self._said.old + dropped.old, self._said.many + dropped.many)

    async def delivered(self, connection: aiosqlite.Connection) -> None:
        """Take note that events were delivered: when nothing waits any more, the outage is over."""
        if any(self._said) and not await connection.execute_fetchall(_ANY):
            self._said = Dropped()


async def _number(connection: aiosqlite.Connection, query: str) -> int:
    ((number,),) = await connection.execute_fetchall(query)
    return int(number)
