from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import (
    MessageTooLargeError,
    PublishDeniedError,
)
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, Transport
from coc2mqtt.mqtt.client.session import Message
from tests.support.broker import subscribe_once
from tests.support.sessions import PROTOCOL_TRANSPORTS, collect, connected_session, listener_lines, read_packet
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
READER = ConnectionOptions("127.0.0.1", 0, "reader", timeout=LONG_ENOUGH)
WRITER = replace(READER, client_id="writer")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_published_retained_message_is_available_once_publish_returns(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    broker = mosquitto()
    async with connected_session(replace(WRITER, port=broker.port), protocol) as session:
        assert session.protocol == protocol
        await session.publish("coc/kept", b'{"state":"ok"}', retain=True)
        await session.publish("coc/fleeting", b"gone", retain=False)
        assert await subscribe_once(broker.port, "coc/#", "--retained-only") == b'{"state":"ok"}'


@pytest.mark.parametrize(("protocol", "transport"), PROTOCOL_TRANSPORTS)
async def test_incoming_messages_equal_the_published_ones(
    mosquitto: StartMosquitto, protocol: Protocol, transport: Transport
) -> None:
    port = mosquitto(*listener_lines(transport)).port
    reading, writing = replace(READER, port=port, transport=transport), replace(WRITER, port=port, transport=transport)
    async with connected_session(reading, protocol) as reader:
        async with connected_session(writing, protocol) as writer:
            await writer.publish("coc/old", b"1", retain=True)
            await reader.subscribe("coc/+")
            await writer.publish("coc/new", b"\x00\xff", qos=0)
            await writer.publish("coc/new", b"")
        assert await collect(reader, 3) == [
            Message("coc/old", b"1", retain=True),
            Message("coc/new", b"\x00\xff"),
            Message("coc/new", b""),
        ]


async def test_incoming_mqtt_5_message_has_response_topic_and_correlation_data(mosquitto: StartMosquitto) -> None:
    port = mosquitto().port
    async with connected_session(replace(READER, port=port)) as reader:
        await reader.subscribe("coc/request")
        properties = ("response-topic", "app/answers/1"), ("correlation-data", "ticket-7")
        options = [argument for pair in properties for argument in ("-D", "publish", *pair)]
        await run("mosquitto_pub", "-V", "5", "-p", str(port), "-t", "coc/request", "-m", "#2PP", *options)
        assert await collect(reader, 1) == [
            Message("coc/request", b"#2PP", response_topic="app/answers/1", correlation_data=b"ticket-7")
        ]


@pytest.mark.parametrize(("protocol", "data"), [("5", b"ticket-7"), ("3.1.1", None)])
async def test_publish_sends_correlation_data_with_mqtt_5_only(
    mosquitto: StartMosquitto, protocol: Protocol, data: bytes | None
) -> None:
    port = mosquitto().port
    async with connected_session(replace(READER, port=port)) as reader:
        await reader.subscribe("app/answers")
        async with connected_session(replace(WRITER, port=port), protocol) as writer:
            await writer.publish("app/answers", b"{}", correlation_data=b"ticket-7")
        assert await collect(reader, 1) == [Message("app/answers", b"{}", correlation_data=data)]


@pytest.mark.parametrize(("protocol", "transport"), PROTOCOL_TRANSPORTS)
async def test_hundreds_of_concurrent_publishes_are_acknowledged_in_order(
    mosquitto: StartMosquitto, protocol: Protocol, transport: Transport
) -> None:
    port = mosquitto(*listener_lines(transport), "max_inflight_messages 7").port
    reading, writing = (
        replace(READER, port=port, transport=transport),
        replace(WRITER, port=port, transport=transport),
    )
    async with connected_session(reading, protocol) as reader:
        await reader.subscribe("coc/#")
        async with connected_session(writing, protocol) as writer, asyncio.TaskGroup() as group:
            collecting = group.create_task(collect(reader, 500))
            for number in range(500):
                group.create_task(writer.publish("coc/events", str(number).encode()))
        assert [int(message.payload) for message in collecting.result()] == list(range(500))


async def test_messages_in_flight_do_not_exceed_the_receive_maximum(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    in_flight: list[int] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x02")  # CONNACK, Receive Maximum 2
        for _ in range(3):
            ids = [(await read_packet(reader))[1][5:7] for _ in range(2)]
            with pytest.raises(TimeoutError):  # a third one would arrive at once
                await asyncio.wait_for(read_packet(reader), 0.05)
            in_flight.append(len(ids))
            for identifier in ids:
                writer.write(b"\x40\x02" + identifier)
        await reader.read()

    async with connected_session(replace(WRITER, port=await serve(broker))) as session, asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(session.publish("a/b", b""))
    assert in_flight == [2, 2, 2]


async def test_cancelled_publish_holds_its_slot_until_the_puback(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    received = asyncio.Event()
    acknowledge = asyncio.Event()
    order: list[str] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x01")  # CONNACK, Receive Maximum 1
        identifier = (await read_packet(reader))[1][5:7]
        received.set()
        await acknowledge.wait()
        order.append("first acknowledged")
        writer.write(b"\x40\x02" + identifier)
        identifier = (await read_packet(reader))[1][5:7]
        order.append("second sent")
        writer.write(b"\x40\x02" + identifier)
        await reader.read()

    async with connected_session(replace(WRITER, port=await serve(broker))) as session:
        first = asyncio.create_task(session.publish("a/b", b""))
        await received.wait()
        first.cancel()
        second = asyncio.create_task(session.publish("a/b", b""))
        asyncio.get_running_loop().call_later(0.05, acknowledge.set)
        await second
    assert order == ["first acknowledged", "second sent"]


@pytest.mark.parametrize("topic", ["", "a/#", "+", "a\0b", "x" * 65536], ids=["empty", "#", "+", "null", "long"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_invalid_topic_raises_publish_denied_and_others_succeed(
    mosquitto: StartMosquitto, protocol: Protocol, topic: str
) -> None:
    port = mosquitto().port
    async with connected_session(replace(WRITER, port=port), protocol) as session:
        with pytest.raises(PublishDeniedError, match="cannot publish on"):
            await session.publish(topic, b"")
        await session.publish("coc/fine", b"")


async def test_message_above_max_packet_size_raises_and_others_succeed(
    mosquitto: StartMosquitto,
) -> None:
    broker = mosquitto("max_packet_size 2000")
    async with connected_session(replace(WRITER, port=broker.port)) as session:
        assert session.max_packet_size == 2000
        with pytest.raises(MessageTooLargeError, match="exceeds the broker's limit of 2000 bytes"):
            await session.publish("coc/kept", b"x" * 2000)
        largest = b"x" * (2000 - 16 - len("coc/kept"))
        await session.publish("coc/kept", largest, retain=True)
    assert await subscribe_once(broker.port, "coc/kept") == largest


async def test_slow_reader_loses_the_newest_messages_which_is_logged_once(
    mosquitto: StartMosquitto, log_lines: list[MutableMapping[str, Any]]
) -> None:
    port = mosquitto("max_queued_messages 5000").port
    async with connected_session(replace(READER, port=port)) as reader:
        await reader.subscribe("coc/#")
        async with connected_session(replace(WRITER, port=port)) as writer:
            for number in range(300):
                await writer.publish("coc/flood", str(number).encode())
            # Sent after the flood, so all of the flood has arrived once this one is acknowledged.
            await reader.publish("app/end", b"")
        assert [int(message.payload) for message in await collect(reader, 200)] == list(range(200))
        await reader.publish("coc/after", b"")
        assert (await collect(reader, 1))[0].topic == "coc/after"
    assert [line["event"] for line in log_lines] == ["incoming messages dropped, queue is full"]


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


@pytest.mark.parametrize(("protocol", "transport"), PROTOCOL_TRANSPORTS)
async def test_read_retained_yields_all_retained_messages_and_leaves_none_queued(
    mosquitto: StartMosquitto, protocol: Protocol, transport: Transport
) -> None:
    port = mosquitto(*listener_lines(transport)).port
    reading = replace(READER, port=port, transport=transport)
    # More than the inbox holds.
    topics = [f"coc/clan/{number}/state" for number in range(300)]
    async with connected_session(reading, protocol) as session:
        for topic in [*topics, "coc/other/1/state"]:
            await session.publish(topic, b"1", retain=True)
        retained: list[Message] = []
        await session.read_retained("coc/clan/+/state", retained.append)
        assert {message.topic for message in retained} == {*topics}
        await session.publish("coc/clan/1/state", b"2")
        await session.subscribe("coc/sentinel")
        await session.publish("coc/sentinel", b"3")
        assert await collect(session, 1) == [Message("coc/sentinel", b"3")], "the filter is still subscribed"
