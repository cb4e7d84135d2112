from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import ConnackTimeoutError, ConnectionLostError, NotMqttError, NoWebsocketError
from coc2mqtt.mqtt.client.options import ConnectionOptions, TlsOptions
from coc2mqtt.mqtt.client.session import Message, open_session
from tests.support.sessions import CONNACK, collect, connected_session, listener_lines
from tests.support.timeouts import LONG_ENOUGH
from tests.support.websocket import BINARY, CLOSE, PING, PONG, Websocket, frame, upgrading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.conftest import StartMosquitto

    Serve = Callable[[Any], Awaitable[int]]

pytestmark = [
    pytest.mark.usefixtures("no_stray_errors"),
    # paho does not close the socket of a failed handshake; the garbage collector does.
    pytest.mark.filterwarnings("ignore:unclosed <s.*socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]

OPTIONS = ConnectionOptions("127.0.0.1", 0, "bridge", timeout=LONG_ENOUGH, transport="websockets")


def publish(number: int) -> bytes:
    return b"\x30\x0a\x00\x03a/b\x00" + str(number).zfill(4).encode()


async def test_many_and_large_messages_arrive_over_websockets_with_tls(
    mosquitto: StartMosquitto, certificates: Path
) -> None:
    tls_lines = [f"{key}file {certificates / name}" for key, name in (("cert", "broker.crt"), ("key", "broker.key"))]
    port = mosquitto(*listener_lines("websockets", *tls_lines)).port
    options = replace(OPTIONS, host="localhost", port=port, tls=TlsOptions(certificates / "ca.crt"))
    async with connected_session(options) as reader:
        await reader.subscribe("coc/#")
        async with connected_session(replace(options, client_id="writer")) as writer, asyncio.TaskGroup() as group:
            reading = group.create_task(collect(reader, 302))
            group.create_task(writer.publish("coc/large", b"x" * 65_536))
            for number in range(300):
                group.create_task(writer.publish("coc/small", str(number).encode()))
            group.create_task(writer.publish("coc/large", b"y" * 65_536))
    first, *small, last = reading.result()
    assert [int(message.payload) for message in small] == list(range(300))
    assert (first.payload, last.payload) == (b"x" * 65_536, b"y" * 65_536)


@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
async def test_packets_split_across_frames_are_received(serve: Serve, bytewise: bool) -> None:
    async def serve_websocket(websocket: Websocket) -> None:
        assert websocket.path == "/some/where?a=b"
        await websocket.receive()
        large = b"\x30\xb1\x01\x00\x03a/b\x00" + b"x" * 171
        stream = b"".join(
            [
                frame(CONNACK["5"][:2]) + frame(CONNACK["5"][2:]),
                frame(publish(0) + publish(1) + publish(2)[:3], last=False),
                frame(b"between"[:0], PING),
                frame(publish(2)[3:5], 0, last=False) + frame(publish(2)[5:], 0),
                frame(large),
                frame(publish(3)),
            ]
        )
        for index in range(0, len(stream), 1 if bytewise else len(stream)):
            websocket.writer.write(stream[index : index + (1 if bytewise else len(stream))])
            await asyncio.sleep(0)
        await websocket.reader.read()

    options = replace(OPTIONS, port=await serve(upgrading(serve_websocket)), path="/some/where?a=b")
    async with connected_session(options) as session:
        numbers = [b"0000", b"0001", b"0002", b"x" * 171, b"0003"]
        assert await collect(session, 5) == [Message("a/b", payload) for payload in numbers]


async def test_websocket_ping_and_close_are_answered_with_masked_frames(serve: Serve) -> None:
    responses = list[tuple[int, bytes]]()

    async def serve_websocket(websocket: Websocket) -> None:
        await websocket.receive()
        websocket.send(CONNACK["5"])
        for opcode, payload in ((PING, b"are you there?"), (PING, b""), (CLOSE, b"\x03\xe9")):
            websocket.send(payload, opcode)
            responses.append(await websocket.receive())

    async with connected_session(replace(OPTIONS, port=await serve(upgrading(serve_websocket)))) as session:
        with pytest.raises(ConnectionLostError, match="was lost: check the broker"):
            await session.monitor()
    assert responses == [(PONG, b"are you there?"), (PONG, b""), (CLOSE, b"\x03\xe9")]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept:no\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \xff\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
    ids=["not found", "ok", "wrong key", "no space", "no text", "ssh", "closed"],
)
async def test_failed_websocket_upgrade_raises_no_websocket(serve: Serve, response: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)

    with pytest.raises(NoWebsocketError) as error:
        await open_session(replace(OPTIONS, port=await serve(handle), path="/wrong"), "5")
    assert str(error.value).endswith(
        "did not open a websocket at /wrong: check mqtt.path (often /mqtt or /), and that mqtt.port is the"
        " broker's websocket port, and mqtt.tls if that port requires TLS; or set mqtt.transport to tcp"
    )


async def test_transport_on_the_port_of_the_other_raises_an_error(mosquitto: StartMosquitto) -> None:
    with pytest.raises(NoWebsocketError, match=r"or set mqtt.transport to tcp"):
        await open_session(replace(OPTIONS, port=mosquitto().port), "5")
    port = mosquitto(*listener_lines("websockets")).port
    # Mosquitto 2.0 responds in HTTP, 2.1 closes the connection.
    http = "responds in HTTP: set mqtt.transport to websockets if it is a websocket port"
    closed = (
        "closed the connection without responding: .*, or set mqtt.transport to websockets if it is a websocket port"
    )
    with pytest.raises((NotMqttError, ConnackTimeoutError), match=f"{http}|{closed}"):
        await open_session(replace(OPTIONS, port=port, transport="tcp"), "5")


@pytest.mark.parametrize("response", [None, b"\x30\x06\x00\x02\xff\xfe\x00\x00"], ids=["closed", "invalid"])
async def test_websocket_without_mqtt_raises_connack_timeout(serve: Serve, response: bytes | None) -> None:
    async def serve_websocket(websocket: Websocket) -> None:
        assert (await websocket.receive())[0] == BINARY
        if response is not None:
            websocket.send(response)
            await websocket.reader.read()

    options = replace(OPTIONS, port=await serve(upgrading(serve_websocket)))
    async with asyncio.timeout(LONG_ENOUGH / 2):  # less than the timeout of the options
        with pytest.raises(ConnackTimeoutError, match=r"closed the connection without responding: check mqtt.path"):
            await open_session(options, "5")
