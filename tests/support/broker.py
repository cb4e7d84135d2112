"""A real Mosquitto for tests, which can be stopped, killed, paused and restarted on its port."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import random
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Self

from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

# Programs of services are often not on a user's PATH.
_SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


def find_program(name: str) -> str | None:
    """Return the path of a program, or None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens.

    It is outside the range of ports for outgoing connections, so a stopped listener can use it again.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def subscribe_once(port: int, topic: str, *options: str) -> bytes | None:
    """Return the first message that mosquitto_sub receives on a topic within two seconds, or None."""
    process = await asyncio.create_subprocess_exec(
        find_program("mosquitto_sub") or "mosquitto_sub",
        *("-h", "127.0.0.1", "-p", str(port), "-t", topic, "-C", "1", "-W", "2", "-N", *options),
        stdout=asyncio.subprocess.PIPE,
    )
    payload, _ = await process.communicate()
    return payload if process.returncode == 0 else None


class Mosquitto:
    """A Mosquitto on its own port; a context manager that starts and kills it.

    ``lines`` of configuration follow its listener. With ``users`` (passwords by name) it accepts only these, ``acl`` is
    the text of an ACL file.
    """

    host = "127.0.0.1"

    def __init__(
        self, program: str, folder: Path, *lines: str, users: Mapping[str, str] | None = None, acl: str | None = None
    ) -> None:
        self.port = free_port()
        self._program = program
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._process: subprocess.Popen[str] | None = None
        config = [
            # Started by root, it would switch to another user, who cannot read these files.
            f"user {getpass.getuser()}",
            f"listener {self.port} {self.host}",
            f"allow_anonymous {'false' if users else 'true'}",
            *lines,
            # `start` waits for the line that it is running; a line for each client could fill the pipe.
            *(f"log_type {kind}" for kind in ("error", "warning", "information")),
            "connection_messages false",
        ]
        if users:
            passwords = self._config.with_suffix(".passwords")
            passwords.touch(mode=0o600)
            for name, password in users.items():
                command = [find_program("mosquitto_passwd") or "mosquitto_passwd", "-b", str(passwords), name, password]
                subprocess.run(command, check=True, capture_output=True)
            config.append(f"password_file {passwords}")
        if acl:
            rules = self._config.with_suffix(".acl")
            rules.write_text(acl)
            rules.chmod(0o600)
            config.append(f"acl_file {rules}")
        self._config.write_text("\n".join(config) + "\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._process = process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stderr=subprocess.PIPE, text=True
        )
        log = ""
        for line in process.stderr or ():
            log += line
            if line.rstrip().endswith("running"):
                return
        self.kill()
        raise AssertionError(f"Mosquitto did not start:\n{log}")

    def stop(self) -> None:
        """Stop it cleanly, so that its clients receive a DISCONNECT."""
        self._stop_with(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self._stop_with(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again on the same port, without its retained messages."""
        if self._process is not None:
            self.kill()
        self.start()

    def pause(self) -> None:
        """Suspend it: the system still accepts connections and keeps them open, but nothing responds."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it after ``pause``."""
        self._running.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._process is not None

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "Mosquitto is not running"
        return self._process

    def _stop_with(self, stop_signal: signal.Signals) -> None:
        process, self._process = self._running, None
        with process:
            process.send_signal(stop_signal)
            process.wait(LONG_ENOUGH)
