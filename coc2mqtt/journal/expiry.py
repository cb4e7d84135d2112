"""How long events have been waiting, whatever happens to the clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# Before the first of January 2025 there was no coc2mqtt: an event with such a timestamp was seen by a computer that
# did not know the time yet, and nobody can say how long ago that was.
_CLOCK_UNSET = 1_735_689_600.0
# How finely the time of this run is remembered: as a share of the limit, an hour of a week.
_STEPS = 168


class ExpiryBounds(NamedTuple):
    """Which events have waited too long; the parameters of ``TOO_OLD``."""

    stored_long_ago: int
    earlier_run: int
    clock_unset: float
    long_ago: float

    def exceeds(self, seq: int, timestamp: float) -> bool:
        """Tell of one event what ``TOO_OLD`` does."""
        return seq <= self.stored_long_ago or (
            seq <= self.earlier_run and self.clock_unset <= timestamp < self.long_ago
        )


class PendingExpiry:
    """Tells which events have been waiting for more than ``limit`` seconds.

    A computer without a clock of its own begins in the past and jumps to the present later on, and any clock can be
    wrong for a while: what a wrong clock says must not throw away what was seen a minute ago. So the clock is asked
    once, when the journal is opened, and from there on only ``uptime`` counts, which nobody sets (seconds from
    anywhere). Events of this run have waited since they were stored, by uptime alone; they are found too old at most
    a 168th of the limit late. Those of earlier runs have waited since their timestamp. Where a clock that was behind
    makes them seem younger than they are, they are kept longer; one that is ahead when the journal is opened is
    believed.
    """

    def __init__(self, limit: float, *, uptime: Callable[[], float]) -> None:
        self._limit = limit
        self._uptime = uptime
        self._opened_at = self._opened_uptime = 0.0
        self._last_seq = 0
        # At which uptime which number was the last: the last commit of each step.
        self._marks: deque[tuple[float, int]] = deque()

    def begin(self, now: float, last_seq: int) -> None:
        """Begin a run at ``now`` (Unix time in seconds); ``last_seq`` is the number of the last event before it."""
        self._opened_at, self._opened_uptime = now, self._uptime()
        self._last_seq = last_seq
        self._marks.clear()
        self.note(last_seq)

    def note(self, last_seq: int) -> None:
        """Take note that an event was stored right now, and that ``last_seq`` is the number of the last one."""
        uptime, step, marks = self._uptime(), self._limit / _STEPS, self._marks
        self._forget(uptime)
        if marks and uptime // step == marks[-1][0] // step:
            marks.pop()
        marks.append((uptime, last_seq))

    def bounds(self, now: float) -> ExpiryBounds:
        """Return which events have waited too long at ``now`` (Unix time in seconds)."""
        uptime = self._uptime()
        self._forget(uptime)
        at, seq = self._marks[0] if self._marks else (uptime, 0)
        # A clock that was set back makes nothing older, and one that was set forward neither.
        now = min(now, self._opened_at + (uptime - self._opened_uptime))
        return ExpiryBounds(
            stored_long_ago=seq if uptime - at >= self._limit else 0,
            earlier_run=self._last_seq,
            clock_unset=_CLOCK_UNSET,
            long_ago=now - self._limit,
        )

    def _forget(self, uptime: float) -> None:
        """Forget all marks that are older than the limit but the last of them."""
        while len(self._marks) > 1 and uptime - self._marks[1][0] >= self._limit:
            self._marks.popleft()


# What an event that has waited too long is, in SQL.
TOO_OLD = "(seq <= :stored_long_ago OR (seq <= :earlier_run AND timestamp >= :clock_unset AND timestamp < :long_ago))"
