"""Two bridges with the same instance name or the same base topic."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.mqtt.client.connection import Connection, ConnectionOptions, Message, Session
from coc2mqtt.mqtt.client.errors import SessionTakenOverError
from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
from coc2mqtt.mqtt.topics import Topics
from tests.support.broker import subscribe_once
from tests.support.connections import OFFLINE, ONLINE, STATE
from tests.support.recording_session import RecordingSession, running
from tests.support.sessions import connected_session, read_packet
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    from coc2mqtt.mqtt.client.options import Protocol
    from tests.conftest import StartMosquitto

    Lines = list[MutableMapping[str, Any]]

pytestmark = pytest.mark.usefixtures("no_stray_errors")

INFO = "coc/bridge/info"
TAKEN_OVER_BY_NEW = (
    "another coc2mqtt (version 9.9 on host-new) with the instance name 'home' has taken over the connection: stop one"
    " of the two, or give each its own instance name and mqtt.base_topic"
)
BOTH_VERSIONS = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


def info(run_id: str, instance: str = "home") -> bytes:
    return orjson.dumps({"instance": instance, "run_id": run_id, "host": f"host-{run_id}", "version": "9.9", "more": 1})


class BridgeProcess:
    """A bridge with the instance name ``home`` that publishes only its state, info and health.

    A sleep of more than ten seconds, which means that the bridge was replaced, lasts until ``end_sleep`` is set.
    Shorter sleeps take 0.2 s.
    """

    def __init__(self, run_id: str, port: int, protocol: Protocol) -> None:
        self.end_sleep = asyncio.Event()
        self.is_sleeping = asyncio.Event()
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()
        self._run_id = run_id
        self._detector = DuplicateInstanceDetector(Topics(), instance="home", run_id=run_id)
        options = ConnectionOptions("127.0.0.1", port, "coc2mqtt-home", protocol=protocol, will=OFFLINE)
        self.connection = Connection(
            options,
            on_session=self._serve,
            offline_messages=[OFFLINE],
            other_instance_is_alive=self._detector.is_alive,
            sleep=self._sleep,
        )

    async def _serve(self, session: Session) -> None:
        await self._detector.check(session)
        await session.publish(STATE, ONLINE, retain=True)
        await session.publish(INFO, info(self._run_id), retain=True)
        self._detector.info_published()
        self.sessions.put_nowait(session)
        # A different health report each time.
        for number in itertools.count():
            await session.publish("coc/bridge/health", str(number).encode(), retain=True)
            await asyncio.sleep(0.02)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 10:
            self.is_sleeping.set()
            await self.end_sleep.wait()
            self.end_sleep.clear()
            self.is_sleeping.clear()
        else:
            await asyncio.sleep(0.2)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with running(self.connection.run()), asyncio.timeout(LONG_ENOUGH):
            yield


async def was_reported(old: BridgeProcess, new: BridgeProcess) -> bool:
    """Return whether the broker reported the take-over, as Mosquitto 2.1 does with MQTT 5.

    Otherwise the old bridge connected again to find out, which disconnected the new one; wait until that is back.
    """
    reported = old.connection.status.last_error != TAKEN_OVER_BY_NEW
    if not reported:
        await new.sessions.get()
    return reported


@BOTH_VERSIONS
async def test_replaced_bridge_logs_once_and_reconnects_when_other_is_gone(
    mosquitto: StartMosquitto, protocol: Protocol, log_lines: Lines
) -> None:
    broker = mosquitto()
    old, new = BridgeProcess("old", broker.port, protocol), BridgeProcess("new", broker.port, protocol)
    async with old.running():
        await old.sessions.get()
        async with new.running():
            await new.sessions.get()
            await old.is_sleeping.wait()
            reported = await was_reported(old, new)
            for _ in range(5):
                old.is_sleeping.clear()
                old.end_sleep.set()
                await old.is_sleeping.wait()
                assert old.connection.status.taken_over
            # The old bridge has not disconnected the new one again.
            assert new.connection.status.connected
            assert new.sessions.empty()
            assert await subscribe_once(broker.port, INFO) == info("new")
            assert await subscribe_once(broker.port, STATE) == ONLINE
        assert await subscribe_once(broker.port, STATE) == OFFLINE.payload
        old.end_sleep.set()
        await old.sessions.get()
        assert not old.connection.status.taken_over
        assert await subscribe_once(broker.port, INFO) == info("old")
    errors = [line for line in log_lines if line["log_level"] == "error"]
    taken_over = "another client took over this client ID"
    if reported:
        assert [line["event"] for line in errors] == [
            taken_over,
            "the other client is a bridge with the same instance name",
        ]
        assert "with the client ID 'coc2mqtt-home': stop it, or give each bridge" in errors[0]["reason"]
        assert errors[1]["reason"] == TAKEN_OVER_BY_NEW
    else:
        assert [(line["event"], line["reason"]) for line in errors] == [(taken_over, TAKEN_OVER_BY_NEW)]


async def test_replaced_bridge_reconnects_when_other_publishes_no_health(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    old, new = BridgeProcess("old", broker.port, "5"), BridgeProcess("new", broker.port, "5")
    async with old.running():
        await old.sessions.get()
        async with new.running():
            await new.sessions.get()
            await old.is_sleeping.wait()
            await was_reported(old, new)
        # As after a power cut of the new bridge and the broker, which still retains "online".
        async with connected_session(ConnectionOptions("127.0.0.1", broker.port, "memory"), "5") as session:
            await session.publish(STATE, ONLINE, retain=True)
            await session.publish("coc/bridge/health", b"the last report", retain=True)
        checks = 0
        while old.sessions.empty():
            old.is_sleeping.clear()
            old.end_sleep.set()
            sleeping = asyncio.create_task(old.is_sleeping.wait())
            connected = asyncio.create_task(old.sessions.get())
            await asyncio.wait({sleeping, connected}, return_when=asyncio.FIRST_COMPLETED)
            checks += 1
            if connected.done():
                break
            connected.cancel()
        sleeping.cancel()
        assert checks == 4  # the first one sees the last report
        assert await subscribe_once(broker.port, INFO) == info("old")


async def test_info_that_arrives_too_late_is_requested_again() -> None:
    class SlowSession(RecordingSession):
        """The session of a busy machine: a retained message arrives only after the second subscription."""

        async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:
            if topic_filter in self.subscribed:
                self.incoming.put_nowait(Message(INFO, info("another"), retain=True))
            await super().subscribe(topic_filter, qos, skip_own_and_retained=skip_own_and_retained)

    detector = DuplicateInstanceDetector(Topics(), instance="home", run_id="ours")
    await detector.check(RecordingSession().session)
    with pytest.raises(SessionTakenOverError):
        await detector.check(SlowSession().session)


async def test_initial_run_id_is_ignored_even_if_broker_restores_it() -> None:
    detector = DuplicateInstanceDetector(Topics(), instance="home", run_id="ours")
    for names in (["earlier"], [], ["earlier"]):
        session = RecordingSession()
        for name in names:
            session.incoming.put_nowait(Message(INFO, info(name), retain=True))
        await detector.check(session.session)
        detector.info_published()
    session = RecordingSession()
    session.incoming.put_nowait(Message(INFO, info("another"), retain=True))
    with pytest.raises(SessionTakenOverError):
        await detector.check(session.session)


async def test_info_of_another_bridge_cannot_forge_log_lines() -> None:
    detector = DuplicateInstanceDetector(Topics(), instance="home", run_id="ours")
    await detector.check(RecordingSession().session)
    session = RecordingSession()
    other = {"instance": "home", "run_id": "x", "host": "a\nb\x1b[31m" + "c" * 1000, "version": "1"}
    session.incoming.put_nowait(Message(INFO, orjson.dumps(other), retain=True))
    with pytest.raises(SessionTakenOverError) as error:
        await detector.check(session.session)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


def test_unreadable_info_is_logged_once(log_lines: Lines) -> None:
    without_info, with_info = (DuplicateInstanceDetector(Topics(), instance="home", run_id="ours") for _ in range(2))
    with_info.handle(Message(INFO, info("ours"), retain=False))
    for _ in range(2):
        with_info.warn_if_unreadable()
        without_info.warn_if_unreadable()
    (line,) = log_lines
    assert line["event"] == "cannot detect another bridge with the same instance name"
    assert "let this user read bridge/info" in line["hint"]


@BOTH_VERSIONS
async def test_run_id_of_an_earlier_run_is_ignored(mosquitto: StartMosquitto, protocol: Protocol) -> None:
    broker = mosquitto()
    async with connected_session(ConnectionOptions("127.0.0.1", broker.port, "earlier"), protocol) as session:
        await session.publish(STATE, ONLINE, retain=True)
        await session.publish(INFO, info("earlier"), retain=True)
    process = BridgeProcess("now", broker.port, protocol)
    async with process.running():
        await process.sessions.get()
        assert await subscribe_once(broker.port, INFO) == info("now")


async def test_initial_run_id_is_ignored_until_own_info_is_published() -> None:
    detector = DuplicateInstanceDetector(Topics(), instance="home", run_id="ours")
    for _ in range(2):
        # The connection is lost before our info is published, so the next one finds the same info.
        session = RecordingSession()
        session.incoming.put_nowait(Message(INFO, info("earlier"), retain=True))
        await detector.check(session.session)


@pytest.mark.parametrize("other", [info("other", instance="garden"), b"no info", b"", b'{"instance": 7}'])
async def test_info_of_other_instance_or_invalid_info_is_ignored(other: bytes) -> None:
    detector = DuplicateInstanceDetector(Topics(), instance="home", run_id="ours")
    await detector.check(RecordingSession().session)
    session = RecordingSession()
    session.incoming.put_nowait(Message(INFO, other, retain=True))
    await detector.check(session.session)


async def test_client_that_is_not_a_bridge_is_not_disconnected_either(
    serve: Callable[[Any], Awaitable[int]], log_lines: Lines
) -> None:
    connects: asyncio.Queue[None] = asyncio.Queue()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        connects.put_nowait(None)
        writer.write(b"\x20\x03\x00\x00\x00")
        await read_packet(reader)
        writer.write(b"\xe0\x02\x8e\x00")  # DISCONNECT: session taken over
        await reader.read()

    async def serve_session(session: Session) -> None:
        await session.publish("coc/x", b"")

    waits: asyncio.Queue[float] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        waits.put_nowait(seconds)
        await asyncio.sleep(0.02)

    options = ConnectionOptions("127.0.0.1", await serve(broker), "coc2mqtt-home", protocol="5")
    connection = Connection(options, on_session=serve_session, sleep=sleep, rng=lambda: 1.0)
    task = asyncio.create_task(connection.run())
    async with asyncio.timeout(LONG_ENOUGH):
        for _ in range(3):
            await connects.get()
            assert await waits.get() == 60.0
    task.cancel()
    await asyncio.wait([task])
    errors = [line for line in log_lines if line["log_level"] == "error"]
    assert errors[0]["event"] == "another client took over this client ID"
    assert "connected to the broker at" in errors[0]["reason"]
    assert (
        "with the client ID 'coc2mqtt-home': stop it, or give each bridge its own instance name" in errors[0]["reason"]
    )


def test_other_bridge_with_same_base_topic_is_logged_once(log_lines: Lines) -> None:
    detector = DuplicateInstanceDetector(Topics(), instance="home", run_id="ours")
    for _ in range(2):
        detector.handle(Message(INFO, info("ours")))
        detector.handle(Message(INFO, info("theirs", instance="garden"), retain=True))
        detector.handle(Message("coc/bridge/other", info("theirs", instance="garden")))
    assert log_lines == []
    for _ in range(2):
        detector.handle(Message(INFO, info("theirs", instance="garden")))
    (line,) = log_lines
    assert line["event"] == "another bridge publishes below the same base topic"
    assert (line["instance"], line["host"]) == ("garden", "host-theirs")
    assert line["hint"] == "stop one of the two, or give each its own mqtt.base_topic and instance"
