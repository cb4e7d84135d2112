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
from coc2mqtt.util.runtime import run
from tests.crash.crash_point import CRASH_STATUS, CrashPoint
from tests.crash.harness import FakeSession, FileBroker, ScriptedApi
from tests.crash.program import Program
from tests.crash.scenarios import NOON, SCENARIOS, is_final
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from tests.crash.scenarios import Scenario

# Several cases run in parallel, because the program sometimes waits.
MAX_PARALLEL = 3
_TIMEOUT_S = LONG_ENOUGH
# The number of crash points per place.
_POINTS_PER_PLACE = 3
# The time between two runs (seconds).
_DOWNTIME_S = 60.0


def main(name: str, folder: Path, places: Sequence[str]) -> None:
    """Run until the program survives all crash points, or fails otherwise."""
    scenario = SCENARIOS[name]()
    _warm_up(scenario, folder / "0000")
    _crash_at(scenario, folder, itertools.count(1))
    for place in places:
        _crash_at(scenario, folder, range(1, _POINTS_PER_PLACE + 1), place)


def _crash_at(scenario: Scenario, folder: Path, points: Iterable[int], place: str = "") -> None:
    """Crash the program at these points, one after another, until it survives one."""
    left = iter(points)
    cases: set[int] = set()
    survived = False
    while True:
        while len(cases) < MAX_PARALLEL and not survived and (reach := next(left, None)) is not None:
            cases.add(_fork(partial(_run_case, scenario, folder / f"{reach:04}{place}", reach, place)))
        if not cases:
            return
        case, status = os.wait()
        cases.discard(case)
        survived = survived or os.waitstatus_to_exitcode(status) != CRASH_STATUS


def _warm_up(scenario: Scenario, folder: Path) -> None:
    """Execute everything once, so that the forks need no initialisation."""
    folder.mkdir()
    run(_first_run(scenario, folder, CrashPoint(None, folder / "where")))
    run(_next_run(scenario, folder))
    # A process with threads must not fork; the journal's thread ends by itself.
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join()
    gc.collect()
    gc.freeze()


def _run_case(scenario: Scenario, folder: Path, reach: int, place: str) -> int:
    """Crash the program at one point, and restart it; return CRASH_STATUS if it crashed."""
    folder.mkdir()
    crash_point = CrashPoint(reach, folder / "where", place=place)
    first = _fork(lambda: run(_first_run(scenario, folder, crash_point)))
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    if status not in (0, CRASH_STATUS):
        return status
    run(_next_run(scenario, folder))
    return status


def _fork(work: Callable[[], int | None]) -> int:
    """Run the work in a child process whose exit status is its result; return the process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = work() or 0
    except BaseException:  # noqa: BLE001 the child must not continue as its parent
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


async def _first_run(scenario: Scenario, folder: Path, crash_point: CrashPoint) -> None:
    crash_point.instrument(asyncio.get_running_loop())
    api, broker = ScriptedApi(scenario.before), FileBroker(folder / "published", run=1)
    program = Program(folder, api=api, broker=broker, sessions=scenario.sessions(broker), now=NOON.timestamp())
    async with asyncio.timeout(_TIMEOUT_S):
        await program.run(scenario.configured, lambda running: scenario.first_run(running, api, scenario, crash_point))


async def _next_run(scenario: Scenario, folder: Path) -> None:
    broker = FileBroker(folder / "published", run=2)
    now = NOON.timestamp() + _DOWNTIME_S
    program = Program(folder, api=ScriptedApi(scenario.after), broker=broker, sessions=[FakeSession(broker)], now=now)

    async def watch(running: Program) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await running.until(partial(is_final, running, scenario))
        finally:
            # This is written even after a timeout, to show the cause.
            (folder / "end").write_bytes(orjson.dumps(await _final_state(running)))

    await program.run(scenario.configured, watch)


async def _final_state(program: Program) -> dict[str, Any]:
    """Return the final watches and snapshots."""
    journal = program.journal
    return {
        "watches": [f"{watch.kind}/{watch.tag}" for watch in program.engine.watches],
        "snapshots": {
            "/".join(one): getattr(await journal.snapshot(one), "data", None)
            for one in await journal.resources()
            if one != API
        },
        "pending": (await journal.counts()).pending,
    }


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
