"""A run: the installed bridge under a steady load, observed from outside."""

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
# Events count after this share of the run, when the backlog of the start is processed.
_WARM_UP_SHARE, _MAX_WARM_UP_S = 0.1, 30.0
_SAMPLE_INTERVAL_S = 1.0
# The parts of a run that are compared. The broker is stopped after the middle one.
_PHASES = (("start", 0.0, 0.2), ("middle", 0.25, 0.45), ("end", 0.8, 1.0))
_OUTAGE_AT = 0.45
# How long to wait for missing events, and for false ones after all have arrived.
_TIMEOUT_S, _QUIET_S = 120.0, 2.0


@dataclass(frozen=True)
class Load:
    """A run of ``seconds``: the number of clans, each polled every ``interval`` seconds.

    There are ``rate`` events per second; 0 means one event in each response. The broker is stopped for ``outage_s``
    seconds in the middle. With ``api_faults`` API requests fail, differently for each ``seed``.
    """

    seconds: float
    clans: int
    interval: float
    rate: float
    outage_s: float
    api_faults: bool
    seed: int

    @property
    def events_per_second(self) -> float:
        """The planned number of events per second."""
        return self.rate or self.clans / self.interval


@dataclass(frozen=True)
class Sample:
    """The costs of the bridge at a moment: memory and journal in MB, processor time so far in seconds."""

    at: float
    memory: float
    journal: float
    cpu: float


class FaultyApi(Api):
    """The scripted API with faults."""

    def faults(self, *, on: bool) -> None:
        """Enable or disable failing requests."""
        self._ask(f"faults?on={on:d}")


class Broker:
    """A Mosquitto that keeps the messages of a persistent session, also while it is stopped."""

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
        program.read_line()

    def receipts(self) -> list[Receipt]:
        """Return all messages since the last call, in order."""
        self._program.send_line(f"dump {self._file}")
        self._program.read_line()
        return [Receipt(*orjson.loads(line)) for line in self._file.read_bytes().splitlines()]


def soak(load: Load, stack: ExitStack, folder: Path) -> Result:
    """Run once, with files in ``folder`` and processes that stop with ``stack``.

    Raises FailedError if the bridge exits by itself, or figures are missing for another reason.
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
        self._checker = Checker(before, api_faults=load.api_faults)
        self._samples: list[Sample] = []
        self._problems: list[str] = []
        self._outage_started = self._outage_ended = 0.0

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
        time.sleep(min(_WARM_UP_SHARE * load.seconds, _MAX_WARM_UP_S))
        api.faults(on=load.api_faults)
        started = time.monotonic()
        self._run_load(started)
        api.script()
        api.faults(on=False)
        lost = self._wait_for_events()
        loop = "uvloop" if "uvloop" in Path(f"/proc/{self._bridge.pid}/maps").read_text() else "asyncio"
        stop_s = self._stop_bridge()
        phases, catch_up_s, backlog = self._evaluate(started)
        checker = self._checker
        return Result(
            seconds=load.seconds,
            # There are fewer events than planned if the API fails.
            planned_rate=0.0 if load.api_faults else load.events_per_second,
            phases=phases,
            events=checker.events,
            resent=checker.resent,
            lost=len(lost),
            reordered=checker.reordered,
            false=checker.false,
            outage_s=self._outage_ended - self._outage_started,
            catch_up_s=catch_up_s,
            backlog=backlog,
            stop_s=stop_s,
            loop=loop,
            problems=[*self._problems, *checker.problems, *(f"lost: an event of {member}" for member in lost[:20])],
        )

    def _run_load(self, started: float) -> None:
        load = self._load
        while (now := time.monotonic()) < started + load.seconds:
            self._sample(now)
            if load.outage_s and not self._outage_started and now >= started + _OUTAGE_AT * load.seconds:
                self._broker.program.stop(signal.SIGTERM)
                self._outage_started = time.monotonic()
            elif self._outage_started and not self._outage_ended and now >= self._outage_started + load.outage_s:
                self._broker.program.__enter__()
                self._outage_ended = time.monotonic()
            time.sleep(_SAMPLE_INTERVAL_S)
        self._sample(time.monotonic())

    def _sample(self, now: float) -> None:
        self._bridge.check()
        memory, _ = self._bridge.memory
        journal = sum(file.stat().st_size for file in self._folder.glob("soak.db*")) / 1e6
        self._samples.append(Sample(now, memory, journal, self._bridge.cpu_seconds))
        self._checker.check(self._subscriber.receipts())

    def _wait_for_events(self) -> list[str]:
        """Wait until every change was reported, up to a timeout; return the members with a lost event."""
        after = self._expected_donations()
        until = time.monotonic() + _TIMEOUT_S
        while self._checker.lost(after) and time.monotonic() < until:
            time.sleep(_SAMPLE_INTERVAL_S)
            self._sample(time.monotonic())
            after = self._expected_donations()
        time.sleep(_QUIET_S)
        self._sample(time.monotonic())
        return self._checker.lost(self._expected_donations())

    def _expected_donations(self) -> Mapping[str, int]:
        """Return the donations of all members who had a change."""
        figures: dict[str, int] = {}
        for number, version in enumerate(self._api.versions()):
            if version:
                figures |= self._clans.donations(number, version)
        return figures

    def _stop_bridge(self) -> float:
        """Stop the bridge; return how long that took (seconds)."""
        started = time.monotonic()
        status = self._bridge.stop(signal.SIGTERM)
        stop_s = time.monotonic() - started
        if status != 0:
            self._problems.append(f"the bridge exited with status {status} on SIGTERM")
        log = (self._folder / "coc2mqtt.log").read_text(errors="replace")
        if "Traceback" in log:
            self._problems.append(
                "the bridge's log contains a traceback: " + log[log.index("Traceback") - 500 :][:3000]
            )
        return stop_s

    def _evaluate(self, started: float) -> tuple[list[Phase], float, int]:
        """Return the phases, how long the backlog took (seconds), and its number of events."""
        changed = {self._clans.changed(number, version)[0]: at for number, version, at in self._api.changes()}
        phases = []
        deliveries = [
            (changed[arrival.member, arrival.value], arrival.at)
            for arrival in self._checker.arrivals
            if (arrival.member, arrival.value) in changed
        ]
        for name, first, last in _PHASES:
            start_at, end = started + first * self._load.seconds, started + last * self._load.seconds
            samples = [sample for sample in self._samples if start_at <= sample.at <= end]
            if len(samples) < 2:
                raise FailedError(f"the run is too short: it has no figures of its {name}")
            span = samples[-1].at - samples[0].at
            phases.append(
                Phase(
                    name=name,
                    memory=sum(sample.memory for sample in samples) / len(samples),
                    journal=samples[-1].journal,
                    cpu=(samples[-1].cpu - samples[0].cpu) / span,
                    events_per_second=sum(start_at <= at < end for _, at in deliveries) / (end - start_at),
                    latencies=[
                        1000 * (at - changed_at) for changed_at, at in deliveries if start_at <= changed_at < end
                    ],
                )
            )
        waited = [
            at - self._outage_ended
            for changed_at, at in deliveries
            if self._outage_started <= changed_at < self._outage_ended
        ]
        return phases, max(waited, default=0.0), len(waited)

    def _settings(self) -> dict[str, object]:
        load = self._load
        return {
            "instance": "soak",
            "api": {"base_url": self._api.url, "tokens": ["bench-0"], "requests_per_second": 1000},
            "mqtt": {"host": "127.0.0.1", "port": self._broker.port},
            "watch": {
                "clans": [
                    {"tag": tag, "interval": load.interval, "war": False, "cwl": False, "raids": False}
                    for tag in clan_tags(load.clans)
                ],
                "maximum": 2 * load.clans,
                "maintenance": {"interval": 1} if load.api_faults else {"enabled": False},
            },
            "journal": {"path": str(self._folder / "soak.db")},
            "log": {"format": "json"},
        }
