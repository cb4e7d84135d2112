"""Scenarios in simulated time, and polls that are recorded."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from coc2mqtt.events.polling.scheduler import NextPoll
from coc2mqtt.events.resource import Kind, Resource
from tests.support.simulated_loop import SimulatedLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from coc2mqtt.events.polling.scheduler import Scheduler

ONE, TWO, THREE = (Resource(Kind.CLAN, tag) for tag in ("#2PA", "#2PB", "#2PC"))

_ANY_TIME = NextPoll(earliest=0.0)


def simulate(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario from time 0; takes at most half the time that looptime needs, so a week can be simulated."""
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
    """Records when each resource is polled (seconds)."""

    def __init__(self) -> None:
        self.times: dict[Resource, list[float]] = {}
        self.in_progress = 0
        self.max_in_progress = 0

    def record(
        self, resource: Resource, *, duration: float = 0.1, next_poll: NextPoll = _ANY_TIME
    ) -> Callable[[], Awaitable[NextPoll]]:
        """Return a poll function that takes ``duration`` seconds and returns ``next_poll``."""

        async def poll() -> NextPoll:
            self.times.setdefault(resource, []).append(asyncio.get_running_loop().time())
            self.in_progress += 1
            self.max_in_progress = max(self.max_in_progress, self.in_progress)
            try:
                await asyncio.sleep(duration)
            finally:
                self.in_progress -= 1
            return next_poll

        return poll

    def rounded(self, resource: Resource) -> list[int]:
        """Return the times of a resource's polls in whole seconds."""
        return [round(time) for time in self.times.get(resource, [])]

    @property
    def order(self) -> list[Resource]:
        """The resources of all polls, the earliest first."""
        return [resource for _, resource in sorted((time, one) for one, times in self.times.items() for time in times)]
