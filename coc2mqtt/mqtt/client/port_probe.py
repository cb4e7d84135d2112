"""Whether a broker that was away is back: asked of its port, between two attempts to connect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_TIMEOUT = 1.0
# A knock comes 1 to 2 seconds after the last one: with the connect itself, what waited is on its way within five.
_BETWEEN = 1.0
# With an open port, a full connect is tried at least this often (seconds).
_OPEN = 5.0


async def port_is_open(host: str, port: int) -> bool:
    """Return whether something accepts a TCP connection within a second; it is closed again without a word."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError):  # a TimeoutError is an OSError
        return False
    writer.transport.abort()
    return True


class PortWatcher:
    """Waits before the next attempt to connect, and ends the wait early when the broker's port is open.

    A connect costs both sides a login and a line in the broker's log, so those are rare during a long outage; a
    knock costs neither. A port that is open all the time can be that of a proxy, or of a broker that does not answer
    yet: it is worth a connect every few seconds. ``knock`` tells whether the port is open, ``sleep`` waits so many
    seconds, ``draw`` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        knock: Callable[[], Awaitable[bool]],
        *,
        sleep: Callable[[float], Awaitable[None]],
        draw: Callable[[], float],
    ) -> None:
        self._knock = knock
        self._sleep = sleep
        self._draw = draw

    async def wait(self, seconds: float) -> None:
        """Wait this many seconds, until the port opens, or for a few seconds if it was open from the start."""
        if seconds <= _BETWEEN:
            await self._sleep(seconds)
            return
        if await self._knock():
            await self._sleep(min(seconds, _OPEN * (0.7 + 0.2 * self._draw())))
            return
        while seconds > 0:
            step = min(seconds, _BETWEEN * (1 + self._draw()))
            await self._sleep(step)
            seconds -= step
            if seconds > 0 and await self._knock():
                return
