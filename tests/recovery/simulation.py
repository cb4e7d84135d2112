"""One run of the whole bridge in simulated time, with a scripted API and a recording broker."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Never, cast

import orjson
import pytest
from structlog.testing import capture_logs

from coc2mqtt import service, wiring
from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API, Kind
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.mqtt.client import negotiation
from coc2mqtt.mqtt.client.errors import ConnectionLostError
from coc2mqtt.mqtt.client.session import Message
from coc2mqtt.mqtt.reports import OFFLINE
from coc2mqtt.mqtt.topics import Topics
from tests.crash.checks import find_problems
from tests.crash.harness import FakeSession, Published, ScriptedApi, events, retained
from tests.crash.scenarios import NOON, SCENARIOS, without_times
from tests.recovery.injection import Injection
from tests.support.simulated_loop import SimulatedLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from pathlib import Path

    from coc2mqtt.events.resource import Watch
    from coc2mqtt.mqtt.client.options import RetainedMessage
    from tests.crash.harness import Bodies, FileBroker
    from tests.crash.scenarios import Scenario

_TOPICS = Topics()
_STATE, _HEALTH = _TOPICS.bridge("state"), _TOPICS.bridge("health")
# All times are simulated.
_CHECK_INTERVAL_S = 0.1
_REQUEST_INTERVAL_S = 2.0
_TIMEOUT_S = 120.0
_BASELINE_S = 10.0
# From the bug to the recovery. The restart delay is one second; discovery and health are published with delays.
_MAX_RECOVERY_S = 15.0
_MAX_STOP_S = 5.0
_REMINDED_AFTER_S = 8.0
# The publish at which the connection is lost.
_BREAKS_AT = 5
_BIRTH = "homeassistant/status"
_NOT_WATCHED = "is not watched"
_NEVER_WATCHED = b"#222"

Json = dict[str, Any]


class RecordingBroker:
    """Records all published messages."""

    run = 1

    def __init__(self) -> None:
        self.published: list[Published] = []

    def store(self, topic: str, payload: bytes, *, retain: bool) -> None:
        self.published.append(Published(self.run, topic, payload, retain))

    def retained(self, topic: str) -> Any:
        """Return the retained payload of a topic, None if there is none."""
        payload = retained(self.published).get(topic)
        return None if payload is None else orjson.loads(payload)


class _Session(FakeSession):
    """One connection, which publishes the will if it is lost without a clean disconnect."""

    connected_at = 0.0

    def __init__(self, broker: RecordingBroker, *, breaks_at: int | None = None) -> None:
        super().__init__(cast("FileBroker", broker), breaks_at=breaks_at)
        self._broker_record = broker
        self._is_disconnected = False

    async def monitor(self) -> Never:
        await asyncio.wait({self._broken})
        raise ConnectionLostError("connection lost")

    async def disconnect(self, offline_messages: Iterable[RetainedMessage] = ()) -> None:
        for topic, payload in offline_messages:
            self._broker_record.store(topic, payload, retain=True)
        self._is_disconnected = True
        self._break()

    def abort(self) -> None:
        if not self._is_disconnected:
            self._broker_record.store(_STATE, OFFLINE, retain=True)
        self._break()

    def _break(self) -> None:
        if not self._broken.done():
            self._broken.set_result(None)


class Simulation:
    """The bridge with its files in a folder, its API and its broker."""

    def __init__(self, scenario: Scenario, folder: Path, injection: Injection, *, breaking: bool) -> None:
        self.scenario = scenario
        self._breaking = breaking
        self.broker = RecordingBroker()
        self.api = ScriptedApi(self.scenario.before)
        self.injection = injection
        self.recovered_at: float | None = None
        self.stop_seconds = 0.0
        self.lines: list[Any] = []
        self.health: Json = {}
        self.state: Json = {}
        self.end: Json = {}
        self._path = folder / "coc2mqtt.db"
        self._sessions: list[_Session] = []
        # The watches that commands add and remove, and the requests for that.
        self._added = [watch for watch in scenario.watched if watch not in scenario.configured]
        self._removed = scenario.configured if self._added else []
        self._remaining = [watch for watch in scenario.watched if watch not in self._removed]
        self._requests = [(_TOPICS.request("watch"), _named(one)) for one in self._added]
        self._requests += [(_TOPICS.request("unwatch"), _named(one)) for one in self._removed]

    async def play(self) -> None:
        """Run the bridge: wait for the baseline, then change everything and send commands."""
        stop = asyncio.Event()
        self.injection.arm()
        running = asyncio.create_task(service.Service(self._settings()).run(stop))
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._until(running, partial(self._is_shown, self.scenario.configured, self.scenario.before))
                self.api.show(self.scenario.after)
                if (
                    not self._removed
                ):  # a device that is removed at a birth message is published again some seconds later
                    self._send(Message(_BIRTH, b"online"))
                for command in ("list", "health_check", "replay"):
                    self._send(Message(_TOPICS.request(command), b"0" if command == "replay" else b""))
                if self._removed:
                    self._send(Message(_TOPICS.request("reset"), _NEVER_WATCHED))
                await self._until(running, self._is_settled, request=True)
                self.recovered_at = asyncio.get_running_loop().time()
                self.injection.disarm()
                await self._until(running, self._is_counted)
        finally:
            self.injection.disarm()
            self.health, self.state = self.broker.retained(_HEALTH), self.broker.retained(_STATE)
            stop.set()
            stopped_at = asyncio.get_running_loop().time()
            await running
            self.stop_seconds = asyncio.get_running_loop().time() - stopped_at
            self.end = await self._end()

    async def live(self, seconds: float) -> None:
        """Run the bridge for this time after the changes; raise its exception, if any."""
        stop = asyncio.Event()
        running = asyncio.create_task(service.Service(self._settings()).run(stop))
        await asyncio.wait({running}, timeout=_BASELINE_S)
        self.api.show(self.scenario.after)
        for command in () if running.done() else ("poll", "list", "health_check"):
            self._send(Message(_TOPICS.request(command), b""))
        await asyncio.wait({running}, timeout=seconds)
        self.health, self.state = self.broker.retained(_HEALTH), self.broker.retained(_STATE)
        stop.set()
        await running

    def faults(self) -> list[str]:
        """Return the faults of the outcome, one sentence each."""
        found = find_problems(self.scenario, [one for one in self.broker.published if not _is_ignored(one)], self.end)
        if self.state != {"state": "online"}:
            found.append(f"bridge/state is {self.state}")
        if self.broker.retained(_STATE) != {"state": "offline"}:
            found.append("the offline message is missing")
        if set(self.end["stored"]) != {
            *(watch.tag for watch in self._added),
            *(f"no {one.tag}" for one in self._removed),
        }:
            found.append(f"stored watches: {self.end['stored']}")
        if self.stop_seconds > _MAX_STOP_S:
            found.append(f"the stop took {self.stop_seconds:.1f} s")
        if self.injection.raised_at is not None:
            found += self._report_faults()
        return found

    @property
    def recovery_seconds(self) -> float:
        """The simulated time from the bug to the recovery."""
        assert self.recovered_at is not None
        assert self.injection.raised_at is not None
        return self.recovered_at - self.injection.raised_at

    def _report_faults(self) -> Iterator[str]:
        """Yield the faults of the report of the bug and of the recovery time."""
        reported = [line for line in self.lines if line["event"] == "internal error"]
        if len(reported) != 1:
            yield f"logged {len(reported)} times"
        if not self.health["internal_errors"] or self.health["healthy"]:
            yield f"health: {self.health}"
        if self.recovery_seconds > _MAX_RECOVERY_S:
            yield f"the recovery took {self.recovery_seconds:.0f} s"

    async def open_session(self, *_: object, **__: object) -> _Session:
        breaks_at = _BREAKS_AT if self._breaking and not self._sessions else None
        self._sessions.append(_Session(self.broker, breaks_at=breaks_at))
        return self._sessions[-1]

    def _settings(self) -> FixedSettings:
        clans = [watch for watch in self.scenario.configured if watch.kind is Kind.CLAN]
        players = [watch for watch in self.scenario.configured if watch.kind is Kind.PLAYER]
        return FixedSettings.model_validate(
            {
                "instance": "home",
                "mqtt": {"host": "broker"},
                "journal": {"path": self._path},
                "watch": {
                    "clans": [
                        {
                            "tag": one.tag,
                            "interval": one.interval,
                            "war_interval": one.war_interval,
                            "cwl": one.cwl,
                            "raids": one.raids,
                            "reminders": {"war": list(one.reminders.war)} if one.reminders else False,
                        }
                        for one in clans
                    ],
                    "players": [{"tag": one.tag, "interval": one.interval} for one in players],
                    "maintenance": {"interval": 60, "probe_tag": self.scenario.watched[-1].tag},
                },
            }
        )

    async def _until(
        self, running: asyncio.Task[None], condition: Callable[[], bool], *, request: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        request_at = loop.time()
        while not condition():
            if running.done():
                await running
                raise AssertionError("the bridge has stopped")
            if request and loop.time() >= request_at:
                # Like a user who sees no effect.
                request_at += _REQUEST_INTERVAL_S
                self._send(Message(_TOPICS.request("poll"), b""))
                for topic, payload in self._requests:
                    if not self._is_done(topic, payload):
                        self._send(Message(topic, payload))
            await asyncio.sleep(_CHECK_INTERVAL_S)

    def _send(self, message: Message) -> None:
        if self._sessions:
            self._sessions[-1].deliver(message)

    def _is_done(self, topic: str, payload: bytes) -> bool:
        """Return whether a request succeeded or is no longer needed."""
        tag = orjson.loads(payload)["tag"]
        responses = [one.data for one in self.broker.published if one.topic == topic.replace("/request/", "/response/")]
        return any(tag in str(one) and (one["status"] == "ok" or _NOT_WATCHED in one["error"]) for one in responses)

    def _is_shown(self, watches: list[Watch], bodies: Bodies) -> bool:
        found = retained(self.broker.published)
        devices = {_device_of(topic) for topic in found if topic.startswith("homeassistant/device/")}
        listed = self.broker.retained(_TOPICS.bridge("watches")) or {"watches": []}
        return (
            self.broker.retained(_STATE) == {"state": "online"}
            and self.broker.retained(_HEALTH) is not None
            and {one["tag"] for one in listed["watches"]} == {watch.tag for watch in watches}
            and self.broker.retained(_TOPICS.api_status) is not None
            and devices == {"bridge", *(watch.tag[1:] for watch in watches)}
            and not any(
                f"/{watch.tag[1:]}/" in topic
                for topic in found
                for watch in self._removed
                if watches is self._remaining
            )
            and all(
                topic in found and without_times(orjson.loads(found[topic])) == state
                for topic, state in self.scenario.expected_states(watches, bodies).items()
                if not topic.endswith("/poll")  # poll times are published only every 30 seconds
            )
        )

    def _is_settled(self) -> bool:
        ids = {one.data["id"] for one in events(self.broker.published)}
        health = self.broker.retained(_HEALTH) or {}
        return (
            all(self._is_done(*request) for request in self._requests)
            and (bool(self._removed) or len(ids) >= len(self.scenario.changes))
            and self._is_shown(self._remaining, self.scenario.after)
            and health.get("queue") == 0
            and health.get("internal_errors", 0) >= int(self.injection.raised_at is not None)
        )

    def _is_counted(self) -> bool:
        """Return whether health counts every event, including those before the bug."""
        return bool(
            self.broker.retained(_HEALTH)["published"] >= len({one.data["id"] for one in events(self.broker.published)})
        )

    async def _end(self) -> Json:
        watches = self.broker.retained(_TOPICS.bridge("watches"))["watches"]
        async with SqliteJournal(self._path) as journal:
            return {
                "watches": [f"{one['kind']}/{one['tag']}" for one in watches],
                "stored": [one.tag if one.watch else f"no {one.tag}" for one in await journal.watches()],
                "snapshots": {
                    "/".join(one): getattr(await journal.snapshot(one), "data", None)
                    for one in await journal.resources()
                    if one != API
                },
                "pending": (await journal.counts()).pending,
            }


def _wall_clock() -> float:
    """Return the Unix time in seconds: the reminder of the scenario is due after a moment."""
    return NOON.timestamp() - _REMINDED_AFTER_S + asyncio.get_running_loop().time()


def _named(watch: Watch) -> bytes:
    return orjson.dumps({"kind": watch.kind.value, "tag": watch.tag})


def _device_of(topic: str) -> str:
    """Return the tag of the device in a discovery topic, without the part of it, or ``bridge``."""
    _, _, kind, *rest = topic.split("/")[2].split("_")
    return rest[0] if rest else kind


def _is_ignored(one: Published) -> bool:
    """Return whether a message is not covered by the checks of the crash tests."""
    if one.topic.startswith(_TOPICS.response("")):
        # A request that hit the bug was answered with an error and sent again.
        failed = one.data["status"] == "error" and (
            "internal error" in one.data["error"] or _NOT_WATCHED in str(one.data)
        )
        return failed or not one.topic.endswith("watch")
    return "/bridge/" in one.topic or one.topic.endswith("/poll")


def run(
    name: str,
    folder: Path,
    injected: Callable[[], Injection] = Injection,
    play: Callable[[Simulation], Awaitable[None]] = Simulation.play,
) -> Simulation:
    """Run the bridge once with an injection, through the scenario with this name."""

    async def port_is_open(*_: object) -> bool:
        return True

    async def simulate() -> Simulation:
        simulation = Simulation(SCENARIOS[name](), folder, injected(), breaking=name == "breaking")
        simulation.injection.install(monkeypatch)
        monkeypatch.setattr(wiring, "Engine", partial(Engine, now=_wall_clock))
        monkeypatch.setattr(service, "api_client", lambda _: contextlib.nullcontext(simulation.api.client))
        monkeypatch.setattr(negotiation, "open_session", simulation.open_session)
        monkeypatch.setattr(wiring, "port_is_open", port_is_open)
        simulation.lines = lines
        await play(simulation)
        return simulation

    with (
        asyncio.Runner(loop_factory=SimulatedLoop) as runner,
        capture_logs() as lines,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        return runner.run(simulate())
