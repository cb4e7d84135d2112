"""How often something happens."""

from __future__ import annotations

from collections import Counter

_WINDOW = 60


class Rate:
    """How many times a second something happened during the last minute. Times are seconds of any one clock."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._counts: Counter[int] = Counter()

    def count(self, now: float) -> None:
        """Note that it happened."""
        self._counts[int(now)] += 1
        if len(self._counts) > _WINDOW:
            # A clock that was set back would else leave what lies ahead of it for ever.
            self._counts = Counter({at: count for at, count in self._counts.items() if 0 <= int(now) - at < _WINDOW})

    def per_second(self, now: float) -> float:
        """Return the rate, within the first minute that of the time since the start."""
        happened = sum(count for at, count in self._counts.items() if 0 <= int(now) - at < _WINDOW)
        return happened / min(_WINDOW, max(1.0, now - self._since))
