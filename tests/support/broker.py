"""A real Mosquitto for tests, which can be stopped, killed, paused and started again on its port."""

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

# A service's programs are often not on a user's path.
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
_PATIENCE = LONG_ENOUGH


def find_program(name: str) -> str | None:
    """Return the path of a program, None where it is not installed."""
    return shutil.which(name) or shutil.which(name, path=_PATH)


def free_port() -> int:
    """Return a port of the loopback on which nothing listens.

    It is none of those that systems give to outgoing connections: who stops listening can begin again.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def subscribe_once(port: int, topic: str, *options: str) -> bytes | None:
    """Return the first message on a topic that another client, mosquitto_sub, gets within two seconds, else None."""
    process = await asyncio.create_subprocess_exec(
        find_program("mosquitto_sub") or "mosquitto_sub",
        *("-h", "127.0.0.1", "-p", str(port), "-t", topic, "-C", "1", "-W", "2", "-N", *options),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return said if process.returncode == 0 else None


class Mosquitto:
    """One Mosquitto on a port of its own; it runs once it is entered.

    ``lines`` of configuration follow its listener. With ``users`` (name to password) it lets only those in, ``acl`` is
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
            # As root it would become another user, who cannot read these files.
            f"user {getpass.getuser()}",
            f"listener {self.port} {self.host}",
            f"allow_anonymous {'false' if users else 'true'}",
            *lines,
            # Its running is what is waited for; a line for each client could fill the pipe.
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
        """Start it and return when it accepts connections."""
        self._process = process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stderr=subprocess.PIPE, text=True
        )
        said = ""
        for line in process.stderr or ():
            said += line
            if line.rstrip().endswith("running"):
                return
        self.kill()
        raise AssertionError(f"Mosquitto does not run:\n{said}")

    def stop(self) -> None:
        """Let it end in an orderly way: its clients are told."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again on the same port; it has forgotten everything."""
        if self._process is not None:
            self.kill()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections are accepted by the system and stay open, but nobody answers."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._running.send_signal(signal.SIGCONT)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not ended again."""
        return self._process is not None

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it does not run"
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._running, None
        with process:
            process.send_signal(how)
            process.wait(_PATIENCE)
