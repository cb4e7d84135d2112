"""A bug at any await of any part of the bridge: nothing is lost or invented, and all is well again within seconds.

In one process, without a restart. The short form injects a bug the first time that each place is passed; the long form,
with RECOVERY=long, at every point.
"""

from __future__ import annotations

import itertools
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.recovery.conftest import FIGURES
from tests.recovery.injection import Injection
from tests.recovery.stage import Stage, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = os.environ.get("RECOVERY") == "long"


class Case(NamedTuple):
    """A story, of which the short form tries only the places that another one does not have.

    ``fewest`` and ``fewest_long`` are how many points were found when this was written, less a fifth: the order of what
    happens at once is the machine's. ``places`` must be among them.
    """

    name: str
    beside: str | None
    fewest: int
    fewest_long: int
    places: list[str]


CASES = [
    Case("changing", None, 54, 190, ["Connection", "Delivery", "Engine", "ShardedQueue", "Scheduler", "sqlite"]),
    Case("breaking", "changing", 6, 300, ["Delivery"]),
    Case("watching", "changing", 11, 210, ["WatchList", "RetainedState._take_away", "sqlite DELETE"]),
]


def injections(case: Case, folder: Path) -> Iterator[partial[Injection]]:
    if LONG:
        yield from (partial(Injection, number) for number in itertools.count(1))
    known = set() if case.beside is None else set(dry_run(case.beside, folder / "beside").injection.places)
    for place in dict.fromkeys(dry_run(case.name, folder / "dry").injection.places):
        if place not in known:
            yield partial(Injection, 1, place=place)


def _noted(inject: Callable[[], Injection], tried: list[Injection]) -> Injection:
    tried.append(inject())
    return tried[-1]


def dry_run(name: str, folder: Path) -> Stage:
    folder.mkdir()
    stage = run(name, folder, Injection)
    assert stage.faults() == []
    return stage


@pytest.mark.crash
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bug_at_any_await_loses_nothing_and_is_over_within_seconds(
    case: Case, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    wrong, passed, longest = list[str](), list[str](), 0.0
    for number, inject in enumerate(injections(case, tmp_path)):
        folder = tmp_path / str(number)
        folder.mkdir()
        tried: list[Injection] = []
        try:
            stage = run(case.name, folder, partial(_noted, inject, tried))
        except TimeoutError:
            wrong.append(f"{number}, {tried[-1].places[-1]}: it never recovered")
            continue
        if stage.injection.raised_at is None:
            if LONG:
                break
            continue  # not every run passes by every place
        passed.append(stage.injection.places[-1])
        longest = max(longest, stage.took)
        wrong += [f"{number}, {passed[-1]}: {fault}" for fault in stage.faults()]
        shutil.rmtree(folder)
    assert wrong == []
    assert len(passed) >= (case.fewest_long if LONG else case.fewest)
    for place in case.places:
        assert any(place in one for one in passed), place
    figures = (
        f"a bug at {len(passed)} points in {len(set(passed))} places, all well again after at most {longest:.1f} s"
    )
    record_property(FIGURES, f"{case.name}: {figures}; nothing lost, nothing invented")
