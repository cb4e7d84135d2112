"""A bug at any await of any part of the bridge loses and invents no event, and the bridge recovers within seconds.

All runs are in one process, without a restart. The short form injects a bug when each place is first passed. The long
form, with RECOVERY=long, injects it at every point.
"""

from __future__ import annotations

import itertools
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.recovery.conftest import RESULT
from tests.recovery.injection import Injection
from tests.recovery.simulation import Simulation, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = os.environ.get("RECOVERY") == "long"


class Case(NamedTuple):
    """A scenario. The short form tries only the places that another scenario (``except_of``) does not pass.

    ``min_points`` and ``min_points_long`` are 80 % of the points found when this was written: the order of concurrent
    steps depends on the machine. ``places`` must be among them.
    """

    name: str
    except_of: str | None
    min_points: int
    min_points_long: int
    places: list[str]


CASES = [
    Case("changing", None, 54, 190, ["Connection", "Delivery", "Engine", "ShardedQueue", "Scheduler", "sqlite"]),
    Case("breaking", "changing", 6, 300, ["Delivery"]),
    Case("reminding", "changing", 4, 280, ["ReminderPoller.poll > ReminderPoller._commit"]),
    Case("watching", "changing", 11, 210, ["WatchList", "RetainedState._remove", "sqlite DELETE"]),
]


def injections(case: Case, folder: Path) -> Iterator[partial[Injection]]:
    if LONG:
        yield from (partial(Injection, number) for number in itertools.count(1))
    known = set() if case.except_of is None else set(dry_run(case.except_of, folder / "other").injection.places)
    for place in dict.fromkeys(dry_run(case.name, folder / "dry").injection.places):
        if place not in known:
            yield partial(Injection, 1, place=place)


def _recorded(inject: Callable[[], Injection], injections: list[Injection]) -> Injection:
    injections.append(inject())
    return injections[-1]


def dry_run(name: str, folder: Path) -> Simulation:
    folder.mkdir()
    simulation = run(name, folder, Injection)
    assert simulation.faults() == []
    return simulation


@pytest.mark.crash
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bug_at_any_await_loses_nothing_and_the_bridge_recovers(
    case: Case, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    faults, passed, longest = list[str](), list[str](), 0.0
    for number, inject in enumerate(injections(case, tmp_path)):
        folder = tmp_path / str(number)
        folder.mkdir()
        tried: list[Injection] = []
        try:
            simulation = run(case.name, folder, partial(_recorded, inject, tried))
        except TimeoutError:
            faults.append(f"{number}, {tried[-1].places[-1]}: never recovered")
            continue
        if simulation.injection.raised_at is None:
            if LONG:
                break
            continue  # not every run passes every place
        passed.append(simulation.injection.places[-1])
        longest = max(longest, simulation.recovery_seconds)
        faults += [f"{number}, {passed[-1]}: {fault}" for fault in simulation.faults()]
        shutil.rmtree(folder)
    assert faults == []
    assert len(passed) >= (case.min_points_long if LONG else case.min_points)
    for place in case.places:
        assert any(place in one for one in passed), place
    result = f"a bug at {len(passed)} points in {len(set(passed))} places, recovered after at most {longest:.1f} s"
    record_property(RESULT, f"{case.name}: {result}; no event lost or invented")
