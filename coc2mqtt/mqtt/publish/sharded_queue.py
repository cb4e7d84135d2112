"""Resources that something is to be said of: side by side, and one after another for each tag."""

from __future__ import annotations

import asyncio
import itertools
import zlib
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from coc2mqtt.util.containment import never_ending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Resource

# Enough that a broker's round trip does not hold up the rest.
_LANES = 8
# What is known already, and need not be said again, waits for nothing: after so many turns others have theirs.
_AT_ONCE = 8

# Says something of a resource: all there is, or only when it was polled.
Work: TypeAlias = "Callable[[Resource, bool], Awaitable[None]]"


class _Shard:
    """Who waits, in order, and whether all is wanted of them; ``busy`` is while one of them has its turn."""

    __slots__ = ("busy", "waiting", "wake")

    def __init__(self) -> None:
        self.waiting: dict[Resource, bool] = {}
        self.wake = asyncio.Event()
        self.busy = False


class ShardedQueue:
    """Has each resource that was put in dealt with once, however often it was put in before its turn.

    Resources of the same tag never have their turn at the same time; others may.
    """

    def __init__(self) -> None:
        self._lanes = [_Shard() for _ in range(_LANES)]
        self._idle = asyncio.Event()
        self._idle.set()

    def __contains__(self, resource: Resource) -> bool:
        return resource in self._lane(resource).waiting

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes)

    def put(self, resource: Resource, *, whole: bool = True) -> None:
        """Have a resource dealt with; one that waits keeps its place, and whole stays whole."""
        lane = self._lane(resource)
        lane.waiting[resource] = whole or lane.waiting.get(resource, False)
        lane.wake.set()
        self._idle.clear()

    async def run(self, work: Work) -> None:
        """Deal with what is put in, until cancelled; what was not done then, or failed, waits for the next run."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(never_ending("lane", partial(self._run, lane, work)))

    async def idle(self) -> None:
        """Wait until all is done."""
        await self._idle.wait()

    def _lane(self, resource: Resource) -> _Shard:
        return self._lanes[zlib.crc32(resource.tag.encode()) % _LANES]

    async def _run(self, lane: _Shard, work: Work) -> None:
        for turn in itertools.count(1):
            if turn % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if not lane.waiting:
                lane.wake.clear()
                self._note_idle()
                await lane.wake.wait()
            resource = next(iter(lane.waiting))
            whole = lane.waiting.pop(resource)
            lane.busy = True
            try:
                await work(resource, whole)
            except BaseException:
                self.put(resource, whole=whole)
                raise
            finally:
                lane.busy = False

    def _note_idle(self) -> None:
        if not any(lane.busy or lane.waiting for lane in self._lanes):
            self._idle.set()
