"""Waiting between attempts to connect: the delays, and probes of the broker's TCP port that end them early."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_MIN_DELAY_S = 1.0
_MAX_DELAY_S = 60.0
# A lost session is followed by the next attempt after 1 to 1.5 s: including the connect, within two seconds.
_AFTER_SESSION_S = 1.0
# A session that a running broker closes sooner than this may have been taken over by another client. More than
# _MAX_SUSPECTED_TAKEOVERS of them since the last session of at least a minute are treated as proof.
_BRIEF_SESSION_S = 5.0
_STABLE_SESSION_S = 60.0
_MAX_SUSPECTED_TAKEOVERS = 5

_PROBE_TIMEOUT_S = 1.0
# A probe follows the last one after 1 to 2 s: including the connect, publishing resumes within five seconds.
_PROBE_INTERVAL_S = 1.0
# With an open port, a full connect is attempted at least this often.
_OPEN_PORT_WAIT_S = 5.0


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


async def port_is_open(host: str, port: int) -> bool:
    """Return whether the port accepts a TCP connection within a second; close it again without sending anything."""
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError):  # a TimeoutError is an OSError
        return False
    writer.transport.abort()
    return True


class PortWatcher:
    """Waits before the next attempt to connect, but not longer than until the broker's port opens.

    A connect costs both sides a login and a line in the broker's log, so connects are rare during a long outage; a
    probe costs neither. A port that is open all the time may belong to a proxy, or to a broker that does not respond
    yet: it is worth a connect every few seconds. ``port_probe`` returns whether the port is open, ``sleep`` waits for
    a number of seconds, ``rng`` returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        port_probe: Callable[[], Awaitable[bool]],
        *,
        sleep: Callable[[float], Awaitable[None]],
        rng: Callable[[], float],
    ) -> None:
        self._port_probe = port_probe
        self._sleep = sleep
        self._rng = rng

    async def wait(self, seconds: float) -> None:
        """Wait until the port opens, at most ``seconds``; if it is open from the start, at most 3.5 to 4.5 s."""
        if seconds <= _PROBE_INTERVAL_S:
            await self._sleep(seconds)
            return
        if await self._port_probe():
            await self._sleep(min(seconds, _OPEN_PORT_WAIT_S * (0.7 + 0.2 * self._rng())))
            return
        while seconds > 0:
            step = min(seconds, _PROBE_INTERVAL_S * (1 + self._rng()))
            await self._sleep(step)
            seconds -= step
            if seconds > 0 and await self._port_probe():
                return
