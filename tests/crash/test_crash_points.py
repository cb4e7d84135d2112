"""The program crashes at every point between an API response and the acknowledgement of the resulting events.

Only its database file and the messages that the broker received survive. Then the program is restarted.
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


def run_fork_server(scenario: str, folder: Path, places: list[str]) -> str:
    """Crash the program at all crash points, and at these places; return the errors of the fork server."""
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
# 80 % of the crash points found when this was written: the order of concurrent steps depends on the machine.
@pytest.mark.parametrize(
    ("scenario", "min_points", "places"),
    [
        ("changing", 78, ["_Journal.commit", "FakeSession.publish", "_Journal.acknowledge", "sqlite COMMIT"]),
        ("breaking", 147, ["_Journal.commit", "FakeSession.publish", "_Journal.acknowledge", "sqlite COMMIT"]),
        ("reminding", 30, ["ReminderPoller.poll", "_Journal.commit", "FakeSession.publish", "_Journal.acknowledge"]),
        ("watching", 107, ["._watch", "._unwatch", "_Journal.delete_snapshot", "sqlite DELETE FROM snapshot"]),
    ],
)
def test_crash_at_any_point_loses_no_event_and_leaves_no_orphan(
    scenario: str, min_points: int, places: list[str], tmp_path: Path
) -> None:
    errors = run_fork_server(scenario, tmp_path, places)
    cases = sorted(tmp_path.iterdir())
    found = {case.name: read_problems(SCENARIOS[scenario](), case) for case in cases if (case / "end").exists()}
    problems_found = [
        f"{name}, {read(tmp_path / name / 'where')}: {problem}"
        for name, problems in found.items()
        for problem in problems
    ]
    assert problems_found == []
    assert errors == ""
    crashed = {case.name: where for case in cases if (where := read(case / "where"))}
    assert len([name for name in crashed if name.isdecimal()]) >= min_points
    for place in places:
        assert any(place in where for where in crashed.values()), place
    # The files take tens of megabytes and are only useful after a failure.
    for case in cases:
        shutil.rmtree(case)
