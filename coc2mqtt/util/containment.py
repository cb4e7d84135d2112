"""Confine an unexpected exception to the part of the program in which it was raised."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

# A single failure costs a second. A permanent one must neither fill the log nor load the machine.
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
# Failures that are further apart are unrelated.
WINDOW_S = 600.0
# 2.0 ** this exceeds the longest delay; a much larger power would overflow.
_LARGEST_POWER = 10


class Contain(Protocol):
    """Guards a piece of work: ``with contain("command", command="watch"): …``.

    An exception that is a bug is reported and suppressed, so the code after the ``with`` block runs. Every other
    exception is propagated: the errors that the caller handles, a cancellation, an interrupt. A bug in a task that is
    being cancelled becomes a CancelledError. The block must not contain a TaskGroup: up to Python 3.11 a failing one
    can leave its task marked as cancelled.
    """

    def __call__(self, part: str, **context: object) -> AbstractContextManager[object, bool | None]:
        """Return a guard. ``part`` and ``context`` are logged with the failure."""


def propagate(part: str, **context: object) -> AbstractContextManager[object, bool | None]:  # noqa: ARG001 - as Contain
    """Contain nothing: every exception is propagated."""
    return contextlib.nullcontext()


def retry_delay(failures: int) -> float:
    """Return how many seconds to wait after this number of failures in a row: 1, 2, 4 … 60."""
    return min(FIRST_DELAY_S * 2.0 ** min(failures - 1, _LARGEST_POWER), LONGEST_DELAY_S)


class FailureWindow:
    """Counts the failures of the last ten minutes. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._failed_at: deque[float] = deque()

    def add(self, now: float) -> int:
        """Record a failure and return the number of failures in the last ten minutes, including this one."""
        self._failed_at.append(now)
        while now - self._failed_at[0] >= WINDOW_S:
            self._failed_at.popleft()
        return len(self._failed_at)


async def keep_running(part: str, work: Callable[[], Awaitable[None]], contain: Contain) -> None:
    """Run ``work`` until it returns; after a bug, run it again 1 to 60 s later."""
    failures = FailureWindow()
    while True:
        with contain(part):
            await work()
            return
        await asyncio.sleep(retry_delay(failures.add(asyncio.get_running_loop().time())))
