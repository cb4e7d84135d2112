"""The brokers of the trials: how each is started, stopped and reached."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.broker import find_program, free_port
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

# RabbitMQ and ejabberd are slow to start.
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 20.0


class MissingBrokerError(Exception):
    """A broker is not installed; the message says what to do."""


@dataclass(frozen=True)
class Kind:
    """One kind of broker: its MQTT versions, newest first, and its start command.

    ``program`` is a command with ``{port}``, ``{folder}`` and ``{here}`` (the folder of the lab's scripts). ``lab`` is
    the name of the broker's folder below the lab's ``run``; such a command returns while the broker runs in the
    background. ``config`` is the text of the file ``{folder}/broker.yml``, ``login`` a user name with its password.
    ``port_offset`` is added to the port for clients.
    """

    name: str
    program: tuple[str, ...]
    protocols: tuple[str, ...] = ("5", "3.1.1")
    config: str = ""
    lab: str | None = None
    port_offset: int = 0
    login: tuple[str, str] | None = None


_MOSQUITTO = "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
_EJABBERD = """\
hosts: [localhost]
loglevel: warning
log_rotate_count: 0
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: mod_mqtt
    backlog: 100
auth_method: [anonymous]
anonymous_protocol: login_anon
allow_multiple_connections: true
modules:
  mod_mqtt:
    access_publish: {{"#": [{{allow: all}}]}}
    access_subscribe: {{"#": [{{allow: all}}]}}
    queue_type: ram
"""

KINDS = {
    kind.name: kind
    for kind in (
        Kind("mosquitto", ("mosquitto", "-c", "{folder}/broker.yml"), config=_MOSQUITTO),
        Kind(
            "mosquitto-lab",
            ("{tree}/usr/sbin/mosquitto", "-c", "{folder}/broker.yml"),
            config=_MOSQUITTO,
        ),
        Kind("amqtt", ("{here}/broker2_start.sh", "amqtt", "{port}"), protocols=("3.1.1",), lab="broker2-{port}"),
        Kind("aedes", ("{here}/broker2_start.sh", "aedes", "{port}"), protocols=("3.1.1",), lab="broker2-{port}"),
        Kind("rumqttd", ("{here}/broker2_start.sh", "rumqttd", "{port}"), protocols=("3.1.1",), lab="broker2-{port}"),
        Kind(
            "rumqttd-5",
            ("{here}/broker2_start.sh", "rumqttd", "{port}"),
            protocols=("5",),
            lab="broker2-{port}",
            port_offset=1,
        ),
        Kind("rabbitmq", ("{here}/broker2_start.sh", "rabbitmq", "{port}"), lab="broker2-{port}"),
        # Without its control program, which changes to another user and starts Erlang's name daemon.
        Kind(
            "ejabberd",
            ("erl", "-noinput", "-mnesia", "dir", '"{folder}/spool"', "-s", "ejabberd"),
            config=_EJABBERD,
            login=("trial@localhost", "any"),  # its anonymous logins need a name
        ),
    )
}


class RunningBroker:
    """A broker process on a free loopback port, as a context manager; may raise MissingBrokerError.

    ``port`` is the one that clients connect to.
    """

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        base = free_port()
        self.port = base + kind.port_offset
        self._folder = folder
        self._lab = Path(os.environ.get("COC_LAB") or Path.home() / ".local/share/coc-lab")
        values = {
            "port": base,
            "folder": folder,
            "here": os.environ.get("COC_LAB_SCRIPTS") or ROOT.parent / "shared" / "lab",
            "tree": self._lab / "ha-root",
        }
        self._command = [part.format(**values) for part in kind.program]
        self._pid_file = None if kind.lab is None else self._lab / "run" / kind.lab.format(**values) / "pid"
        (folder / "broker.yml").write_text(kind.config.format(**values))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the broker and return when its port is open."""
        command = self._with_loader(self._command)
        if find_program(command[0]) is None:
            raise MissingBrokerError(f"{self.kind.name} is not installed: {command[0]} was not found")
        log = (self._folder / "broker.log").open("ab")
        environment = {
            **os.environ,
            "EJABBERD_CONFIG_PATH": str(self._folder / "broker.yml"),
            "EJABBERD_LOG_PATH": str(self._folder / "ejabberd.log"),
            "ERL_LIBS": f"/usr/lib/{os.uname().machine}-linux-gnu",
        }
        if self._pid_file is not None:
            done = subprocess.run(command, stdout=log, stderr=log, timeout=_START_TIMEOUT_S, check=False)
            if done.returncode:
                raise self._failed("start")
            return
        self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        self._wait_for_port()

    def kill(self) -> None:
        """Kill the broker and its children, without disconnecting clients."""
        if self._pid_file is not None:
            if self._pid_file.exists():
                _kill_group(int(self._pid_file.read_text().split()[0]))
                self._pid_file.unlink()
        elif self._process is not None:
            _kill_group(self._process.pid)
            self._process.wait(_STOP_TIMEOUT_S)
            self._process = None
        self._wait_for_port(closed=True)

    async def restart(self, away: float, *, during: asyncio.Event | None = None) -> None:
        """Kill the broker and start it again ``away`` seconds later; ``during`` is set after the kill."""
        await asyncio.to_thread(self.kill)
        if during is not None:
            during.set()
        await asyncio.sleep(away)
        await asyncio.to_thread(self.start)

    def _with_loader(self, command: Sequence[str]) -> list[str]:
        """Run a program of the lab's Debian tree with the libraries of that tree."""
        tree = self._lab / "ha-root"
        if not command[0].startswith(f"{tree}/"):
            return list(command)
        machine = f"{os.uname().machine}-linux-gnu"
        loader = next((tree / "usr/lib" / machine).glob("ld-linux*"), None)
        if loader is None or not Path(command[0]).exists():
            raise MissingBrokerError(f"{self.kind.name} is not installed in the lab: run its install.sh --only root")
        return [str(loader), "--library-path", f"{tree}/usr/lib/{machine}:{tree}/usr/lib", *command]

    def _wait_for_port(self, *, closed: bool = False) -> None:
        deadline = time.monotonic() + (_STOP_TIMEOUT_S if closed else _START_TIMEOUT_S)
        while _is_open(self.port) is closed:
            if time.monotonic() > deadline or (not closed and self._process and self._process.poll() is not None):
                raise self._failed("stop" if closed else "start")
            time.sleep(0.05)

    def _failed(self, to: str) -> MissingBrokerError:
        # The folder is deleted with the run, so the error quotes the log.
        lines = (self._folder / "broker.log").read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
        return MissingBrokerError(f"{self.kind.name} did not {to}: {last}")


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _kill_group(pid: int) -> None:
    """Kill a process, its children, and its process group if it leads one."""
    children = subprocess.run([shutil.which("pgrep") or "pgrep", "-P", str(pid)], capture_output=True, check=False)
    for one in [pid, *map(int, children.stdout.split())]:
        try:
            if os.getpgid(one) == one:
                os.killpg(one, signal.SIGKILL)
            else:
                os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue
