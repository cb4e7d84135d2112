"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST = 1.0
_LONGEST = 60.0
_STABLE = 60.0


class Backoff:
    """Waits of 1 to 60 seconds that double, with jitter so that a broker's clients do not all return at once.

    ``draw`` gives random numbers from 0 to 1.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._next = _FIRST

    def wait(self, lasted: float) -> float:
        """Return how many seconds to wait after a connection that stood for so many seconds, 0 if none came about.

        Only a stable minute starts the series anew: two programs that take over each other's client id, or a broker
        that dies of what it is sent, would otherwise meet once a second.
        """
        if lasted >= _STABLE:
            self._next = _FIRST
        longest, self._next = self._next, min(self._next * 2, _LONGEST)
        return self._with_jitter(longest)

    def longest(self) -> float:
        """Return the longest of the waits in seconds, for who has to stand back."""
        return self._with_jitter(_LONGEST)

    def _with_jitter(self, seconds: float) -> float:
        return max(_FIRST, seconds * (0.5 + self._draw() / 2))
