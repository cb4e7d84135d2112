"""Probing the broker's TCP port between two attempts to connect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_PROBE_TIMEOUT_S = 1.0
# A probe follows the last one after 1 to 2 s: including the connect, publishing resumes within five seconds.
_PROBE_INTERVAL_S = 1.0
# With an open port, a full connect is attempted at least this often.
_OPEN_PORT_WAIT_S = 5.0


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
