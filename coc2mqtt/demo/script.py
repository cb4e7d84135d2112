"""A script: what happens in a world, and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from coc2mqtt.demo.world import World

_log = structlog.get_logger()


@dataclass(frozen=True)
class Step:
    """One thing that happens ``delay`` seconds of story after the step before it."""

    delay: float
    describe: str
    apply: Callable[[World], object]


@dataclass(frozen=True)
class Script:
    """A timeline of steps; it may be endless.

    ``steps`` is called with the speed at which the script will be played, as a war says beforehand at what time of
    the day it will begin and end. A step is asked for when the one before it has happened.
    """

    steps: Callable[[float], Iterator[Step]]


async def play(
    world: World,
    script: Script,
    *,
    speed: float = 1.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Let the script happen in the world, ``speed`` seconds of story in a second; returns when it is over."""
    for step in script.steps(speed):
        await sleep(step.delay / speed)
        step.apply(world)
        _log.debug("the demo moves on", step=step.describe)
