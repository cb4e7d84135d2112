"""A rate limiter for several tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A sleep may return early by the resolution of timers.
_TIMER_RESOLUTION_S = 1e-6
# uvloop rounds timers to milliseconds: a sleep of less than half a millisecond returns at once, again and again.
_SHORTEST_SLEEP_S = 1e-3


def loop_time() -> float:
    """Return the running event loop's time in seconds."""
    return asyncio.get_running_loop().time()


class RateLimitedError(Exception):
    """All tokens are paused for longer than the caller is willing to wait."""


class TokenRateLimiter:
    """Spaces the requests of several tokens evenly.

    No token makes more than ``requests_per_second`` requests within any second: bursts do not occur, and idle time is
    not saved up. The first request is immediate. The token with the earliest free slot makes the next request. Callers
    are served in order, and a cancelled one uses no slot.
    """

    def __init__(self, tokens: int, requests_per_second: float, *, clock: Callable[[], float] = loop_time) -> None:
        if not requests_per_second > 0:
            raise ValueError(f"requests_per_second must be more than 0, got {requests_per_second}")
        self._spacing_s = 1 / requests_per_second
        self._next_slots = [float("-inf")] * tokens
        self._paused_until = [float("-inf")] * tokens
        self._clock = clock
        # A lock serves its waiters in order. Only its holder sleeps, so a pause delays everyone behind it too.
        self._lock = asyncio.Lock()

    async def acquire(self, max_pause: Callable[[], float] = lambda: float("inf")) -> int:
        """Wait for the next slot and return the index of its token.

        Raises RateLimitedError as soon as all tokens are paused for more than ``max_pause()`` seconds.
        """
        async with self._lock:
            while True:
                if self.all_paused_for > max_pause():
                    raise RateLimitedError
                slot = min(self._next_slots)
                now = self._clock()
                if slot <= now + _TIMER_RESOLUTION_S:
                    break
                await asyncio.sleep(max(slot - now, _SHORTEST_SLEEP_S))
            token = self._next_slots.index(slot)
            # Counted from now if the sleep ended late: from the slot, the next request would be too early.
            self._next_slots[token] = max(slot, now) + self._spacing_s
            return token

    @property
    def next_slot_in(self) -> float:
        """Seconds until any token has a free slot, 0 if one has a slot now."""
        return max(0.0, min(self._next_slots) - self._clock())

    @property
    def all_paused_for(self) -> float:
        """Seconds until any token is not paused, 0 if one is not paused now."""
        return max(0.0, min(self._paused_until) - self._clock())

    def pause(self, token: int, seconds: float) -> None:
        """Give a token no slots for some seconds; a longer pause that is in effect stays."""
        self._paused_until[token] = max(self._paused_until[token], self._clock() + seconds)
        self._next_slots[token] = max(self._next_slots[token], self._paused_until[token])
