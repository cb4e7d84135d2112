"""A script: a timeline of changes in a world."""

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
    """A change ``delay`` seconds of script time after the previous step."""

    delay: float
    describe: str
    apply: Callable[[World], object]


@dataclass(frozen=True)
class Script:
    """A timeline of steps; it may be endless.

    ``steps`` is called with the playback speed, because a war has the times of its start and end in advance. The next
    step is requested after the previous one was applied.
    """

    steps: Callable[[float], Iterator[Step]]


async def play(
    world: World,
    script: Script,
    *,
    speed: float = 1.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Apply the script to the world at ``speed`` times real time; return when it ends."""
    for step in script.steps(speed):
        await sleep(step.delay / speed)
        step.apply(world)
        _log.debug("demo step applied", step=step.describe)
