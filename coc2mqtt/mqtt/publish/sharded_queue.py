"""A work queue sharded by tag: items of different tags run concurrently, items of one tag in order."""

from __future__ import annotations

import asyncio
import itertools
import zlib
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from coc2mqtt.util.tasks import run_until_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

# Work that never waits for anything would keep the event loop from other tasks: yield after this many items.
_YIELD_EVERY = 8


class ShardedQueue(Generic[T]):
    """A first-in, first-out queue with one worker per shard.

    ``tag_of`` returns the tag of an item. All items of a tag belong to the same shard, which keeps their order.
    ``max_per_shard`` limits the items that wait in a shard; 0 is unlimited.
    """

    def __init__(self, shards: int, *, tag_of: Callable[[T], str], max_per_shard: int = 0) -> None:
        self._tag_of = tag_of
        self._shards: list[asyncio.Queue[T]] = [asyncio.Queue(max_per_shard) for _ in range(shards)]
        self._unfinished = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def put_nowait(self, item: T) -> None:
        """Add an item; raise asyncio.QueueFull if its shard is full."""
        self._shard(item).put_nowait(item)
        self._count_added()

    async def put(self, item: T) -> None:
        """Add an item as soon as its shard has room."""
        await self._shard(item).put(item)
        self._count_added()

    async def run(self, work: Callable[[T], Awaitable[None]]) -> None:
        """Call ``work`` for each item until cancelled or until a call fails.

        Waiting items stay for the next run. An item whose work was cancelled or failed does not: ``work`` has to add it
        again if it must not be lost.
        """
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(run_until_cancelled("queue worker", partial(self._run_shard, shard, work)))

    async def wait_idle(self) -> None:
        """Wait until no item is waiting or being worked on."""
        await self._idle.wait()

    def _shard(self, item: T) -> asyncio.Queue[T]:
        return self._shards[zlib.crc32(self._tag_of(item).encode()) % len(self._shards)]

    def _count_added(self) -> None:
        self._unfinished += 1
        self._idle.clear()

    async def _run_shard(self, shard: asyncio.Queue[T], work: Callable[[T], Awaitable[None]]) -> None:
        for number in itertools.count(1):
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            item = await shard.get()
            try:
                await work(item)
            finally:
                self._unfinished -= 1
                if not self._unfinished:
                    self._idle.set()
