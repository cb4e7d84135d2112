"""Expiry of pending events, independent of changes to the system clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# 1 January 2025, before coc2mqtt existed. An earlier timestamp comes from a computer whose clock was not yet set, so
# the real age of the event is unknown.
_MIN_VALID_TIMESTAMP = 1_735_689_600.0
# Resolution of the recorded commit times, as a fraction of the limit: one hour for a limit of a week.
_STEPS = 168

# SQL condition that selects expired events. Its parameters are the fields of ExpiryBounds.
EXPIRED = """
    (seq <= :expired_seq OR (
        seq <= :previous_run_seq AND timestamp >= :min_valid_timestamp AND timestamp < :cutoff
    ))
"""


class ExpiryBounds(NamedTuple):
    """The limits that tell expired events from others: all up to ``expired_seq``, and old ones of earlier runs."""

    expired_seq: int
    previous_run_seq: int
    min_valid_timestamp: float
    cutoff: float

    def include(self, seq: int, timestamp: float) -> bool:
        """Return whether an event is expired, as the SQL condition ``EXPIRED`` does."""
        return seq <= self.expired_seq or (
            seq <= self.previous_run_seq and self.min_valid_timestamp <= timestamp < self.cutoff
        )


class PendingExpiry:
    """Finds the events that have been pending for more than ``limit`` seconds.

    A computer without a hardware clock starts in the past and jumps to the present later, and any clock can be wrong
    for a while. A wrong clock must not expire events that were stored a minute ago. So the wall clock is read once,
    when the journal is opened; from then on only ``uptime`` counts, a monotonic clock in seconds.

    The age of an event of this run is measured with ``uptime`` alone, from the commit on. Such events expire at most
    1/168 of the limit late. The age of an event of an earlier run is measured from its timestamp. If the clock was
    behind, such events are kept longer than the limit. A clock that is ahead when the journal is opened is trusted.
    """

    def __init__(self, limit: float, *, uptime: Callable[[], float]) -> None:
        self._limit = limit
        self._uptime = uptime
        self._opened_at = self._opened_uptime = 0.0
        self._previous_run_seq = 0
        # The last commit of each step: its uptime and the number of its last event.
        self._commits: deque[tuple[float, int]] = deque()

    def start_run(self, now: float, last_seq: int) -> None:
        """Start a run at ``now`` (Unix time in seconds). ``last_seq`` is the last event of the previous run."""
        self._opened_at, self._opened_uptime = now, self._uptime()
        self._previous_run_seq = last_seq
        self._commits.clear()
        self.record_commit(last_seq)

    def record_commit(self, last_seq: int) -> None:
        """Record that events up to ``last_seq`` have just been stored."""
        uptime, step, commits = self._uptime(), self._limit / _STEPS, self._commits
        self._remove_expired_commits(uptime)
        if commits and uptime // step == commits[-1][0] // step:
            commits.pop()
        commits.append((uptime, last_seq))

    def bounds(self, now: float) -> ExpiryBounds:
        """Return the bounds of the events that are expired at ``now`` (Unix time in seconds)."""
        uptime = self._uptime()
        self._remove_expired_commits(uptime)
        committed_at, seq = self._commits[0] if self._commits else (uptime, 0)
        # Neither a clock that is set back nor one that is set forward during the run makes an event older.
        now = min(now, self._opened_at + (uptime - self._opened_uptime))
        return ExpiryBounds(
            expired_seq=seq if uptime - committed_at >= self._limit else 0,
            previous_run_seq=self._previous_run_seq,
            min_valid_timestamp=_MIN_VALID_TIMESTAMP,
            cutoff=now - self._limit,
        )

    def _remove_expired_commits(self, uptime: float) -> None:
        """Remove all commits that are older than the limit except the last of them."""
        while len(self._commits) > 1 and uptime - self._commits[1][0] >= self._limit:
            self._commits.popleft()
