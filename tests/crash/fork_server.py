"""Crash a program at each of its crash points, one after the other, and restart it after each crash.

Run as ``python -m tests.crash.fork_server SCENARIO FOLDER PLACE...``. Modules are imported once, and each run of the
program is a fork. FOLDER gets a folder per crash point, named after its number, with the journal and the file of the
broker. The program in folder 0000 does not crash. For each PLACE the program also crashes at the first points there;
the names of these folders are the number followed by the place.
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
from tests.crash.crash_point import CRASH_STATUS, CrashPoint
from tests.crash.harness import FakeSession, FileBroker, ScriptedApi
from tests.crash.program import Program
from tests.crash.scenarios import NOON, SCENARIOS, settled
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from tests.crash.scenarios import Scenario

# The program waits now and then.
AT_ONCE = 3
_PATIENCE = LONG_ENOUGH
# So many points of each place.
_FIRST = 3
# Between one run and the next (seconds).
_ABSENCE = 60.0


def main(name: str, folder: Path, places: Sequence[str]) -> None:
    """Go on until the program outlives its points, or fails otherwise."""
    scenario = SCENARIOS[name]()
    _warm_up(scenario, folder / "0000")
    _let_die(scenario, folder, itertools.count(1))
    for place in places:
        _let_die(scenario, folder, range(1, _FIRST + 1), place)


def _let_die(scenario: Scenario, folder: Path, points: Iterable[int], place: str = "") -> None:
    """Let the program die at these points, one after the other, until it outlives one."""
    left = iter(points)
    cases: set[int] = set()
    outlived = False
    while True:
        while len(cases) < AT_ONCE and not outlived and (reach := next(left, None)) is not None:
            cases.add(_fork(partial(_case, scenario, folder / f"{reach:04}{place}", reach, place)))
        if not cases:
            return
        case, status = os.wait()
        cases.discard(case)
        outlived = outlived or os.waitstatus_to_exitcode(status) != CRASH_STATUS


def _warm_up(scenario: Scenario, folder: Path) -> None:
    """Do everything once, so that the children need not do it for the first time."""
    folder.mkdir()
    run(_first_run(scenario, folder, CrashPoint(None, folder / "where")))
    run(_next_run(scenario, folder))
    # The journal's, which ends by itself: a program with threads must not fork.
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join()
    gc.collect()
    gc.freeze()


def _case(scenario: Scenario, folder: Path, reach: int, place: str) -> int:
    """Let the program die at one point, and start it again; returns STATUS if it did die."""
    folder.mkdir()
    crash_point = CrashPoint(reach, folder / "where", place=place)
    first = _fork(lambda: run(_first_run(scenario, folder, crash_point)))
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    if status not in (0, CRASH_STATUS):
        return status
    run(_next_run(scenario, folder))
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


async def _first_run(scenario: Scenario, folder: Path, crash_point: CrashPoint) -> None:
    crash_point.instrument(asyncio.get_running_loop())
    api, broker = ScriptedApi(scenario.before), FileBroker(folder / "published", run=1)
    program = Program(folder, api=api, broker=broker, sessions=scenario.sessions(broker), now=NOON.timestamp())
    async with asyncio.timeout(_PATIENCE):
        await program.run(scenario.configured, lambda running: scenario.first_run(running, api, scenario, crash_point))


async def _next_run(scenario: Scenario, folder: Path) -> None:
    broker = FileBroker(folder / "published", run=2)
    now = NOON.timestamp() + _ABSENCE
    program = Program(folder, api=ScriptedApi(scenario.after), broker=broker, sessions=[FakeSession(broker)], now=now)

    async def watch(running: Program) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await running.until(partial(settled, running, scenario))
        finally:
            # Where something was lost that never comes, and this says what.
            (folder / "end").write_bytes(orjson.dumps(await _end(running)))

    await program.run(scenario.configured, watch)


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
