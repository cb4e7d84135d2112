"""The pace: when which token may make its next request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Timers count in ticks, so one may wake this much (seconds) before the moment that was asked for.
_TICK = 1e-6
# uvloop's count milliseconds and round: one for less than half of that fires at once, again and again until it is time.
_SHORTEST_SLEEP = 1e-3


def loop_time() -> float:
    """Return the running loop's own time in seconds, by which its sleeps are measured."""
    return asyncio.get_running_loop().time()


class RateLimitedError(Exception):
    """No token may be used for longer than somebody is ready to wait."""


class TokenRateLimiter:
    """Slots for the requests of some tokens, evenly spaced for each.

    No token makes more than ``requests_per_second`` requests in any one second: there is no burst, and idle time is
    not saved up. The first request goes at once; the token with the earliest slot serves the next one. Those who
    wait are served in the order in which they came, and one who is cancelled takes no slot.
    """

    def __init__(self, tokens: int, requests_per_second: float, *, clock: Callable[[], float] = loop_time) -> None:
        if not requests_per_second > 0:
            raise ValueError(f"requests_per_second is {requests_per_second}: it must be more than 0")
        self._spacing = 1 / requests_per_second
        self._slots = [float("-inf")] * tokens
        # Until when each token was given no slot at all.
        self._rests = [float("-inf")] * tokens
        self._clock = clock
        # A lock serves its waiters in order. Only its holder sleeps, so a pause holds for everybody behind it too.
        self._turn = asyncio.Lock()

    async def permit(self, longest_rest: Callable[[], float] = lambda: float("inf")) -> int:
        """Wait for the next slot and return the index of the token that it belongs to.

        Raises RestingError as soon as every token rests for more than ``longest_rest`` seconds from now.
        """
        async with self._turn:
            while True:
                if self.rest > longest_rest():
                    raise RateLimitedError
                slot = min(self._slots)
                now = self._clock()
                if slot <= now + _TICK:
                    break
                await asyncio.sleep(max(slot - now, _SHORTEST_SLEEP))
            token = self._slots.index(slot)
            # Counted from when it really goes: after a late wake-up the next one would come too soon.
            self._slots[token] = max(slot, now) + self._spacing
            return token

    @property
    def wait(self) -> float:
        """For how many seconds from now no token has a slot, 0 where one has."""
        return max(0.0, min(self._slots) - self._clock())

    @property
    def rest(self) -> float:
        """For how many seconds from now every token is paused, 0 where one is not."""
        return max(0.0, min(self._rests) - self._clock())

    def pause(self, token: int, seconds: float) -> None:
        """Give a token no slot for so many seconds from now; a longer pause that it is in already stands."""
        self._rests[token] = max(self._rests[token], self._clock() + seconds)
        self._slots[token] = max(self._slots[token], self._rests[token])
