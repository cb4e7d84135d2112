"""Lets a program die at each of its points, one after the other, and starts it again after each death.

Run as ``python -m tests.crash.zygote STORY FOLDER PLACE...``. Everything is imported once; each run of the program is a
fork. In FOLDER there is a folder for each point, named by its number, with what the outside remembers: in 0, it never
dies. It also dies at the first points in each PLACE, whose folders have its name after their number among these.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import structlog

from coc2mqtt.events.resource import API
from coc2mqtt.util.event_loop import run
from tests.crash.death import STATUS, Death
from tests.crash.outside import Broker, Line, ScriptedApi
from tests.crash.program import Program
from tests.crash.stories import NOON, STORIES, settled
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from tests.crash.stories import Story

# The program waits now and then.
AT_ONCE = 3
_PATIENCE = LONG_ENOUGH
# So many points of each place.
_FIRST = 3
# Between one run and the next (seconds).
_ABSENCE = 60.0


def main(name: str, folder: Path, places: Sequence[str]) -> None:
    """Go on until the program outlives its points, or fails otherwise."""
    story = STORIES[name]()
    _warm_up(story, folder / "0000")
    _let_die(story, folder, itertools.count(1))
    for place in places:
        _let_die(story, folder, range(1, _FIRST + 1), place)


def _let_die(story: Story, folder: Path, points: Iterable[int], place: str = "") -> None:
    """Let the program die at these points, one after the other, until it outlives one."""
    left = iter(points)
    cases: set[int] = set()
    outlived = False
    while True:
        while len(cases) < AT_ONCE and not outlived and (point := next(left, None)) is not None:
            cases.add(_fork(partial(_case, story, folder / f"{point:04}{place}", point, place)))
        if not cases:
            return
        case, status = os.wait()
        cases.discard(case)
        outlived = outlived or os.waitstatus_to_exitcode(status) != STATUS


def _warm_up(story: Story, folder: Path) -> None:
    """Do everything once, so that the children need not do it for the first time."""
    folder.mkdir()
    run(_first_run(story, folder, Death(None, folder / "where")))
    run(_next_run(story, folder))
    # The journal's, which ends by itself: a program with threads must not fork.
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join()
    gc.collect()
    gc.freeze()


def _case(story: Story, folder: Path, point: int, place: str) -> int:
    """Let the program die at one point, and start it again; returns STATUS if it did die."""
    folder.mkdir()
    death = Death(point, folder / "where", place=place)
    first = _fork(lambda: run(_first_run(story, folder, death)))
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    if status not in (0, STATUS):
        return status
    run(_next_run(story, folder))
    return status


def _fork(work: Callable[[], int | None]) -> int:
    """Do the work in a child, whose status is what it returns, and return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = work() or 0
    except BaseException:  # noqa: BLE001 - whatever it was, the child must not go on as its parent
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


async def _first_run(story: Story, folder: Path, death: Death) -> None:
    death.walk_with(asyncio.get_running_loop())
    api, broker = ScriptedApi(story.before), Broker(folder / "published", run=1)
    program = Program(folder, api=api, broker=broker, lines=story.lines(broker), now=NOON.timestamp())
    async with asyncio.timeout(_PATIENCE):
        await program.run(story.configured, lambda running: story.first_run(running, api, story, death))


async def _next_run(story: Story, folder: Path) -> None:
    broker = Broker(folder / "published", run=2)
    now = NOON.timestamp() + _ABSENCE
    program = Program(folder, api=ScriptedApi(story.after), broker=broker, lines=[Line(broker)], now=now)

    async def watch(running: Program) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await running.until(partial(settled, running, story))
        finally:
            # Where something was lost that never comes, and this says what.
            (folder / "end").write_bytes(orjson.dumps(await _end(running)))

    await program.run(story.configured, watch)


async def _end(program: Program) -> dict[str, Any]:
    """Return what is believed in the end."""
    journal = program.journal
    return {
        "watches": [f"{watch.kind}/{watch.tag}" for watch in program.engine.watches],
        "believed": {
            "/".join(one): getattr(await journal.snapshot(one), "data", None)
            for one in await journal.resources()
            if one != API
        },
        "pending": (await journal.counts()).pending,
    }


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
