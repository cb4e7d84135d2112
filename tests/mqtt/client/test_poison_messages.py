"""Tests that messages which make the broker close the connection are blocked, and no others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.connection import Connection, ConnectionOptions, Session
from coc2mqtt.mqtt.client.errors import (
    BrokerShutdownError,
    ConnectionLostError,
    MessageTooLargeError,
    PoisonMessageError,
    PublishDeniedError,
)
from coc2mqtt.mqtt.client.poison_messages import OutgoingMessage, PoisonMessageFilter
from coc2mqtt.mqtt.client.reconnect import port_is_open
from tests.support.bridge_parts import EVENT, Parts
from tests.support.broker import subscribe_once
from tests.support.connections import ONLINE, STATE
from tests.support.recording_session import running
from tests.support.sessions import collect, connected_session
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence

    from coc2mqtt.mqtt.client.options import Protocol
    from tests.conftest import StartMosquitto

    Lines = list[MutableMapping[str, Any]]

OPTIONS = ConnectionOptions("127.0.0.1", 0, "coc2mqtt-home", timeout=LONG_ENOUGH, protocol="3.1.1")
LOST = ConnectionLostError("lost")
SMALL, BIG = 100, 21_000


def state(name: str, size: int = SMALL) -> OutgoingMessage:
    return OutgoingMessage.of(f"coc/{name}", bytes(size), size, replaceable=True)


def event(number: int, size: int = SMALL) -> OutgoingMessage:
    return OutgoingMessage.of("coc/clan/2PP/x", bytes([number]) * size, size, replaceable=False)


class FilterHarness:
    """Drives a filter through sessions with acknowledged and lost messages."""

    def __init__(self) -> None:
        self.now = 0.0
        self.filter = PoisonMessageFilter(lambda: self.now)

    def lose(
        self,
        *in_flight: OutgoingMessage,
        acknowledged: Sequence[OutgoingMessage] = (state("bridge/state"),),
        broker_survived: bool = True,
        error: ConnectionLostError = LOST,
    ) -> None:
        """Run a session in which some messages are acknowledged before it is lost with others in flight."""
        self.filter.on_connected()
        for message in acknowledged:
            self.filter.on_puback(message)
        alone = [message for message in in_flight if self.filter.must_send_alone(message)]
        if alone:
            self.filter.set_sent_alone(alone[0])
            in_flight = (alone[0],)
        self.filter.on_connection_lost(in_flight, error)
        self.filter.evaluate_loss(broker_survived=broker_survived)

    def allows(self, message: OutgoingMessage) -> bool:
        try:
            self.filter.check(message)
        except (PoisonMessageError, MessageTooLargeError):
            return False
        return True


@pytest.mark.parametrize(
    ("poison", "losses"), [(state("config", BIG), 3), (state("a", SMALL), 3), (event(1, 2000), 10), (event(1), 10)]
)
def test_message_in_flight_at_several_losses_is_blocked_and_others_are_not(
    poison: OutgoingMessage, losses: int, log_lines: Lines
) -> None:
    harness, others = FilterHarness(), [state("b"), event(7)]
    for _ in range(2):
        harness.lose(*others, poison)
    for _ in range(losses - 2):
        assert harness.allows(poison)
        harness.lose(poison, acknowledged=[state("bridge/state"), *others])
    assert not harness.allows(poison)
    assert all(harness.allows(other) for other in others)
    (line,) = log_lines
    assert line["event"] == "the broker closes the connection over a message"
    assert (line["topic"], line["bytes"]) == (poison.topic, poison.size)
    assert "max_packet_size" in line["hint"]


def test_message_is_sent_alone_after_two_losses_without_acknowledgement() -> None:
    harness, suspect = FilterHarness(), event(1)
    harness.lose(suspect)
    assert not harness.filter.must_send_alone(suspect)
    harness.lose(suspect)
    assert harness.filter.must_send_alone(suspect)
    assert not harness.filter.must_send_alone(event(2))
    harness.filter.on_puback(suspect)
    assert not harness.filter.must_send_alone(suspect)


def test_unstable_network_blocks_no_message() -> None:
    harness = FilterHarness()
    for number in range(200):
        harness.lose(event(number % 200), state("a"), acknowledged=[state("a"), event((number - 1) % 200)])
    assert all(harness.allows(event(number)) for number in range(200))
    assert harness.allows(state("a"))


@pytest.mark.parametrize(
    ("broker_survived", "error"),
    [(False, LOST), (True, BrokerShutdownError("shutting down"))],
    ids=["killed", "stopped"],
)
def test_restarting_broker_blocks_no_event_even_if_in_flight_each_time(
    broker_survived: bool, error: ConnectionLostError
) -> None:
    harness, message = FilterHarness(), event(1)
    for _ in range(20):
        harness.lose(message, broker_survived=broker_survived, error=error)
    assert harness.allows(message)


def test_loss_without_any_acknowledgement_is_not_counted() -> None:
    harness, message = FilterHarness(), state("bridge/state")
    for _ in range(20):
        harness.lose(message, acknowledged=[])
    assert harness.allows(message)


def test_at_most_five_events_are_blocked_per_hour() -> None:
    harness = FilterHarness()
    for number in range(20):
        for _ in range(12):
            harness.lose(event(number), acknowledged=[state("larger", 3000)])
    assert sum(not harness.allows(event(number)) for number in range(20)) == 5


def test_proven_limit_blocks_larger_messages_and_tries_smaller_ones_alone() -> None:
    harness = FilterHarness()
    for _ in range(3):
        harness.lose(state("first", BIG))
    assert harness.filter.max_packet_size == BIG - 1
    assert not harness.allows(state("second", BIG))
    assert harness.allows(state("third", 12_000))
    assert harness.filter.must_send_alone(state("third", 12_000))
    harness.lose(state("third", 12_000))
    assert not harness.allows(state("fourth", 12_000))
    harness.filter.on_puback(state("fifth", 9_000))
    assert not harness.filter.must_send_alone(state("sixth", 8_000))
    assert harness.filter.must_send_alone(state("seventh", 9_500))


def test_event_below_a_proven_limit_is_not_blocked_after_one_loss() -> None:
    harness = FilterHarness()
    for _ in range(3):
        harness.lose(state("first", BIG))
    for _ in range(2):
        harness.lose(event(1, 2000))
        assert harness.allows(event(1, 2000))
    harness.lose(event(1, 2000))
    assert not harness.allows(event(1, 2000))


def test_lowered_limit_is_found_despite_earlier_larger_messages() -> None:
    harness = FilterHarness()
    harness.filter.on_puback(state("b", BIG))
    for _ in range(3):
        harness.lose(state("first", BIG))
    assert harness.filter.max_packet_size == BIG - 1


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_blocked_message_is_retried_alone_after_15_minutes_then_less_often(size: int) -> None:
    harness, poison, larger = FilterHarness(), state("poison", size), state("bridge/watches", 3000)
    for _ in range(3):
        harness.lose(poison, acknowledged=[larger])
    for block_s in (900, 1800, 3600, 7200, 14400, 14400):
        harness.now += block_s - 1
        assert not harness.allows(poison)
        harness.now += 2
        assert harness.allows(poison)
        assert harness.filter.must_send_alone(poison)
        harness.lose(poison, acknowledged=[larger])
    harness.now += 14401
    harness.filter.on_puback(poison)
    assert harness.allows(poison)
    assert not harness.filter.must_send_alone(poison)
    assert harness.filter.max_packet_size is None


def test_packet_too_large_disconnect_proves_a_message_sent_alone() -> None:
    certain = ConnectionLostError("too large")
    certain.caused_by_message = True
    harness = FilterHarness()
    for _ in range(2):
        harness.lose(state("config", BIG), state("other", BIG - 1), error=certain)
    harness.lose(state("config", BIG), error=certain)
    assert harness.filter.max_packet_size == BIG - 1


# The tests below use a real Mosquitto, which closes an MQTT 3.1.1 connection over a packet above max_packet_size.

Sent = tuple[str, bytes, bool]


class Program:
    """Publishes messages in each session, and records the rejected ones; ``before`` is called before them."""

    def __init__(self, port: int, *messages: Sent, before: Callable[[], None] = lambda: None) -> None:
        self.sessions = 0
        self.rejected: dict[str, str] = {}
        self.done = asyncio.Event()
        self._messages = messages
        self._before = before
        self.connection = Connection(
            replace(OPTIONS, port=port),
            on_session=self._on_session,
            sleep=self._sleep,
            port_probe=partial(port_is_open, OPTIONS.host, port),
        )

    async def _on_session(self, session: Session) -> None:
        self.sessions += 1
        await session.publish(STATE, ONLINE, retain=True)
        self._before()
        async with asyncio.TaskGroup() as group:
            for message in self._messages:
                group.create_task(self._publish(session, *message))
        self.done.set()

    async def _publish(self, session: Session, topic: str, payload: bytes, retain: bool) -> None:
        try:
            await session.publish(topic, payload, retain=retain, replaceable=topic.startswith("coc/bridge/response/"))
        except (PublishDeniedError, MessageTooLargeError) as error:
            self.rejected[topic] = str(error)

    async def _sleep(self, _: float) -> None:
        await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with running(self.connection.run()), asyncio.timeout(LONG_ENOUGH):
            yield


@pytest.mark.parametrize(
    ("topic", "retain", "losses"),
    [
        ("homeassistant/device/coc2mqtt_home_clan_2PP/config", True, 3),
        ("coc/clan/2PP/state/war", True, 3),
        ("coc/clan/2PP/member_joined", False, 10),
        ("coc/bridge/response/replay", False, 3),
    ],
    ids=["discovery", "state", "event", "response"],
)
async def test_packet_above_the_limit_is_rejected_and_others_are_published(
    mosquitto: StartMosquitto, topic: str, retain: bool, losses: int
) -> None:
    broker = mosquitto("max_packet_size 10240")
    others = [(f"coc/clan/{number}/state/clan", b"x" * 500, True) for number in range(30)]
    program = Program(broker.port, *others[:15], (topic, bytes(BIG), retain), *others[15:])
    async with program.running():
        await program.done.wait()
        assert program.connection.status.connected
        assert set(program.rejected) == {topic}
        assert f"of {BIG + len(topic) + 16} bytes on {topic} is too large for the broker" in program.rejected[topic]
        assert "(Mosquitto: max_packet_size)" in program.rejected[topic]
        assert program.sessions == losses + 1
        assert await subscribe_once(broker.port, others[-1][0]) == others[-1][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "line"),
    [("3.1.1", "max_packet_size 10240"), ("5", "max_packet_size 10240"), ("5", "message_size_limit 10240")],
)
async def test_bridge_delivers_events_despite_too_large_discovery_payloads(
    mosquitto: StartMosquitto, protocol: Protocol, line: str
) -> None:
    broker, parts = mosquitto(line), Parts()
    await parts.journal.add_event(1)

    async def short_sleep(_: float) -> None:
        await asyncio.sleep(0.01)

    options = replace(OPTIONS, port=broker.port, protocol=protocol)
    port_probe = partial(port_is_open, options.host, options.port)
    connection = Connection(options, on_session=parts.bridge.serve, sleep=short_sleep, port_probe=port_probe)
    async with connected_session(replace(options, client_id="reader", protocol="5"), "5") as reader:
        await reader.subscribe(EVENT)
        async with running(connection.run()):
            assert [message.topic for message in await collect(reader, 1, within=20)] == [EVENT]
            assert connection.status.connected
    problem = parts.retained.publisher.rejected_topics.problem or ""
    assert "homeassistant/device/coc2mqtt_home_" in problem
    assert "raise the broker's limit" in problem


async def test_many_packets_above_the_limit_need_few_sessions(mosquitto: StartMosquitto) -> None:
    broker = mosquitto("max_packet_size 10240")
    program = Program(
        broker.port, *[(f"coc/clan/{number}/config", bytes(BIG + number * 7 % 50), True) for number in range(50)]
    )
    async with program.running():
        await program.done.wait()
    assert len(program.rejected) == 50
    assert program.sessions <= 10


async def test_event_in_flight_at_five_broker_kills_is_delivered(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    in_flight: asyncio.Queue[None] = asyncio.Queue()

    def pause() -> None:
        if program.sessions <= 5:
            broker.pause()
            in_flight.put_nowait(None)

    program = Program(broker.port, ("coc/clan/2PP/x", b"an event", False), before=pause)
    async with program.running():
        for _ in range(5):
            await in_flight.get()
            await asyncio.sleep(0.02)
            broker.restart()
        await program.done.wait()
    assert program.rejected == {}
    assert program.sessions == 6
