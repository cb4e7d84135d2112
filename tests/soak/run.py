"""A run: the bridge as its users run it, under a steady load, looked at from outside."""

from __future__ import annotations

import getpass
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from bench.clans import Clans, clan_tags
from bench.programs import FailedError, Program, python, wait_until
from bench.servers import Api, Receipt, mosquitto
from tests.soak.checks import Checker
from tests.soak.report import Phase, Result
from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

_START_S = 180.0
_ROUNDS = 2
# The share of the run after which its events count: what the start has left behind is worked off by then.
_SETTLE, _SETTLE_MOST_S = 0.1, 30.0
_LOOK_S = 1.0
# The parts of a run that are compared. The broker is away after the middle one.
_PHASES = (("start", 0.0, 0.2), ("middle", 0.25, 0.45), ("end", 0.8, 1.0))
_AWAY_AT = 0.45
# How long is waited for what is lost, and for what is false when all has come.
_PATIENCE_S, _QUIET_S = 120.0, 2.0


@dataclass(frozen=True)
class Load:
    """What a run does: so many clans, each polled every ``interval`` seconds, for ``seconds``.

    ``rate`` events happen per second, 0 lets every response have one. The broker is ``away`` for so many seconds in the
    middle. ``api_faults`` lets the API fail, differently for each ``seed``.
    """

    seconds: float
    clans: int
    interval: float
    rate: float
    away: float
    api_faults: bool
    seed: int

    @property
    def events_per_second(self) -> float:
        """How many events are to come per second."""
        return self.rate or self.clans / self.interval


@dataclass(frozen=True)
class Sample:
    """What the bridge costs at a moment: memory and journal in MB, processor time in seconds so far."""

    at: float
    memory: float
    journal: float
    cpu: float


class FaultyApi(Api):
    """The scripted API with faults."""

    def faults(self, *, on: bool) -> None:
        """Let requests fail, or no more."""
        self._ask(f"faults?on={on:d}")


class Broker:
    """A Mosquitto that keeps what a subscriber with a persistent session misses, also when it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        config = folder / "mosquitto.conf"
        lines = [
            f"user {getpass.getuser()}",
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "max_queued_messages 0",
            "persistence true",
            f"persistence_location {folder}/",
            "log_type error",
            "log_type warning",
        ]
        config.write_text("\n".join(lines) + "\n")
        self.program = Program("mosquitto", [mosquitto(), "-c", config], folder, measured=False, ours=False)


class Subscriber:
    """The independent subscriber."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self._file = folder / "receipts"
        program.hear()

    def receipts(self) -> list[Receipt]:
        """Return everything that has come since the last call, in its order."""
        self._program.say(f"dump {self._file}")
        self._program.hear()
        return [Receipt(*orjson.loads(line)) for line in self._file.read_bytes().splitlines()]


def soak(load: Load, stack: ExitStack, folder: Path) -> Result:
    """Run once, with files in ``folder`` and processes that end with ``stack``.

    Raises FailedError where the bridge ends by itself, or there are no figures for another reason.
    """
    return _Run(load, stack, folder).play()


class _Run:
    def __init__(self, load: Load, stack: ExitStack, folder: Path) -> None:
        self._load = load
        self._folder = folder
        self._clans = Clans(load.clans, width=1)
        before: dict[str, int] = {}
        for number in range(load.clans):
            before |= self._clans.donations(number, 0)
        self._checker = Checker(before, troubled=load.api_faults)
        self._samples: list[Sample] = []
        self._troubles: list[str] = []
        self._went = self._came_back = 0.0

        def start(name: str, *command: str) -> Program:
            return stack.enter_context(Program(name, python(*command), folder, measured=False, ours=True))

        options = ("--clans", str(load.clans), "--seed", str(load.seed))
        self._api = FaultyApi(start("api", "-m", "tests.soak.api", *options), load.clans)
        self._broker = Broker(folder)
        stack.enter_context(self._broker.program)
        subscriber = start("subscriber", "-m", "tests.soak.subscriber", str(self._broker.port))
        self._subscriber = Subscriber(subscriber, folder)
        config = folder / "soak.yaml"
        config.write_bytes(orjson.dumps(self._settings()))  # JSON is YAML
        command: list[str | Path] = [Path(sys.executable).with_name("coc2mqtt"), "run", "--config", config]
        self._bridge = stack.enter_context(Program("coc2mqtt", command, folder, measured=True, ours=True))

    def play(self) -> Result:
        load, api = self._load, self._api
        wait_until(
            lambda: api.counts()["rounds"] >= _ROUNDS,
            seconds=_START_S,
            what=f"every clan is polled {_ROUNDS} times",
            programs=[self._bridge],
        )
        api.script(each=not load.rate, rate=load.rate)
        time.sleep(min(_SETTLE * load.seconds, _SETTLE_MOST_S))
        api.faults(on=load.api_faults)
        began = time.monotonic()
        self._watch(began)
        api.script()
        api.faults(on=False)
        lost = self._wait_for_the_rest()
        loop = "uvloop" if "uvloop" in Path(f"/proc/{self._bridge.pid}/maps").read_text() else "asyncio"
        stopped = self._end()
        phases, caught_up, backlog = self._evaluate(began)
        checker = self._checker
        return Result(
            seconds=load.seconds,
            # Where the API fails, fewer events come than were planned.
            planned_rate=0.0 if load.api_faults else load.events_per_second,
            phases=phases,
            events=checker.events,
            resent=checker.resent,
            lost=len(lost),
            reordered=checker.reordered,
            false=checker.false,
            away=self._came_back - self._went,
            caught_up=caught_up,
            backlog=backlog,
            stopped=stopped,
            loop=loop,
            troubles=[*self._troubles, *checker.wrong, *(f"lost: an event of {member}" for member in lost[:20])],
        )

    def _watch(self, began: float) -> None:
        load = self._load
        while (now := time.monotonic()) < began + load.seconds:
            self._look(now)
            if load.away and not self._went and now >= began + _AWAY_AT * load.seconds:
                self._broker.program.end(signal.SIGTERM)
                self._went = time.monotonic()
            elif self._went and not self._came_back and now >= self._went + load.away:
                self._broker.program.__enter__()
                self._came_back = time.monotonic()
            time.sleep(_LOOK_S)
        self._look(time.monotonic())

    def _look(self, now: float) -> None:
        self._bridge.check()
        memory, _ = self._bridge.memory
        journal = sum(file.stat().st_size for file in self._folder.glob("soak.db*")) / 1e6
        self._samples.append(Sample(now, memory, journal, self._bridge.cpu_seconds))
        self._checker.take(self._subscriber.receipts())

    def _wait_for_the_rest(self) -> list[str]:
        """Wait until every change was told, or for long enough; returns the members of whom something is lost."""
        after = self._figures()
        until = time.monotonic() + _PATIENCE_S
        while self._checker.lost(after) and time.monotonic() < until:
            time.sleep(_LOOK_S)
            self._look(time.monotonic())
            after = self._figures()
        time.sleep(_QUIET_S)
        self._look(time.monotonic())
        return self._checker.lost(self._figures())

    def _figures(self) -> Mapping[str, int]:
        """Return the donations of everybody whom a change concerned."""
        figures: dict[str, int] = {}
        for number, version in enumerate(self._api.versions()):
            if version:
                figures |= self._clans.donations(number, version)
        return figures

    def _end(self) -> float:
        """Stop the bridge; returns how long that took (seconds)."""
        began = time.monotonic()
        status = self._bridge.end(signal.SIGTERM)
        stopped = time.monotonic() - began
        if status != 0:
            self._troubles.append(f"the bridge ended with status {status} where it was asked to stop")
        log = (self._folder / "coc2mqtt.log").read_text(errors="replace")
        if "Traceback" in log:
            self._troubles.append("the bridge's log holds a traceback: " + log[log.index("Traceback") - 500 :][:3000])
        return stopped

    def _evaluate(self, began: float) -> tuple[list[Phase], float, int]:
        """Return the phases, how long the backlog took (seconds), and how many events it had."""
        changed = {self._clans.changed(number, version)[0]: at for number, version, at in self._api.changes()}
        phases = []
        ways = [
            (changed[arrival.member, arrival.figure], arrival.at)
            for arrival in self._checker.arrivals
            if (arrival.member, arrival.figure) in changed
        ]
        for name, first, last in _PHASES:
            begin, end = began + first * self._load.seconds, began + last * self._load.seconds
            samples = [sample for sample in self._samples if begin <= sample.at <= end]
            if len(samples) < 2:
                raise FailedError(f"the run is too short: it has no figures of its {name}")
            span = samples[-1].at - samples[0].at
            phases.append(
                Phase(
                    name=name,
                    memory=sum(sample.memory for sample in samples) / len(samples),
                    journal=samples[-1].journal,
                    cpu=(samples[-1].cpu - samples[0].cpu) / span,
                    events_per_second=sum(begin <= at < end for _, at in ways) / (end - begin),
                    latencies=[1000 * (at - changed_at) for changed_at, at in ways if begin <= changed_at < end],
                )
            )
        waited = [at - self._came_back for changed_at, at in ways if self._went <= changed_at < self._came_back]
        return phases, max(waited, default=0.0), len(waited)

    def _settings(self) -> dict[str, object]:
        load = self._load
        return {
            "instance": "soak",
            "api": {"base_url": self._api.url, "tokens": ["bench-0"], "requests_per_second": 1000},
            "mqtt": {"host": "127.0.0.1", "port": self._broker.port},
            "watch": {
                "clans": [{"tag": tag, "interval": load.interval, "war": False} for tag in clan_tags(load.clans)],
                "maximum": 2 * load.clans,
                "maintenance": {"interval": 1} if load.api_faults else {"enabled": False},
            },
            "journal": {"path": str(self._folder / "soak.db")},
            "log": {"format": "json"},
        }
