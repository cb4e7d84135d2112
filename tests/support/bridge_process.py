"""The bridge as its users run it: a process of its own, with a configuration file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import yaml

from coc2mqtt.util.event_loop import LOOP_VARIABLE
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOKEN = "token-that-nobody-may-see"
PASSWORD = "password-that-nobody-may-see"
_MAIN = "from coc2mqtt.cli.app import main; main()"


def environment(**variables: str) -> dict[str, str]:
    """Return the environment without settings of the machine that runs the tests, but with ``variables``."""
    inherited = {
        name: value for name, value in os.environ.items() if name == LOOP_VARIABLE or not name.startswith("COC2MQTT_")
    }
    return inherited | variables


class BridgeProcess:
    """``coc2mqtt run``; ``log`` is all that it wrote so far, over all its starts.

    ``within`` is a command that runs another one, such as one that takes rights away. ``change`` is Python that changes
    the program before it starts.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], *, within: Sequence[str] = (), change: str | None = None
    ) -> None:
        self._within = within
        self._program = ("-m", "coc2mqtt") if change is None else ("-c", f"{change}\n{_MAIN}")
        self._config = folder / "coc2mqtt.yaml"
        self._log = folder / "coc2mqtt.log"
        self._process: asyncio.subprocess.Process | None = None
        settings = {"journal": {"path": str(folder / "coc2mqtt.db")}, **settings}
        self._config.write_text(yaml.safe_dump(settings))

    @property
    def exit_status(self) -> int | None:
        """What it ended with by itself, None while it runs."""
        return None if self._process is None else self._process.returncode

    @property
    def has_started(self) -> bool:
        return self._log.exists()

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def start(self) -> None:
        with self._log.open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._within,
                *(sys.executable, *self._program, "run", "--config", str(self._config)),
                stdout=log,
                stderr=log,
                env=environment(),
            )

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status, which must come soon.

        Five seconds are promised; a busy machine may need more.
        """
        assert self._process is not None
        self._process.send_signal(how)
        async with asyncio.timeout(LONG_ENOUGH):
            status = await self._process.wait()
        self._process = None
        return status

    async def kill_if_running(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.end(signal.SIGKILL)
