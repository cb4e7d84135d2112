from __future__ import annotations

import asyncio
import random
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import (
    BrokerShutdownError,
    ConnectionLostError,
    ProtocolViolationError,
    SessionTakenOverError,
)
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, Transport
from tests.support.sessions import (
    CONNACK,
    PROTOCOL_TRANSPORTS,
    connected_session,
    listener_lines,
    read_packet,
    unmonitored_session,
)
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.session import Message
    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
OPTIONS = ConnectionOptions("127.0.0.1", 0, "reader", timeout=LONG_ENOUGH)


@pytest.mark.parametrize(("protocol", "transport"), PROTOCOL_TRANSPORTS)
async def test_killed_broker_fails_all_pending_calls_at_once(
    mosquitto: StartMosquitto, protocol: Protocol, transport: Transport
) -> None:
    broker = mosquitto(*listener_lines(transport))
    async with connected_session(replace(OPTIONS, port=broker.port, transport=transport), protocol) as session:
        broker.pause()
        pending = [asyncio.create_task(session.publish("coc/x", b"")) for _ in range(300)]
        await asyncio.sleep(0)
        broker.kill()
        async with asyncio.timeout(LONG_ENOUGH):
            errors = await asyncio.gather(*pending, session.monitor(), return_exceptions=True)
        assert {type(error) for error in errors} == {ConnectionLostError}
        for call in (session.publish("coc/x", b""), session.subscribe("coc/x"), session.monitor()):
            with pytest.raises(ConnectionLostError, match="the connection to the broker at"):
                await call


@pytest.mark.parametrize(("protocol", "transport"), PROTOCOL_TRANSPORTS)
async def test_takeover_reported_or_not_names_the_client_id(
    mosquitto: StartMosquitto, protocol: Protocol, transport: Transport
) -> None:
    options = replace(
        OPTIONS, port=mosquitto(*listener_lines(transport)).port, client_id="coc2mqtt_home", transport=transport
    )
    async with connected_session(options, protocol) as session, connected_session(options, protocol):
        with pytest.raises(ConnectionLostError, match="the client ID 'coc2mqtt_home'"):
            await session.monitor()


DISCONNECTS: list[tuple[int, type[ConnectionLostError], str]] = [
    (0x00, ConnectionLostError, r"closed the connection \(normal disconnection\): check its log"),
    (0x80, ConnectionLostError, r"closed the connection \(unspecified error\): check its log"),
    (0x87, ConnectionLostError, "no longer authorizes this client: check its permissions on the broker"),
    (0x89, ConnectionLostError, "is too busy and closed the connection: check its load"),
    (0x8B, BrokerShutdownError, "is shutting down: start it again if it does not restart by itself"),
    (0x8D, ConnectionLostError, "received nothing from this client for too long: check the network and the load of"),
    (0x8E, SessionTakenOverError, "with the client ID 'reader': stop it, or give each bridge its own instance"),
    (0x95, ConnectionLostError, "over a message that is too large: raise the broker's limit"),
    (0x96, ConnectionLostError, "because the message rate is too high: raise the broker's limit"),
    (0x97, ConnectionLostError, "because this client exceeded its quota: raise the broker's limit"),
    (0x98, ConnectionLostError, "an administrator of the broker at .* closed the connection: ask for the reason"),
    (0x9A, ConnectionLostError, "does not support retained messages, which coc2mqtt needs: enable them"),
    (0x9B, ConnectionLostError, "does not support QoS 1, which coc2mqtt needs to lose no messages: enable it"),
    (
        0x9C,
        ConnectionLostError,
        r"asks clients to use another server temporarily \('spare'\): set mqtt.host and mqtt.port",
    ),
    (0x9D, ConnectionLostError, r"has moved \('spare'\): set mqtt.host and mqtt.port"),
    (0x9F, ConnectionLostError, "receives too many connections: check which clients keep reconnecting, or raise"),
    (0xA0, ConnectionLostError, "limits the duration of connections: raise the broker's limit if that is a problem"),
]


@pytest.mark.parametrize(("code", "kind", "sentence"), DISCONNECTS)
async def test_disconnect_with_reason_code_raises_an_error_with_a_remedy(
    serve: Callable[[Any], Awaitable[int]], code: int, kind: type[ConnectionLostError], sentence: str
) -> None:
    server_reference = b"\x1c\x00\x05spare" if code in {0x9C, 0x9D} else b""

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        await read_packet(reader)
        body = bytes([code, len(server_reference)]) + server_reference
        writer.write(bytes([0xE0, len(body)]) + body)

    async with connected_session(replace(OPTIONS, port=await serve(broker))) as session:
        with pytest.raises(kind, match=sentence) as lost:
            await session.publish("a/b", b"")
        with pytest.raises(kind, match=sentence):
            await session.monitor()
    assert type(lost.value) is kind


async def test_exception_in_a_callback_is_not_reported_as_invalid_mqtt(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["3.1.1"])
        await read_packet(reader)
        writer.write(b"\x30\x05\x00\x03a/b")
        await reader.read()

    loop, reported = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def buggy(_: Message) -> bool:
        raise KeyError("a bug")

    async with unmonitored_session(replace(OPTIONS, port=await serve(broker)), "3.1.1") as session:
        session.add_interceptor(buggy)
        with pytest.raises(ConnectionLostError, match="because of an internal error") as lost:
            await session.publish("a/b", b"")
    assert (type(lost.value), lost.value.caused_by_message) == (ConnectionLostError, False)
    (context,) = reported
    assert isinstance(context["exception"], KeyError)


CONNECTION_LOST = ConnectionLostError, "was lost: check the broker and the network, and that no other client uses"
INVALID_MQTT = ProtocolViolationError, "sent invalid MQTT: check its log, and anything in between such as a proxy"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("data", "reset", "expected"),
    [
        (b"", False, CONNECTION_LOST),
        (b"", True, CONNECTION_LOST),
        (b"\x30\x20\x00\x03a/b", False, CONNECTION_LOST),
        (b"\x30", True, CONNECTION_LOST),
        (b"\xff\x00", False, INVALID_MQTT),
        (b"HTTP/1.1 502 Bad Gateway\r\n" + b"\r\n" * 50, False, INVALID_MQTT),
        (b"\x30\x80\x80\x80\x80\x80", False, INVALID_MQTT),
        (b"\x30\x02\x00\x09", False, INVALID_MQTT),
        (b"\x30\x06\x00\x02\xff\xfe\x00\x00", False, INVALID_MQTT),
        (b"\x20\x03\x00\x00\x00", False, INVALID_MQTT),
    ],
    ids=["fin", "rst", "half fin", "half rst", "type", "http", "length", "topic length", "topic text", "connack"],
)
async def test_closed_or_invalid_connection_fails_all_pending_calls(
    serve: Callable[[Any], Awaitable[int]],
    protocol: Protocol,
    data: bytes,
    reset: bool,
    expected: tuple[type[ConnectionLostError], str],
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK[protocol])
        await read_packet(reader)
        writer.write(data)
        await writer.drain()
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with unmonitored_session(replace(OPTIONS, port=await serve(broker)), protocol) as session:
        async with asyncio.timeout(LONG_ENOUGH):
            errors = await asyncio.gather(
                session.monitor(), *(session.publish("a/b", b"") for _ in range(150)), return_exceptions=True
            )
        assert {type(error) for error in errors} == {expected[0]}
        assert expected[1] in str(errors[0])
        with pytest.raises(expected[0]):
            await session.subscribe("a/#")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_random_data_from_the_broker_only_loses_the_connection(
    serve: Callable[[Any], Awaitable[int]], protocol: Protocol
) -> None:
    rng = random.Random(protocol)

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK[protocol])
        for _ in range(3):
            body = rng.randbytes(rng.randrange(12))
            writer.write(bytes([rng.randrange(256), len(body)]) + body)

    options = replace(OPTIONS, port=await serve(broker))
    for _ in range(100):
        async with asyncio.timeout(LONG_ENOUGH), unmonitored_session(options, protocol) as session:
            with pytest.raises(ConnectionLostError):
                await session.monitor()
