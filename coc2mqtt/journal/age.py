"""How long events have been waiting, whatever happens to the clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Before the first of January 2025 there was no coc2mqtt: an event with such a timestamp was seen by a computer that
# did not know the time yet, and nobody can say how long ago that was.
_CLOCK_UNSET = 1_735_689_600.0
# How finely the time of this run is remembered: as a share of the limit, an hour of a week.
_STEPS = 168


class PendingAge:
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
        # At which uptime which number was the last: the last look of each step.
        self._marks: deque[tuple[float, int]] = deque()

    def begin(self, now: float, last_seq: int) -> None:
        """Begin a run at ``now`` (Unix time in seconds); ``last_seq`` is the number of the last event before it."""
        self._opened_at, self._opened_uptime = now, self._uptime()
        self._last_seq = last_seq
        self._marks.clear()

    def bounds(self, now: float, last_seq: int) -> dict[str, float]:
        """Return the parameters of ``TOO_OLD``; ``last_seq`` is the number of the last event that is stored."""
        uptime = self._uptime()
        # A clock that was set back makes nothing older, and one that was set forward neither.
        now = min(now, self._opened_at + (uptime - self._opened_uptime))
        return {
            "stored_long_ago": self._stored_long_ago(uptime, last_seq),
            "earlier_run": self._last_seq,
            "clock_unset": _CLOCK_UNSET,
            "long_ago": now - self._limit,
        }

    def _stored_long_ago(self, uptime: float, last_seq: int) -> int:
        """Return the number of the last event of this run that has waited too long, 0 if there is none yet."""
        step, marks = self._limit / _STEPS, self._marks
        if marks and uptime // step == marks[-1][0] // step:
            marks.pop()
        marks.append((uptime, last_seq))
        while len(marks) > 1 and uptime - marks[1][0] >= self._limit:
            marks.popleft()
        at, seq = marks[0]
        return seq if uptime - at >= self._limit else 0


# What an event that has waited too long is, in SQL.
TOO_OLD = "(seq <= :stored_long_ago OR (seq <= :earlier_run AND timestamp >= :clock_unset AND timestamp < :long_ago))"
