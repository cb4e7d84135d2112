"""Keeping an unexpected exception to the part that it happened in."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Never, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager

# A bug that shows up for the first time costs a second; one that stays must not fill the log or load the machine.
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
# Failures that are further apart have nothing to do with each other.
WINDOW_S = 600.0
# 2.0 ** this is beyond the longest delay; larger powers would overflow one day.
_LARGEST_POWER = 10


class Contain(Protocol):
    """Guards a piece of work: ``with contain("command", command="watch"): …``.

    An exception that is a bug is reported and suppressed, so the code after the ``with`` block runs. Every other
    exception is propagated: the errors that the caller handles, a cancellation, an interrupt. A bug in a task that is
    being cancelled becomes a CancelledError. The block must hold no TaskGroup: up to Python 3.11 one that fails can
    leave its task marked as cancelled.
    """

    def __call__(self, part: str, **context: object) -> AbstractContextManager[object, bool | None]:
        """Return a guard; ``part`` and ``context`` are what the log says about the failure."""


def propagate(part: str, **context: object) -> AbstractContextManager[object, bool | None]:  # noqa: ARG001 - as Contain
    """Contain nothing: every exception is propagated."""
    return contextlib.nullcontext()


def retry_delay(failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row: 1, 2, 4 … 60."""
    return min(FIRST_DELAY_S * 2.0 ** min(failures - 1, _LARGEST_POWER), LONGEST_DELAY_S)


class FailureWindow:
    """The failures of the last ten minutes. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._failed_at: deque[float] = deque()

    def add(self, now: float) -> int:
        """Note a failure, and return how many there were within the last ten minutes, this one included."""
        self._failed_at.append(now)
        while now - self._failed_at[0] >= WINDOW_S:
            self._failed_at.popleft()
        return len(self._failed_at)


class EndedError(RuntimeError):
    """A task that has to run for as long as its group ended, although nothing had failed and nobody cancelled it."""


@contextlib.contextmanager
def noticing_cancellation(part: str) -> Iterator[None]:
    """Raise EndedError in place of a CancelledError if nobody cancelled the task; a TaskGroup would ignore that."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise EndedError(f"{part} stopped: CancelledError, but nobody cancelled it") from error


async def never_ending(part: str, work: Callable[[], Awaitable[object]]) -> Never:
    """Run ``work`` until it is cancelled; raise EndedError when it ends in any other way without an error."""
    with noticing_cancellation(part):
        await work()
    raise EndedError(f"{part} stopped: it returned")


async def keep_running(part: str, work: Callable[[], Awaitable[None]], contain: Contain) -> None:
    """Run ``work`` until it returns; after a bug, run it again 1 to 60 s later."""
    failures = FailureWindow()
    while True:
        with contain(part):
            await work()
            return
        await asyncio.sleep(retry_delay(failures.add(asyncio.get_running_loop().time())))
