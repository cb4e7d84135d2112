"""Asyncio tasks: cancellation, exception groups, and iteration that does not block the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Never, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

T = TypeVar("T")

# Each item takes some microseconds, so a batch takes a few milliseconds.
_BATCH_SIZE = 100


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


async def yield_periodically(items: Sequence[T]) -> AsyncIterator[T]:
    """Yield each item in order, and let other tasks run after every hundred items."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _BATCH_SIZE == 0:
            await asyncio.sleep(0)


def first_exception(error: BaseException, *preferred: type[BaseException]) -> BaseException:
    """Return one exception out of an exception group, at any depth; return any other exception unchanged.

    That is the first exception of the first ``preferred`` type that the group contains, otherwise the first of all.
    """
    for kind in preferred:
        found = error.subgroup(kind) if isinstance(error, BaseExceptionGroup) else None
        if found is not None:
            error = found
            break
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def unwrap_single(error: BaseException) -> BaseException:
    """Unwrap nested groups of one exception each; return a group of several exceptions unchanged."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
