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
LATER = "the broker rejects messages on a/b for now"
NEVER = "the broker rejects messages on a/b"


async def test_a_denied_publish_says_so_on_mqtt_5_and_others_go_on(mosquitto: StartMosquitto) -> None:
    broker = mosquitto(acl="topic readwrite coc/#\n")
    async with connected_session(replace(OPTIONS, port=broker.port)) as session:
        with pytest.raises(PublishDeniedError) as denied:
            await session.publish("homeassistant/device/x/config", b"{}")
        await session.publish("coc/kept", b"1", retain=True)
    assert "homeassistant/device/x/config (not authorized): allow the topic for this client" in str(denied.value)
    assert await subscribe_once(broker.port, "coc/kept") == b"1"


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (0x80, PublishDeferredError, f"{LATER} (unspecified error): check its log if this persists"),
        (0x83, PublishDeferredError, f"{LATER} (implementation specific error): check its log if this persists"),
        (0x87, PublishDeniedError, f"{NEVER} (not authorized): allow the topic for coc on the broker"),
        (0x90, PublishDeniedError, f"{NEVER} (topic name invalid): choose another mqtt.base_topic, or allow such"),
        (0x91, PublishDeferredError, f"{LATER} (packet identifier in use): check its log if this persists"),
        (0x97, PublishDeferredError, f"{LATER} (quota exceeded): check its queue limits if this persists"),
        (0x99, PublishDeniedError, f"{NEVER} (payload format invalid): check the broker's log"),
    ],
)
async def test_a_message_that_is_not_taken_says_whether_it_may_be_later_and_the_next_one_goes_on(
    serve: Callable[[Any], Awaitable[int]], code: int, kind: type[MqttError], sentence: str
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        # No matching subscribers (0x10) is no failure.
        for answer in (code, 0x10):
            writer.write(b"\x40\x04" + (await read_packet(reader))[1][5:7] + bytes([answer, 0]))
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker), username="coc")) as session:
        with pytest.raises(MqttError) as refused:
            await session.publish("a/b", b"")
        await session.publish("a/b", b"")
    assert type(refused.value) is kind
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("protocol", "answer", "sentence"),
    [
        ("5", b"\x00\x87", "(not authorized): allow the topic for this client on the broker"),
        ("5", b"\x00\xa2", "(wildcard subscription not supported): check its log"),
        ("3.1.1", b"\x80", "(unspecified error): allow the topic for this client on the broker"),
    ],
)
async def test_a_subscription_that_is_not_granted_says_so(
    serve: Callable[[Any], Awaitable[int]], protocol: Protocol, answer: bytes, sentence: str
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK[protocol])
        _, body = await read_packet(reader)
        writer.write(b"\x90" + bytes([2 + len(answer)]) + body[:2] + answer)
        await reader.read()

    async with connected_session(replace(OPTIONS, port=await serve(broker)), protocol) as session:
        with pytest.raises(SubscribeDeniedError) as denied:
            await session.subscribe("coc/#")
    assert str(denied.value) == f"the broker rejected the subscription to coc/# {sentence}"
