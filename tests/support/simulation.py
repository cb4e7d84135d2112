"""A clock that jumps from timer to timer, and polls that are remembered."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from typing import TYPE_CHECKING, Any

from coc2mqtt.events.polling.scheduler import NextPoll

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from coc2mqtt.events.polling.scheduler import Scheduler
    from coc2mqtt.events.resource import Resource

_ANY_TIME = NextPoll(earliest=0.0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop without I/O: when nothing is left to do, it is the next timer's time.

    It does what looptime does in half the time or less, which makes simulations of a week possible.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    def pass_by(self, seconds: float) -> None:
        """Let time pass in which nothing runs: as a suspended machine sees it when it wakes up."""
        self._now += seconds


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen any more")
        self._loop.pass_by(max(0.0, timeout))
        return []


def simulate(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario from the time 0 on."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(scenario)


@contextlib.asynccontextmanager
async def running(scheduler: Scheduler) -> AsyncIterator[asyncio.Task[None]]:
    """Run a scheduler until the end of the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduler.run())
        yield task
        task.cancel()


class Polls:
    """Records when each resource is polled; a poll takes ``takes`` and says when to poll again (seconds)."""

    def __init__(self) -> None:
        self.times: dict[Resource, list[float]] = {}
        self.under_way = 0
        self.most_under_way = 0

    def of(
        self, resource: Resource, *, takes: float = 0.1, again: NextPoll = _ANY_TIME
    ) -> Callable[[], Awaitable[NextPoll]]:
        async def poll() -> NextPoll:
            self.times.setdefault(resource, []).append(asyncio.get_running_loop().time())
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            try:
                await asyncio.sleep(takes)
            finally:
                self.under_way -= 1
            return again

        return poll

    def rounded(self, resource: Resource) -> list[int]:
        """When it was polled, in whole seconds."""
        return [round(time) for time in self.times.get(resource, [])]

    @property
    def order(self) -> list[Resource]:
        """All polls, the earliest first."""
        return [resource for _, resource in sorted((time, one) for one, times in self.times.items() for time in times)]
