from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.errors import MissingFeatureError
from coc2mqtt.mqtt.options import ConnectionOptions, Protocol, RetainedMessage
from coc2mqtt.mqtt.session import open_session
from tests.mqtt.sessions import collect, connected, packet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

OPTIONS = ConnectionOptions("127.0.0.1", 0, "reader", timeout=2)
NEEDS_RETAIN = "does not keep retained messages, which coc2mqtt needs: allow them on the broker"
NEEDS_QOS_1 = "takes no messages of QoS 1, which coc2mqtt needs so that nothing is lost: allow them on the broker"


@pytest.mark.parametrize(
    ("line", "sentence"), [("retain_available false", NEEDS_RETAIN), ("max_qos 0", NEEDS_QOS_1)], ids=["retain", "qos"]
)
@pytest.mark.parametrize("will", [True, False], ids=["will", "no will"])
async def test_a_broker_that_cannot_do_what_is_needed_is_left_at_once(
    mosquitto: StartMosquitto, line: str, sentence: str, will: bool
) -> None:
    options = replace(OPTIONS, port=mosquitto(line).port, will=RetainedMessage("coc/x", b"") if will else None)
    with pytest.raises(MissingFeatureError, match=sentence):
        await open_session(options, "5")


async def test_a_broker_of_mqtt_5_is_told_what_is_taken(serve: Callable[[Any], Awaitable[int]]) -> None:
    said: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append((await packet(reader))[1])
        writer.write(b"\x20\x03\x00\x00\x00")
        await reader.read()

    async with connected(replace(OPTIONS, port=await serve(broker))):
        maximum_packet_size, receive_maximum = b"\x27" + (256 * 1024).to_bytes(4), b"\x21" + (200).to_bytes(2)
        assert said[0][11:19] in {maximum_packet_size + receive_maximum, receive_maximum + maximum_packet_size}


@pytest.mark.parametrize(("protocol", "lengths"), [("5", [65_537, 65_536, 0]), ("3.1.1", [65_537, 65_537, 65_536, 0])])
async def test_of_a_huge_message_no_more_than_64_kib_is_kept(
    mosquitto: StartMosquitto, protocol: Protocol, lengths: list[int]
) -> None:
    port = mosquitto().port
    async with connected(replace(OPTIONS, port=port), protocol) as reader:
        await reader.subscribe("coc/#")
        async with connected(replace(OPTIONS, port=port, client_id="writer")) as writer:
            # With MQTT 5 the first one does not even come.
            for length in (300_000, 200_000, 65_536, 0):
                await writer.publish("coc/x", b"x" * length)
        assert [len(message.payload) for message in await collect(reader, len(lengths))] == lengths
