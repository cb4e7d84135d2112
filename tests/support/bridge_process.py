"""The bridge as its users run it: a separate process with a configuration file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

from coc2mqtt.util.runtime import LOOP_VARIABLE
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coc2mqtt.demo import World

TOKEN = "token-that-nobody-may-see"
PASSWORD = "password-that-nobody-may-see"
_MAIN = "from coc2mqtt.cli.app import main; main()"


def environment(**variables: str) -> dict[str, str]:
    """Return the environment plus ``variables``, without settings of the machine that runs the tests."""
    inherited = {
        name: value for name, value in os.environ.items() if name == LOOP_VARIABLE or not name.startswith("COC2MQTT_")
    }
    return inherited | variables


class BridgeProcess:
    """``coc2mqtt run``. ``config`` is its configuration file, ``log`` its output over all its starts.

    ``wrapper`` is a command that runs another command, for example with fewer rights. ``patch`` is Python code that
    changes the program before it starts.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], *, wrapper: Sequence[str] = (), patch: str | None = None
    ) -> None:
        self._wrapper = wrapper
        self._program = ("-m", "coc2mqtt") if patch is None else ("-c", f"{patch}\n{_MAIN}")
        self.config = folder / "coc2mqtt.yaml"
        self._log = folder / "coc2mqtt.log"
        self._process: asyncio.subprocess.Process | None = None
        settings = {"journal": {"path": str(folder / "coc2mqtt.db")}, **settings}
        self.config.write_text(yaml.safe_dump(settings))

    @property
    def exit_status(self) -> int | None:
        """The exit status if the process has exited by itself, None while it runs."""
        return None if self._process is None else self._process.returncode

    @property
    def has_started(self) -> bool:
        return self._log.exists()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def last_line(self) -> str:
        return self.log.splitlines()[-1]

    async def start(self) -> None:
        with self._log.open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._wrapper,
                *(sys.executable, *self._program, "run", "--config", str(self.config)),
                stdout=log,
                stderr=log,
                env=environment(),
            )

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status.

        A stop takes at most five seconds, but more on a busy machine.
        """
        assert self._process is not None
        self._process.send_signal(number)
        return await self.wait(LONG_ENOUGH)

    async def wait(self, timeout: float = 15) -> int:  # noqa: ASYNC109 - a default for most tests
        """Return the exit status when the process exits; kill it after ``timeout`` seconds."""
        assert self._process is not None
        process, self._process = self._process, None
        try:
            async with asyncio.timeout(timeout):
                return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()

    async def wait_for_log(self, text: str) -> None:
        async with asyncio.timeout(LONG_ENOUGH):
            while text not in self.log:  # noqa: ASYNC110 - nothing notifies about a line in a file
                await asyncio.sleep(0.02)

    async def kill_if_running(self) -> None:
        if self._process is not None and self._process.returncode is None:
            await self.stop(signal.SIGKILL)


MakeBridge = Callable[..., BridgeProcess]
MakeSettings = Callable[..., dict[str, Any]]


def watch_one_clan(world: World) -> dict[str, Any]:
    """Return the ``watch`` settings for the first clan alone, polled every second, without a probe of the API."""
    clan = {"tag": world.clan_tags[0], "interval": 1, "war": False, "reminders": False}
    return {"clans": [clan], "maintenance": {"enabled": False}, "calendar": {"enabled": False}}
