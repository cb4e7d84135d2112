from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.errors import (
    ConnectionLostError,
    MessageTooLargeError,
    PublishDeniedError,
    SessionTakenOverError,
    SubscribeDeniedError,
)
from coc2mqtt.mqtt.options import ConnectionOptions, Protocol
from coc2mqtt.mqtt.session import Message
from tests.brokers import witness
from tests.mqtt.sessions import connected, packet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
READER = ConnectionOptions("127.0.0.1", 0, "reader", timeout=2)
WRITER = replace(READER, client_id="writer")


async def collect(session: Any, count: int) -> list[Message]:
    async with asyncio.timeout(5):
        messages: list[Message] = []
        async for message in session.messages():
            messages.append(message)
            if len(messages) == count:
                break
        return messages


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_retained_message_is_there_for_others_once_publish_has_returned(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    broker = mosquitto()
    async with connected(replace(WRITER, port=broker.port), protocol) as session:
        assert session.protocol == protocol
        await session.publish("coc/kept", b'{"state":"ok"}', retain=True)
        await session.publish("coc/fleeting", b"gone", retain=False)
        assert await witness(broker.port, "coc/#", "--retained-only") == b'{"state":"ok"}'


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_messages_come_in_as_they_were_sent(mosquitto: StartMosquitto, protocol: Protocol) -> None:
    port = mosquitto().port
    async with connected(replace(READER, port=port), protocol) as reader:
        async with connected(replace(WRITER, port=port), protocol) as writer:
            await writer.publish("coc/old", b"1", retain=True)
            await reader.subscribe("coc/+")
            await writer.publish("coc/new", b"\x00\xff", qos=0)
            await writer.publish("coc/new", b"")
        assert await collect(reader, 3) == [
            Message("coc/old", b"1", retain=True),
            Message("coc/new", b"\x00\xff"),
            Message("coc/new", b""),
        ]


async def test_response_topic_and_correlation_data_of_mqtt_5_come_in(mosquitto: StartMosquitto) -> None:
    port = mosquitto().port
    async with connected(replace(READER, port=port)) as reader:
        await reader.subscribe("coc/request")
        properties = ("response-topic", "app/answers/1"), ("correlation-data", "ticket-7")
        asking = [argument for pair in properties for argument in ("-D", "publish", *pair)]
        await run("mosquitto_pub", "-V", "5", "-p", str(port), "-t", "coc/request", "-m", "#2PP", *asking)
        assert await collect(reader, 1) == [
            Message("coc/request", b"#2PP", response_topic="app/answers/1", correlation_data=b"ticket-7")
        ]


@pytest.mark.parametrize(("protocol", "data"), [("5", b"ticket-7"), ("3.1.1", None)])
async def test_correlation_data_goes_out_where_the_protocol_has_it(
    mosquitto: StartMosquitto, protocol: Protocol, data: bytes | None
) -> None:
    port = mosquitto().port
    async with connected(replace(READER, port=port)) as reader:
        await reader.subscribe("app/answers")
        async with connected(replace(WRITER, port=port), protocol) as writer:
            await writer.publish("app/answers", b"{}", correlation_data=b"ticket-7")
        assert await collect(reader, 1) == [Message("app/answers", b"{}", correlation_data=data)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_hundreds_of_publishes_at_once_are_all_acknowledged_and_keep_their_order(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    port = mosquitto("max_inflight_messages 7").port
    async with connected(replace(READER, port=port), protocol) as reader:
        await reader.subscribe("coc/#")
        async with connected(replace(WRITER, port=port), protocol) as writer, asyncio.TaskGroup() as group:
            for number in range(500):
                group.create_task(writer.publish("coc/events", str(number).encode()))
        assert [int(message.payload) for message in await collect(reader, 500)] == list(range(500))


async def test_no_more_messages_are_in_flight_than_the_broker_receives(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    in_flight: list[int] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x02")  # CONNACK, Receive Maximum 2
        for _ in range(3):
            ids = [(await packet(reader))[1][5:7] for _ in range(2)]
            with pytest.raises(TimeoutError):  # a third one would be here at once
                await asyncio.wait_for(packet(reader), 0.05)
            in_flight.append(len(ids))
            for identifier in ids:
                writer.write(b"\x40\x02" + identifier)
        await reader.read()

    async with connected(replace(WRITER, port=await serve(broker))) as session, asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(session.publish("a/b", b""))
    assert in_flight == [2, 2, 2]


async def test_a_publish_that_nobody_waits_for_any_more_holds_its_place_until_the_broker_answers(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()
    order: list[str] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x01")  # CONNACK, Receive Maximum 1
        identifier = (await packet(reader))[1][5:7]
        asked.set()
        await go_on.wait()
        order.append("first acknowledged")
        writer.write(b"\x40\x02" + identifier)
        identifier = (await packet(reader))[1][5:7]
        order.append("second sent")
        writer.write(b"\x40\x02" + identifier)
        await reader.read()

    async with connected(replace(WRITER, port=await serve(broker))) as session:
        first = asyncio.create_task(session.publish("a/b", b""))
        await asked.wait()
        first.cancel()
        second = asyncio.create_task(session.publish("a/b", b""))
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        await second
    assert order == ["first acknowledged", "second sent"]


async def test_a_denied_publish_says_so_on_mqtt_5_and_others_go_on(mosquitto: StartMosquitto) -> None:
    broker = mosquitto(acl="topic readwrite coc/#\n")
    async with connected(replace(WRITER, port=broker.port)) as session:
        with pytest.raises(PublishDeniedError) as denied:
            await session.publish("homeassistant/device/x/config", b"{}")
        await session.publish("coc/kept", b"1", retain=True)
    assert "homeassistant/device/x/config (not authorized)" in str(denied.value)
    assert await witness(broker.port, "coc/kept") == b"1"


@pytest.mark.parametrize("topic", ["", "a/#", "+", "a\0b", "x" * 65536], ids=["empty", "#", "+", "null", "long"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_topic_that_would_end_the_connection_is_refused_and_others_go_on(
    mosquitto: StartMosquitto, protocol: Protocol, topic: str
) -> None:
    port = mosquitto().port
    async with connected(replace(WRITER, port=port), protocol) as session:
        with pytest.raises(PublishDeniedError, match="is no topic to publish on"):
            await session.publish(topic, b"")
        await session.publish("coc/fine", b"")


async def test_a_message_that_is_too_large_for_the_broker_is_refused_and_others_go_on(
    mosquitto: StartMosquitto,
) -> None:
    broker = mosquitto("max_packet_size 2000")
    async with connected(replace(WRITER, port=broker.port)) as session:
        assert session.largest_packet == 2000
        with pytest.raises(MessageTooLargeError, match="larger than the 2000 that the broker takes"):
            await session.publish("coc/kept", b"x" * 2000)
        fits = b"x" * (2000 - 16 - len("coc/kept"))
        await session.publish("coc/kept", fits, retain=True)
    assert await witness(broker.port, "coc/kept") == fits


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_subscription_that_is_not_granted_says_so(
    serve: Callable[[Any], Awaitable[int]], protocol: Protocol
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00" if protocol == "5" else b"\x20\x02\x00\x00")
        _, body = await packet(reader)
        code = b"\x00\x87" if protocol == "5" else b"\x80"
        writer.write(b"\x90" + bytes([2 + len(code)]) + body[:2] + code)
        await reader.read()

    async with connected(replace(READER, port=await serve(broker)), protocol) as session:
        with pytest.raises(SubscribeDeniedError, match="does not grant a subscription to coc/#"):
            await session.subscribe("coc/#")


async def test_a_reader_that_falls_behind_loses_the_newest_and_one_line_says_so(
    mosquitto: StartMosquitto, log_lines: list[MutableMapping[str, Any]]
) -> None:
    port = mosquitto("max_queued_messages 5000").port
    async with connected(replace(READER, port=port)) as reader:
        await reader.subscribe("coc/#")
        async with connected(replace(WRITER, port=port)) as writer:
            for number in range(1200):
                await writer.publish("coc/flood", str(number).encode())
            # Goes the same way after the flood, so the flood is through once its answer is here.
            await reader.publish("app/end", b"")
        assert [int(message.payload) for message in await collect(reader, 1000)] == list(range(1000))
        await reader.publish("coc/after", b"")
        assert (await collect(reader, 1))[0].topic == "coc/after"
    assert [line["event"] for line in log_lines] == ["messages come in faster than they are handled, so some are lost"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_everything_that_waits_ends_at_once_when_the_broker_dies(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    broker = mosquitto()
    async with connected(replace(WRITER, port=broker.port), protocol) as session:
        broker.pause()
        waiting = [asyncio.create_task(session.publish("coc/x", b"")) for _ in range(300)]
        await asyncio.sleep(0)
        broker.kill()
        async with asyncio.timeout(1):
            ends = await asyncio.gather(*waiting, session.receive(), return_exceptions=True)
        assert {type(end) for end in ends} == {ConnectionLostError}
        for late in (session.publish("coc/x", b""), session.subscribe("coc/x"), session.receive()):
            with pytest.raises(ConnectionLostError, match="the connection to the broker at"):
                await late


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_take_over_that_the_broker_is_silent_about_points_at_the_client_id(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    options = replace(READER, port=mosquitto().port, client_id="coc2mqtt_home")
    async with connected(options, protocol) as session, connected(options, protocol):
        with pytest.raises(ConnectionLostError, match="that no other client uses the client id 'coc2mqtt_home'"):
            await session.receive()


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (0x8E, SessionTakenOverError, "with the client id 'reader': stop it, or give each bridge an instance name"),
        (0x8B, ConnectionLostError, "is shutting down$"),
        (0x8D, ConnectionLostError, "heard nothing from this client for too long: check the network"),
        (0x95, ConnectionLostError, "a message that is too large for it: raise the broker's limit"),
        (0x98, ConnectionLostError, "broke off: check the broker and the network"),
        (0x9A, ConnectionLostError, "does not keep retained messages, which coc2mqtt needs"),
    ],
)
async def test_what_the_broker_says_at_a_disconnect_is_said(
    serve: Callable[[Any], Awaitable[int]], code: int, kind: type[ConnectionLostError], sentence: str
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00")
        await packet(reader)
        writer.write(bytes([0xE0, 2, code, 0]))

    async with connected(replace(READER, port=await serve(broker))) as session:
        with pytest.raises(kind, match=sentence) as lost:
            await session.publish("a/b", b"")
        with pytest.raises(kind, match=sentence):
            await session.receive()
    assert type(lost.value) is kind


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
