"""Locks that keep the commands about one tag in order while one of them waits for the API."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class TagLocks:
    """One lock per tag, which serves its waiters in order. Locks that nobody uses take no memory."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def hold(self, tag: str | None, on_wait: Callable[[], None]) -> AsyncIterator[None]:
        """Hold the lock of a tag, none for None; ``on_wait`` is called if another command holds it or waits for it."""
        if tag is None:
            yield
            return
        lock = self._locks.setdefault(tag, asyncio.Lock())
        self._users[tag] += 1
        # Not lock.locked(): between two holders it is free, although the next one already waits.
        if self._users[tag] > 1:
            on_wait()
        try:
            async with lock:
                yield
        finally:
            self._users[tag] -= 1
            if not self._users[tag]:
                del self._users[tag], self._locks[tag]
