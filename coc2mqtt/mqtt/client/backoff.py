"""The delays between attempts to connect."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MIN_DELAY_S = 1.0
_MAX_DELAY_S = 60.0
# A lost session is followed by the next attempt after 1 to 1.5 s: including the connect, within two seconds.
_AFTER_SESSION_S = 1.0
# A session that a running broker closes sooner than this may have been taken over by another client. More than
# _MAX_SUSPECTED_TAKEOVERS of them since the last session of at least a minute are treated as proof.
_BRIEF_SESSION_S = 5.0
_STABLE_SESSION_S = 60.0
_MAX_SUSPECTED_TAKEOVERS = 5


class Backoff:
    """Delays of 1 to 60 s that double, with jitter so that a broker's clients do not all reconnect at the same time.

    ``rng`` returns random numbers from 0 to 1.
    """

    def __init__(self, rng: Callable[[], float] = random.random) -> None:
        self._rng = rng
        self._next_s = _MIN_DELAY_S

    def next_delay(self) -> float:
        """Return the delay in seconds after another failure."""
        seconds, self._next_s = self._next_s, min(self._next_s * 2, _MAX_DELAY_S)
        return self._with_jitter(seconds)

    def reset(self) -> None:
        """Restart with the shortest delay."""
        self._next_s = _MIN_DELAY_S

    def max_delay(self) -> float:
        """Return the longest delay in seconds, with jitter."""
        return self._with_jitter(_MAX_DELAY_S)

    def _with_jitter(self, seconds: float) -> float:
        return max(_MIN_DELAY_S, seconds * (0.5 + self._rng() / 2))


class SessionBackoff:
    """Delays after lost sessions: always short, unless another client keeps taking them over.

    MQTT 3.1.1 and Mosquitto 2.0 do not report a takeover: the session just ends seconds after it started, while the
    broker keeps running. Two clients that both reconnect at once would keep disconnecting each other.
    """

    def __init__(self, rng: Callable[[], float] = random.random) -> None:
        self._rng = rng
        self._backoff = Backoff(rng)
        self._suspected_takeovers = 0

    def next_delay(self, lasted: float, *, closed_by_broker: bool) -> float:
        """Return the delay in seconds after a session that lasted ``lasted`` seconds.

        ``closed_by_broker`` is True if the broker closed it without a reason and is still running.
        """
        if lasted >= _STABLE_SESSION_S:
            self._suspected_takeovers = 0
            self._backoff.reset()
        if closed_by_broker and lasted < _BRIEF_SESSION_S:
            self._suspected_takeovers += 1
            if self._suspected_takeovers > _MAX_SUSPECTED_TAKEOVERS:
                return _AFTER_SESSION_S + self._backoff.next_delay()
        return _AFTER_SESSION_S + self._rng() / 2

    @property
    def suspects_takeover(self) -> bool:
        """Whether another client probably keeps taking over the sessions."""
        return self._suspected_takeovers > _MAX_SUSPECTED_TAKEOVERS
