"""Messages over which a broker closes the connection are set aside, and nothing else is."""

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
from coc2mqtt.mqtt.client.port_probe import port_is_open
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
LOST = ConnectionLostError("it was lost")
SMALL, BIG = 100, 21_000


def state(name: str, size: int = SMALL) -> OutgoingMessage:
    return OutgoingMessage.of(f"coc/{name}", bytes(size), size, replaceable=True)


def event(number: int, size: int = SMALL) -> OutgoingMessage:
    return OutgoingMessage.of("coc/clan/2PP/x", bytes([number]) * size, size, replaceable=False)


class Broker:
    """A broker that is told what happens: one session after another, with what is acknowledged and what is not."""

    def __init__(self) -> None:
        self.now = 0.0
        self.poison_filter = PoisonMessageFilter(lambda: self.now)

    def lose(
        self,
        *in_flight: OutgoingMessage,
        acknowledged: Sequence[OutgoingMessage] = (state("bridge/state"),),
        survived: bool = True,
        error: ConnectionLostError = LOST,
    ) -> None:
        """Have a session in which some messages are acknowledged before it is lost with others in flight."""
        self.poison_filter.on_connected()
        for message in acknowledged:
            self.poison_filter.on_puback(message)
        alone = [message for message in in_flight if self.poison_filter.must_send_alone(message)]
        if alone:
            self.poison_filter.set_sent_alone(alone[0])
            in_flight = (alone[0],)
        self.poison_filter.on_connection_lost(in_flight, error)
        self.poison_filter.evaluate_loss(broker_survived=survived)

    def takes(self, message: OutgoingMessage) -> bool:
        try:
            self.poison_filter.check(message)
        except (PoisonMessageError, MessageTooLargeError):
            return False
        return True


@pytest.mark.parametrize(
    ("culprit", "losses"), [(state("config", BIG), 3), (state("a", SMALL), 3), (event(1, 2000), 10), (event(1), 10)]
)
def test_message_in_flight_at_several_losses_is_set_aside_and_the_others_are_not(
    culprit: OutgoingMessage, losses: int, log_lines: Lines
) -> None:
    broker, others = Broker(), [state("b"), event(7)]
    for _ in range(2):
        broker.lose(*others, culprit)
    for _ in range(losses - 2):
        assert broker.takes(culprit)
        broker.lose(culprit, acknowledged=[state("bridge/state"), *others])
    assert not broker.takes(culprit)
    assert all(broker.takes(other) for other in others)
    (line,) = log_lines
    assert line["event"] == "the broker closes the connection over a message"
    assert (line["topic"], line["bytes"]) == (culprit.topic, culprit.size)
    assert "max_packet_size" in line["hint"]


def test_message_is_sent_alone_only_after_two_losses_without_acknowledgement() -> None:
    broker, suspect = Broker(), event(1)
    broker.lose(suspect)
    assert not broker.poison_filter.must_send_alone(suspect)
    broker.lose(suspect)
    assert broker.poison_filter.must_send_alone(suspect)
    assert not broker.poison_filter.must_send_alone(event(2))
    broker.poison_filter.on_puback(suspect)
    assert not broker.poison_filter.must_send_alone(suspect)


def test_network_that_breaks_often_sets_no_message_aside() -> None:
    broker = Broker()
    for number in range(200):
        broker.lose(event(number % 200), state("a"), acknowledged=[state("a"), event((number - 1) % 200)])
    assert all(broker.takes(event(number)) for number in range(200))
    assert broker.takes(state("a"))


@pytest.mark.parametrize(
    ("survived", "error"),
    [(False, LOST), (True, BrokerShutdownError("it is shutting down"))],
    ids=["killed", "stopped"],
)
def test_restarting_broker_sets_no_event_aside_even_if_it_is_in_flight_each_time(
    survived: bool, error: ConnectionLostError
) -> None:
    broker, unlucky = Broker(), event(1)
    for _ in range(20):
        broker.lose(unlucky, survived=survived, error=error)
    assert broker.takes(unlucky)


def test_session_in_which_nothing_was_acknowledged_is_no_evidence() -> None:
    broker, first = Broker(), state("bridge/state")
    for _ in range(20):
        broker.lose(first, acknowledged=[])
    assert broker.takes(first)


def test_broker_that_closes_over_every_event_loses_five_an_hour_at_most() -> None:
    broker = Broker()
    for number in range(20):
        for _ in range(12):
            broker.lose(event(number), acknowledged=[state("larger", 3000)])
    assert sum(not broker.takes(event(number)) for number in range(20)) == 5


def test_proven_limit_refuses_larger_messages_at_once_and_tries_those_between_alone() -> None:
    broker = Broker()
    for _ in range(3):
        broker.lose(state("first", BIG))
    assert broker.poison_filter.max_packet_size == BIG - 1
    assert not broker.takes(state("second", BIG))
    assert broker.takes(state("third", 12_000))
    assert broker.poison_filter.must_send_alone(state("third", 12_000))
    broker.lose(state("third", 12_000))
    assert not broker.takes(state("fourth", 12_000))
    broker.poison_filter.on_puback(state("fifth", 9_000))
    assert not broker.poison_filter.must_send_alone(state("sixth", 8_000))
    assert broker.poison_filter.must_send_alone(state("seventh", 9_500))


def test_event_below_a_proven_limit_is_not_set_aside_after_one_loss() -> None:
    broker = Broker()
    for _ in range(3):
        broker.lose(state("first", BIG))
    for _ in range(2):
        broker.lose(event(1, 2000))
        assert broker.takes(event(1, 2000))
    broker.lose(event(1, 2000))
    assert not broker.takes(event(1, 2000))


def test_limit_that_was_lowered_is_found_although_larger_messages_were_taken_before() -> None:
    broker = Broker()
    broker.poison_filter.on_puback(state("b", BIG))
    for _ in range(3):
        broker.lose(state("first", BIG))
    assert broker.poison_filter.max_packet_size == BIG - 1


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_held_message_is_tried_alone_after_a_quarter_of_an_hour_then_less_often(size: int) -> None:
    broker, culprit, larger = Broker(), state("culprit", size), state("bridge/watches", 3000)
    for _ in range(3):
        broker.lose(culprit, acknowledged=[larger])
    for hold in (900, 1800, 3600, 7200, 14400, 14400):
        broker.now += hold - 1
        assert not broker.takes(culprit)
        broker.now += 2
        assert broker.takes(culprit)
        assert broker.poison_filter.must_send_alone(culprit)
        broker.lose(culprit, acknowledged=[larger])
    broker.now += 14401
    broker.poison_filter.on_puback(culprit)
    assert broker.takes(culprit)
    assert not broker.poison_filter.must_send_alone(culprit)
    assert broker.poison_filter.max_packet_size is None


def test_packet_too_large_from_the_broker_proves_a_message_that_is_alone() -> None:
    certain = ConnectionLostError("too large")
    certain.caused_by_message = True
    broker = Broker()
    for _ in range(2):
        broker.lose(state("config", BIG), state("other", BIG - 1), error=certain)
    broker.lose(state("config", BIG), error=certain)
    assert broker.poison_filter.max_packet_size == BIG - 1


# With a real Mosquitto, which closes a connection of MQTT 3.1.1 over a packet above its max_packet_size.

Sent = tuple[str, bytes, bool]


class Program:
    """Publishes messages over each new session, and notes those that are refused; ``before`` is called before them."""

    def __init__(self, port: int, *messages: Sent, before: Callable[[], None] = lambda: None) -> None:
        self.sessions = 0
        self.refused: dict[str, str] = {}
        self.done = asyncio.Event()
        self._messages = messages
        self._before = before
        self.connection = Connection(
            replace(OPTIONS, port=port),
            on_session=self._talk,
            sleep=self._sleep,
            port_probe=partial(port_is_open, OPTIONS.host, port),
        )

    async def _talk(self, session: Session) -> None:
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
            self.refused[topic] = str(error)

    async def _sleep(self, _: float) -> None:
        await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.connection.run())
        try:
            async with asyncio.timeout(LONG_ENOUGH):
                yield
        finally:
            task.cancel()
            await asyncio.wait([task])


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
async def test_packet_above_the_limit_of_a_broker_is_refused_and_the_rest_goes_on(
    mosquitto: StartMosquitto, topic: str, retain: bool, losses: int
) -> None:
    broker = mosquitto("max_packet_size 10240")
    others = [(f"coc/clan/{number}/state/clan", b"x" * 500, True) for number in range(30)]
    program = Program(broker.port, *others[:15], (topic, bytes(BIG), retain), *others[15:])
    async with program.running():
        await program.done.wait()
        assert program.connection.status.connected
        assert set(program.refused) == {topic}
        assert f"of {BIG + len(topic) + 16} bytes on {topic} is too large for the broker" in program.refused[topic]
        assert "(Mosquitto: max_packet_size)" in program.refused[topic]
        assert program.sessions == losses + 1
        assert await subscribe_once(broker.port, others[-1][0]) == others[-1][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "line"),
    [("3.1.1", "max_packet_size 10240"), ("5", "max_packet_size 10240"), ("5", "message_size_limit 10240")],
)
async def test_bridge_delivers_events_although_its_discovery_payloads_are_too_large(
    mosquitto: StartMosquitto, protocol: Protocol, line: str
) -> None:
    broker, parts = mosquitto(line), Parts()
    await parts.journal.happen(1)

    async def soon(_: float) -> None:
        await asyncio.sleep(0.01)

    options = replace(OPTIONS, port=broker.port, protocol=protocol)
    knock = partial(port_is_open, options.host, options.port)
    connection = Connection(options, on_session=parts.bridge.serve, sleep=soon, port_probe=knock)
    async with connected_session(replace(options, client_id="reader", protocol="5"), "5") as reader:
        await reader.subscribe(EVENT)
        async with running(connection.run()):
            assert [message.topic for message in await collect(reader, 1, within=20)] == [EVENT]
            assert connection.status.connected
    problem = parts.retained.publisher.rejected_topics.problem or ""
    assert "homeassistant/device/coc2mqtt_home_" in problem
    assert "raise the broker's limit" in problem


async def test_many_packets_above_the_limit_cost_few_sessions(mosquitto: StartMosquitto) -> None:
    broker = mosquitto("max_packet_size 10240")
    program = Program(
        broker.port, *[(f"coc/clan/{number}/config", bytes(BIG + number * 7 % 50), True) for number in range(50)]
    )
    async with program.running():
        await program.done.wait()
    assert len(program.refused) == 50
    assert program.sessions <= 10


async def test_event_in_flight_when_the_broker_is_killed_five_times_is_delivered(mosquitto: StartMosquitto) -> None:
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
    assert program.refused == {}
    assert program.sessions == 6
