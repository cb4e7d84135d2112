"""The lab's scripts, which install and run Home Assistant, Node-RED and a browser."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

_ROOT = ROOT
_PATIENCE = 180


class LabError(Exception):
    """The lab is missing, or one of its programs does not run; the text says what to do."""


class Lab:
    """Runs the lab's scripts; LabError where there are none.

    They are in the folder that ``COC_LAB_SCRIPTS`` names, else in ``../shared/lab`` beside the checkout.
    """

    def __init__(self) -> None:
        self.scripts = Path(os.environ.get("COC_LAB_SCRIPTS") or _ROOT.parent / "shared" / "lab")
        if not (self.scripts / "ha_start.sh").exists():
            raise LabError(
                f"There is no lab in {self.scripts}: set COC_LAB_SCRIPTS to the folder with ha_start.sh and its like, "
                "which run a real Home Assistant and Node-RED"
            )
        self.run_files = Path(os.environ.get("COC_LAB") or Path.home() / ".local/share/coc-lab") / "run"

    async def run(self, script: str, *arguments: str) -> str:
        """Run a script to its end and return what it wrote; LabError with its last words where it fails."""
        return await asyncio.to_thread(self._run, script, arguments)

    def _run(self, script: str, arguments: tuple[str, ...]) -> str:
        done = subprocess.run(
            [self.scripts / script, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise LabError(f"{script} failed: {done.stdout.strip()[-800:]}")
        return done.stdout
