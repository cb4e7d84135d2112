"""The lab's scripts, which install and run Home Assistant, Node-RED and a browser."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

_TIMEOUT_S = 180


class LabError(Exception):
    """The lab is missing, or one of its programs failed; the message says what to do."""


class Lab:
    """Runs the lab's scripts; raises LabError if there are none.

    They are in the folder that ``COC_LAB_SCRIPTS`` names, by default in ``../shared/lab`` next to the checkout.
    """

    def __init__(self) -> None:
        self.scripts = Path(os.environ.get("COC_LAB_SCRIPTS") or ROOT.parent / "shared" / "lab")
        if not (self.scripts / "ha_start.sh").exists():
            raise LabError(
                f"{self.scripts} does not contain the lab: set COC_LAB_SCRIPTS to the folder with ha_start.sh and the "
                "other scripts that run a real Home Assistant and Node-RED"
            )
        self.run_files = Path(os.environ.get("COC_LAB") or Path.home() / ".local/share/coc-lab") / "run"

    async def run(self, script: str, *arguments: str) -> str:
        """Run a script and return its output; raises LabError with the last output if it fails."""
        return await asyncio.to_thread(self._run, script, arguments)

    def _run(self, script: str, arguments: tuple[str, ...]) -> str:
        done = subprocess.run(
            [self.scripts / script, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise LabError(f"{script} failed: {done.stdout.strip()[-800:]}")
        return done.stdout
