"""The surroundings of the program under test: the scripted API, the broker and a subscriber, each a process."""

from __future__ import annotations

import getpass
import http.client
import random
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from bench.programs import FailedError, Program, python, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from bench.options import Options

Json = dict[str, Any]

# Members per change, unless set otherwise; each results in one event.
EVENTS_PER_CHANGE = 5
# Service programs are often not on a user's path.
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


def mosquitto() -> str:
    """Return the path of Mosquitto; raises FailedError if it is not installed."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=_PATH)
    if found is None:
        raise FailedError("Mosquitto is not installed: install the package mosquitto")
    return found


class Poll(NamedTuple):
    """A poll of a clan or a part of it: the times of the request and the response (0: none yet), and the token."""

    resource: int
    requested_at: float
    responded_at: float
    token: int


class Api:
    """The control interface of the scripted API. Times are monotonic seconds."""

    def __init__(self, program: Program, clans: int) -> None:
        self.program = program
        self.clans = clans
        self._port = int(program.read_line())
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self._port}/v1"

    def counts(self) -> Json:
        """Return ``now``, ``polls``, ``changes``, complete ``rounds`` of clans and ``part_rounds``."""
        return self._ask("counts")

    def clear(self) -> None:
        """Clear the record of requests."""
        self._ask("clear")

    def script(self, *, each: bool = False, rate: float = 0.0) -> None:
        """Change the clans at each request, at a rate per second, or not at all."""
        self._ask(f"script?each={each:d}&rate={rate}")

    def bump(self, clans: int) -> None:
        """Change a number of clans once."""
        self._ask(f"bump?clans={clans}")

    def polls(self) -> list[Poll]:
        """Return every poll in the order of the requests."""
        times = self._ask("times")
        return list(map(Poll, times["resources"], times["requested_at"], times["responded_at"], times["tokens"]))

    def changes(self) -> list[tuple[int, int, float]]:
        """Return each delivered change: number of the clan, version, time."""
        return [(number, version, at) for number, version, at in self._ask("changes")["changes"]]

    def versions(self) -> list[int]:
        """Return the current version of every clan."""
        versions: list[int] = self._ask("versions")["versions"]
        return versions

    def _ask(self, what: str) -> Json:
        try:
            self._connection.request("GET", f"/control/{what}")
            answer: Json = orjson.loads(self._connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            self.program.fail(f"does not respond to '{what}'")
        return answer


def start_api(
    stack: ExitStack,
    folder: Path,
    options: Options,
    *,
    clans: int,
    width: int = EVENTS_PER_CHANGE,
    latency: float = 0.0,
) -> Api:
    """Start a scripted API with ``clans`` clans that change ``width`` members and respond after ``latency`` s."""
    command = python("-m", "bench.api", "--clans", str(clans), "--width", str(width), "--latency", str(latency))
    if options.full:
        command.append("--full")
    return Api(stack.enter_context(Program("api", command, folder, measured=False, ours=True)), clans)


@dataclass(frozen=True)
class Broker:
    """A Mosquitto and its port."""

    program: Program
    port: int


def start_broker(stack: ExitStack, folder: Path) -> Broker:
    """Start a Mosquitto for local clients."""
    port = _free_port()
    # By default Mosquitto drops messages for a slow subscriber after 1,000.
    lines = [f"user {getpass.getuser()}", f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0"]
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([*lines, "log_type error", "log_type warning"]) + "\n")
    program = stack.enter_context(Program("mosquitto", [mosquitto(), "-c", config], folder, measured=False, ours=False))
    wait_until(lambda: _listens(port), seconds=10, what="Mosquitto listens", programs=[program])
    return Broker(program, port)


@dataclass(frozen=True)
class Receipt:
    """A received message: time (monotonic seconds), topic and payload."""

    at: float
    topic: str
    payload: Json


class Subscriber:
    """Receives the events of every clan and the bridge's state."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self._file = folder / "receipts"
        program.read_line()

    @property
    def events(self) -> int:
        """The number of events so far."""
        self.program.send_line("count")
        return int(self.program.read_line())

    def receipts(self) -> list[Receipt]:
        """Return all messages since the last call, in order."""
        self.program.send_line(f"dump {self._file}")
        self.program.read_line()
        return list(self._read())

    def _read(self) -> Iterator[Receipt]:
        with self._file.open("rb") as lines:
            for line in lines:
                at, topic, payload = orjson.loads(line)
                yield Receipt(at, topic, payload)


def start_subscriber(stack: ExitStack, folder: Path, broker: Broker) -> Subscriber:
    """Start a subscriber, which receives all messages from now on."""
    command = python("-m", "bench.subscriber", str(broker.port))
    return Subscriber(stack.enter_context(Program("subscriber", command, folder, measured=False, ours=True)), folder)


def _free_port() -> int:
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
