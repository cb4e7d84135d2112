from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import MqttError, PublishDeferredError, PublishDeniedError, SubscribeDeniedError
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol
from tests.support.broker import subscribe_once
from tests.support.sessions import CONNACK, connected_session, read_packet
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

OPTIONS = ConnectionOptions("127.0.0.1", 0, "bridge", timeout=LONG_ENOUGH)
DEFERRED = "the broker rejects messages on a/b for now"
DENIED = "the broker rejects messages on a/b"


async def test_denied_publish_raises_with_mqtt_5_and_others_succeed(mosquitto: StartMosquitto) -> None:
    broker = mosquitto(acl="topic readwrite coc/#\n")
    async with connected_session(replace(OPTIONS, port=broker.port)) as session:
        with pytest.raises(PublishDeniedError) as denied:
            await session.publish("homeassistant/device/x/config", b"{}")
        await session.publish("coc/allowed", b"1", retain=True)
    assert "homeassistant/device/x/config (not authorized): allow the topic for this client" in str(denied.value)
    assert await subscribe_once(broker.port, "coc/allowed") == b"1"


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (0x80, PublishDeferredError, f"{DEFERRED} (unspecified error): check its log if this persists"),
        (0x83, PublishDeferredError, f"{DEFERRED} (implementation specific error): check its log if this persists"),
        (0x87, PublishDeniedError, f"{DENIED} (not authorized): allow the topic for coc on the broker"),
        (0x90, PublishDeniedError, f"{DENIED} (topic name invalid): choose another mqtt.base_topic, or allow such"),
        (0x91, PublishDeferredError, f"{DEFERRED} (packet identifier in use): check its log if this persists"),
        (0x97, PublishDeferredError, f"{DEFERRED} (quota exceeded): check its queue limits if this persists"),
        (0x99, PublishDeniedError, f"{DENIED} (payload format invalid): check the broker's log"),
    ],
)
async def test_puback_with_failure_raises_and_the_next_publish_succeeds(
    serve: Callable[[Any], Awaitable[int]], code: int, kind: type[MqttError], sentence: str
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        # 0x10 (no matching subscribers) is not a failure.
        for reason_code in (code, 0x10):
            writer.write(b"\x40\x04" + (await read_packet(reader))[1][5:7] + bytes([reason_code, 0]))
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker), username="coc")) as session:
        with pytest.raises(MqttError) as rejected:
            await session.publish("a/b", b"")
        await session.publish("a/b", b"")
    assert type(rejected.value) is kind
    assert str(rejected.value).startswith(sentence)


@pytest.mark.parametrize(
    ("protocol", "suback", "sentence"),
    [
        ("5", b"\x00\x87", "(not authorized): allow the topic for this client on the broker"),
        ("5", b"\x00\xa2", "(wildcard subscription not supported): check its log"),
        ("3.1.1", b"\x80", "(unspecified error): allow the topic for this client on the broker"),
    ],
)
async def test_suback_with_failure_raises_subscribe_denied(
    serve: Callable[[Any], Awaitable[int]], protocol: Protocol, suback: bytes, sentence: str
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK[protocol])
        _, body = await read_packet(reader)
        writer.write(b"\x90" + bytes([2 + len(suback)]) + body[:2] + suback)
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker)), protocol) as session:
        with pytest.raises(SubscribeDeniedError) as denied:
            await session.subscribe("coc/#")
    assert str(denied.value) == f"the broker rejected the subscription to coc/# {sentence}"
