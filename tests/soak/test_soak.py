"""The short form of ``make soak``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from coc2mqtt.util.runtime import LOOP_VARIABLE
from tests.support.broker import find_program
from tests.support.paths import ROOT


@pytest.mark.process
@pytest.mark.parametrize(
    "options",
    [
        ("--clans", "100", "--interval", "2", "--rate", "40", "--away", "2"),
        ("--clans", "20", "--interval", "1", "--api-faults", "--seed", "7"),
    ],
    ids=["broker away", "api faults"],
)
def test_bridge_under_load_delivers_every_event_once_in_order(options: tuple[str, ...]) -> None:
    if find_program("mosquitto") is None:
        pytest.skip("Mosquitto is not installed (Debian: apt install mosquitto)")
    # A separate process, because it pins the bridge to one core and itself to another.
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", "12", *options],
        cwd=ROOT,
        env={**os.environ, LOOP_VARIABLE: "uvloop"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) > 1)
    assert figures["event loop"] == "uvloop"
    assert int(figures["events"]) > 50
    assert (figures["lost"], figures["reordered"], figures["false"]) == ("0", "0", "0")
