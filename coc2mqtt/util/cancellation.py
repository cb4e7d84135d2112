"""Awaiting what may swallow a cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

Result = TypeVar("Result")


async def heed_cancellation(awaited: Awaitable[Result]) -> Result:
    """Await, and end with CancelledError wherever the task was cancelled meanwhile.

    aiomqtt waits with asyncio.wait_for, which up to Python 3.11 swallows a cancellation that comes in the same moment
    as what it waits for: the program could not be stopped then.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await awaited
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError
