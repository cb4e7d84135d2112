"""Tasks and cancellation: neither swallow a cancellation, nor stop silently without one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Never, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")


class UnexpectedExitError(RuntimeError):
    """A task that must run as long as its group stopped without an error and without being cancelled."""


async def heed_cancellation(awaitable: Awaitable[T]) -> T:
    """Await, and raise CancelledError if the task was cancelled meanwhile.

    aiomqtt uses asyncio.wait_for. Up to Python 3.11 that swallows a cancellation that arrives in the same moment as the
    result, and then the program could not be stopped.
    """
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        return await awaitable
    finally:
        if task and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError


@contextlib.contextmanager
def reject_stray_cancellation(part: str) -> Iterator[None]:
    """Raise UnexpectedExitError for a CancelledError in a task that was not cancelled; a TaskGroup would ignore it."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise UnexpectedExitError(f"{part} stopped: CancelledError, but nothing cancelled it") from error


async def run_until_cancelled(part: str, work: Callable[[], Awaitable[object]]) -> Never:
    """Run ``work`` until it is cancelled; raise UnexpectedExitError if it stops in another way without an error."""
    with reject_stray_cancellation(part):
        await work()
    raise UnexpectedExitError(f"{part} stopped: it returned")
