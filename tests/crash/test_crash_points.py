"""The program dies wherever it can between an answer of the API and the acknowledgement of what came of it.

Nothing of it survives but its file and what the broker has got. Then it is started again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.crash.checks import read_problems
from tests.crash.scenarios import SCENARIOS
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def let_die(scenario: str, folder: Path, places: list[str]) -> str:
    """Let the program die at all of its points, and surely at these places; returns what went wrong with that."""
    zygote = subprocess.run(
        [sys.executable, "-m", "tests.crash.fork_server", scenario, folder, *places],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    return zygote.stderr or f"exit status {zygote.returncode}" * bool(zygote.returncode)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.crash
# How many points were found when this was written, less a fifth: the order of what happens at once is the machine's.
@pytest.mark.parametrize(
    ("scenario", "fewest", "places"),
    [
        ("changing", 78, ["_Journal.commit", "FakeSession.publish", "_Journal.acknowledge", "sqlite COMMIT"]),
        ("breaking", 147, ["_Journal.commit", "FakeSession.publish", "_Journal.acknowledge", "sqlite COMMIT"]),
        ("watching", 107, ["._watch", "._unwatch", "_Journal.delete_snapshot", "sqlite DELETE FROM snapshot"]),
    ],
)
def test_wherever_it_dies_nothing_is_lost_nothing_invented_and_no_ghost_stays(
    scenario: str, fewest: int, places: list[str], tmp_path: Path
) -> None:
    complaints = let_die(scenario, tmp_path, places)
    cases = sorted(tmp_path.iterdir())
    found = {case.name: read_problems(SCENARIOS[scenario](), case) for case in cases if (case / "end").exists()}
    wrong = [
        f"{name}, {read(tmp_path / name / 'where')}: {said}"
        for name, read_problems in found.items()
        for said in read_problems
    ]
    assert wrong == []
    assert complaints == ""
    died = {case.name: where for case in cases if (where := read(case / "where"))}
    assert len([name for name in died if name.isdecimal()]) >= fewest
    for place in places:
        assert any(place in where for where in died.values()), place
    # Tens of megabytes, which are of use only where something is wrong.
    for case in cases:
        shutil.rmtree(case)
