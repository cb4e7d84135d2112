"""Iteration that does not block the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

T = TypeVar("T")

# Each item takes some microseconds, so a batch takes a few milliseconds.
_BATCH_SIZE = 100


async def yield_periodically(items: Sequence[T]) -> AsyncIterator[T]:
    """Yield each item in order, and let other tasks run after every hundred items."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _BATCH_SIZE == 0:
            await asyncio.sleep(0)
