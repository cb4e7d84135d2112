"""An event loop with simulated time that supports real threads, such as the journal's."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer, and stops while a thread works for the loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self.running_threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.running_threads += 1
        future.add_done_callback(self._on_thread_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        self.running_threads += 1  # its threads stop in real time
        await super().shutdown_default_executor(*args)

    def _on_thread_done(self, _: asyncio.Future[Any]) -> None:
        self.running_threads -= 1


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._loop.running_threads:
            return super().select(0 if timeout == 0 else 10)
        assert timeout is not None, "deadlock: no timer and no thread is left"
        self._loop.now += max(0.0, timeout)
        return []
