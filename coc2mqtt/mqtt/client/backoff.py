"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST = 1.0
_LONGEST = 60.0
# A connection that was established is made again after 1 to 1.5 seconds: within two with the connect itself.
_AFTER_SESSION = 1.0
# A session that the broker ends sooner (seconds) although it goes on running may have been taken over by another
# client. This many in a row without a stable minute are taken for that.
_BRIEF_S = 5.0
_STABLE_S = 60.0
_MAX_EXPULSIONS = 5


class Backoff:
    """Waits of 1 to 60 seconds that double, with jitter so that a broker's clients do not all return at once.

    ``draw`` gives random numbers from 0 to 1.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._next = _FIRST

    def wait(self) -> float:
        """Return how many seconds to wait after one more failure."""
        longest, self._next = self._next, min(self._next * 2, _LONGEST)
        return self._with_jitter(longest)

    def reset(self) -> None:
        """Start again with the shortest wait."""
        self._next = _FIRST

    def longest(self) -> float:
        """Return the longest of the waits in seconds, for who has to stand back."""
        return self._with_jitter(_LONGEST)

    def _with_jitter(self, seconds: float) -> float:
        return max(_FIRST, seconds * (0.5 + self._draw() / 2))


class SessionBackoff:
    """Waits after sessions that were established: always short, unless another client keeps taking them over.

    MQTT 3.1.1 and Mosquitto 2.0 do not report a take-over: the session just ends, seconds after it began, while the
    broker goes on running. Two clients that both reconnect at once would disconnect each other for ever.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._backoff = Backoff(draw)
        self._expulsions = 0

    def wait(self, lasted: float, *, expelled: bool) -> float:
        """Return how many seconds to wait after a session that lasted this many seconds.

        ``expelled`` tells that the broker ended it without a reason and is still running.
        """
        if lasted >= _STABLE_S:
            self._expulsions = 0
            self._backoff.reset()
        if expelled and lasted < _BRIEF_S:
            self._expulsions += 1
            if self._expulsions > _MAX_EXPULSIONS:
                return _AFTER_SESSION + self._backoff.wait()
        return _AFTER_SESSION + self._draw() / 2

    @property
    def is_expelled(self) -> bool:
        """Whether so many sessions were ended that another client must be taking them over."""
        return self._expulsions > _MAX_EXPULSIONS
