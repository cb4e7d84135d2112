"""The metrics of an engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_RATE_WINDOW_S = 60


@dataclass(slots=True)
class EngineMetrics:
    """Counters since the start: polls, polls that stored a change, events, and failed polls by kind of failure.

    ``last_poll`` is the last poll's Unix time in seconds, None before the first; ``last_poll_uptime`` is the same in
    seconds of uptime. ``malformed`` counts how often each field, such as ``clan.memberList.donations``, was removed
    from a response.
    """

    polls: int = 0
    changed: int = 0
    events: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    last_poll: float | None = None
    last_poll_uptime: float | None = None
    malformed: Counter[str] = field(default_factory=Counter)


class RateMeter:
    """Measures occurrences per second during the last minute. Times are seconds of any one clock."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._counts: Counter[int] = Counter()

    def count(self, now: float) -> None:
        """Count one occurrence."""
        self._counts[int(now)] += 1
        if len(self._counts) > _RATE_WINDOW_S:
            # Entries ahead of now are removed too: they would stay forever if the clock was set back.
            self._counts = Counter(
                {at: count for at, count in self._counts.items() if 0 <= int(now) - at < _RATE_WINDOW_S}
            )

    def per_second(self, now: float) -> float:
        """Return the rate; within the first minute it is measured since the start."""
        count = sum(count for at, count in self._counts.items() if 0 <= int(now) - at < _RATE_WINDOW_S)
        return count / min(_RATE_WINDOW_S, max(1.0, now - self._since))
