"""Whether a broker that was away is back: asked of its port, between two attempts to connect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_TIMEOUT = 1.0
# A knock comes 1 to 2 seconds after the last one: with the connect itself, what waited is on its way within five.
_BETWEEN = 1.0


async def port_is_open(host: str, port: int) -> bool:
    """Return whether something accepts a TCP connection within a second; it is closed again without a word."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError):  # a TimeoutError is an OSError
        return False
    writer.transport.abort()
    return True


class Knocking:
    """Waits before the next attempt to connect, and ends the wait early when the broker's port opens meanwhile.

    A connect costs both sides a login and a line in the broker's log, so those are rare during a long outage; a
    knock costs neither. ``knock`` tells whether the port is open, ``sleep`` waits so many seconds, ``draw`` gives
    random numbers from 0 to 1.
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
        """Wait so many seconds, or until the port opens; one that is open already says nothing of the broker."""
        if seconds > _BETWEEN and not await self._knock():
            while seconds > 0:
                step = min(seconds, _BETWEEN * (1 + self._draw()))
                await self._sleep(step)
                seconds -= step
                if seconds > 0 and await self._knock():
                    return
        else:
            await self._sleep(seconds)
