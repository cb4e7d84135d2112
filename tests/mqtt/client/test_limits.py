from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import (
    ConnectionLostError,
    MessageTooLargeError,
    MissingFeatureError,
    PublishDeniedError,
    SubscribeDeniedError,
    SubscribeTimeoutError,
)
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, RetainedMessage
from coc2mqtt.mqtt.client.poison_messages import OutgoingMessage, PoisonMessageFilter
from coc2mqtt.mqtt.client.session import open_session
from tests.support.sessions import CONNACK, collect, connected_session, read_packet
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

OPTIONS = ConnectionOptions("127.0.0.1", 0, "reader", timeout=LONG_ENOUGH)
NEEDS_RETAIN = "does not support retained messages, which coc2mqtt needs: enable them on the broker"
NEEDS_QOS_1 = "does not support QoS 1, which coc2mqtt needs to lose no messages: enable it on the broker"


@pytest.mark.parametrize(
    ("line", "sentence"), [("retain_available false", NEEDS_RETAIN), ("max_qos 0", NEEDS_QOS_1)], ids=["retain", "qos"]
)
@pytest.mark.parametrize("will", [True, False], ids=["will", "no will"])
async def test_broker_without_a_required_feature_raises_missing_feature(
    mosquitto: StartMosquitto, line: str, sentence: str, will: bool
) -> None:
    options = replace(OPTIONS, port=mosquitto(line).port, will=RetainedMessage("coc/x", b"") if will else None)
    with pytest.raises(MissingFeatureError, match=sentence):
        await open_session(options, "5")


async def test_connect_with_mqtt_5_announces_the_limits(serve: Callable[[Any], Awaitable[int]]) -> None:
    connects: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connects.append((await read_packet(reader))[1])
        writer.write(CONNACK["5"])
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker))):
        maximum_packet_size, receive_maximum = b"\x27" + (256 * 1024).to_bytes(4), b"\x21" + (200).to_bytes(2)
        assert connects[0][11:19] in {maximum_packet_size + receive_maximum, receive_maximum + maximum_packet_size}


@pytest.mark.parametrize(("protocol", "lengths"), [("5", [65_537, 65_536, 0]), ("3.1.1", [65_537, 65_537, 65_536, 0])])
async def test_payload_above_64_kib_is_truncated(
    mosquitto: StartMosquitto, protocol: Protocol, lengths: list[int]
) -> None:
    port = mosquitto().port
    async with connected_session(replace(OPTIONS, port=port), protocol) as reader:
        await reader.subscribe("coc/#")
        async with connected_session(replace(OPTIONS, port=port, client_id="writer")) as writer:
            # With MQTT 5, the broker does not even send the first one.
            for length in (300_000, 200_000, 65_536, 0):
                await writer.publish("coc/x", b"x" * length)
        assert [len(message.payload) for message in await collect(reader, len(lengths))] == lengths


async def test_payload_above_message_size_limit_raises_and_the_session_continues(mosquitto: StartMosquitto) -> None:
    async with connected_session(replace(OPTIONS, port=mosquitto("message_size_limit 10240").port)) as session:
        with pytest.raises(MessageTooLargeError, match=r"a message of 21021 bytes on coc/x .*message_size_limit"):
            await session.publish("coc/x", bytes(21_000), retain=True)
        await session.publish("coc/x", bytes(10_000), retain=True)


@pytest.mark.parametrize(
    ("code", "reason"), [(0x8D, "reason code 0x8d"), (0xC8, "reason code 0xc8")], ids=["of a DISCONNECT", "unknown"]
)
async def test_invalid_puback_reason_code_only_rejects_that_message(
    serve: Callable[[Any], Awaitable[int]], code: int, reason: str
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        for reason_code in (bytes([code, 0]), b"\x00\x00"):
            _, body = await read_packet(reader)
            writer.write(b"\x40\x04" + body[3 + 2 : 3 + 4] + reason_code)
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker))) as session:
        with pytest.raises(PublishDeniedError, match=rf"on a/b \({reason}\)"):
            await session.publish("a/b", b"")
        await session.publish("a/b", b"")


async def test_unknown_disconnect_reason_code_is_shown_as_number(serve: Callable[[Any], Awaitable[int]]) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        await read_packet(reader)
        writer.write(b"\xe0\x02\xc8\x00")

    async with connected_session(replace(OPTIONS, port=await serve(broker))) as session:
        with pytest.raises(ConnectionLostError, match=r"closed the connection \(reason code 0xc8\): check its log"):
            await session.publish("a/b", b"")


async def test_suback_timeout_does_not_close_the_session(serve: Callable[[Any], Awaitable[int]]) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        _, subscribe = await read_packet(reader)
        _, publish = await read_packet(reader)
        writer.write(b"\x90\x04" + subscribe[:2] + b"\x00\x01")
        writer.write(b"\x40\x02" + publish[5:7])
        writer.write(b"\x30\x06\x00\x03a/b\x00")
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker), timeout=0.1)) as session:
        with pytest.raises(SubscribeTimeoutError, match="did not acknowledge the subscription to a/b within"):
            await session.subscribe("a/b")
        await session.publish("a/b", b"")
        assert [message.topic for message in await collect(session, 1)] == ["a/b"]


async def test_wildcard_subscription_raises_if_the_broker_does_not_support_it(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(b"\x20\x05\x00\x00\x02\x28\x00")
        kind, publish = await read_packet(reader)
        assert kind == 0x32
        writer.write(b"\x40\x02" + publish[5:7])
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker))) as session:
        with pytest.raises(SubscribeDeniedError, match=r"does not support wildcard subscriptions such as coc/\+"):
            await session.subscribe("coc/+")
        await session.publish("a/b", b"")


@pytest.mark.parametrize("alone", [False, True], ids=["together", "alone"])
async def test_many_publishes_succeed_with_a_receive_maximum_of_one(mosquitto: StartMosquitto, alone: bool) -> None:
    port = mosquitto("max_inflight_messages 1").port
    poison_filter = PoisonMessageFilter()
    if alone:
        for _ in range(2):
            poison_filter.on_connected()
            poison_filter.on_puback(OutgoingMessage.of("coc/0", b"", 1, replaceable=True))
            poison_filter.on_connection_lost(
                [OutgoingMessage.of("coc/1", b"", 1, replaceable=True)], ConnectionLostError("x")
            )
            poison_filter.evaluate_loss(broker_survived=True)
    session = await open_session(replace(OPTIONS, port=port), "5", poison_filter=poison_filter)
    monitoring = asyncio.create_task(session.monitor())
    async with asyncio.timeout(LONG_ENOUGH), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(session.publish(f"coc/{number}", b"x", retain=True))
    monitoring.cancel()
    await asyncio.wait([monitoring])
    session.abort()
