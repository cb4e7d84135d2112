"""An event loop in simulated time, beside real threads such as the journal's."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Loop(asyncio.SelectorEventLoop):
    """A simulated clock that jumps from timer to timer, and stands still while a thread works for the loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at_work = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], T], *args: *Arguments
    ) -> asyncio.Future[T]:
        work = super().run_in_executor(executor, func, *args)
        self.at_work += 1
        work.add_done_callback(self._end_of_work)
        return work

    async def shutdown_default_executor(self, *args: Any) -> None:
        self.at_work += 1  # its threads end in real time
        await super().shutdown_default_executor(*args)

    def _end_of_work(self, _: asyncio.Future[Any]) -> None:
        self.at_work -= 1


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._loop.at_work:
            return super().select(0 if timeout == 0 else 10)
        assert timeout is not None, "nothing will ever happen any more"
        self._loop.now += max(0.0, timeout)
        return []
