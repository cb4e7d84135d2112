"""Long loops that leave turns to others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

T = TypeVar("T")

# What is done for each takes some microseconds: so many are done within a few milliseconds.
_AT_ONCE = 100


async def yield_periodically(items: Sequence[T]) -> AsyncIterator[T]:
    """Yield each item in order, and let others have their turn after every hundred of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
