"""A bug at any await of any part of the bridge: nothing is lost or invented, and all is well again within seconds.

In one process, without a restart. The short form injects a bug the first time that each place is passed; the long form,
with RECOVERY=long, at every point.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.recovery.injection import Injection
from tests.recovery.stage import Stage, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = os.environ.get("RECOVERY") == "long"


def injections(name: str, folder: Path, *, beside: str | None) -> Iterator[partial[Injection]]:
    """Return what to inject: in the short form, a bug at each place that the other story does not have."""
    if LONG:
        number = 0
        while True:
            number += 1
            yield partial(Injection, number)
    known = set() if beside is None else set(dry_run(beside, folder / "beside").injection.places)
    for place in dict.fromkeys(dry_run(name, folder / "dry").injection.places):
        if place not in known:
            yield partial(Injection, 1, place=place)


def dry_run(name: str, folder: Path) -> Stage:
    folder.mkdir()
    stage = run(name, folder, Injection)
    assert stage.faults() == []
    return stage


# How many were found when this was written, less a fifth: the order of what happens at once is the machine's.
@pytest.mark.parametrize(
    ("name", "beside", "fewest", "places"),
    [
        (
            "changing",
            None,
            60 if not LONG else 190,
            ["Connection", "Delivery", "Engine", "Lanes", "Scheduler", "sqlite"],
        ),
        ("breaking", "changing", 8 if not LONG else 300, ["Delivery"]),
        ("watching", "changing", 10 if not LONG else 210, ["WatchList", "RetainedState._take_away", "sqlite DELETE"]),
    ],
)
def test_bug_at_any_await_loses_nothing_and_is_over_within_seconds(
    name: str, beside: str | None, fewest: int, places: list[str], tmp_path: Path
) -> None:
    wrong, passed = list[str](), list[str]()
    for number, inject in enumerate(injections(name, tmp_path, beside=beside)):
        folder = tmp_path / str(number)
        folder.mkdir()
        stage = run(name, folder, inject)
        if stage.injection.raised_at is None:
            if LONG:
                break
            continue  # not every run passes by every place
        passed.append(stage.injection.places[-1])
        wrong += [f"{number}, {passed[-1]}: {fault}" for fault in stage.faults()]
    assert wrong == []
    assert len(passed) >= fewest
    for place in places:
        assert any(place in one for one in passed), place
