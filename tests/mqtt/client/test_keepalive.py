from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import KeepaliveTimeoutError, PubackTimeoutError
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, Transport
from tests.support.sessions import CONNACK, connected_session, read_packet, unmonitored_session
from tests.support.websocket import Websocket, upgrading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = [pytest.mark.usefixtures("no_stray_errors"), pytest.mark.looptime]

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
OPTIONS = ConnectionOptions("127.0.0.1", 0, "bridge", timeout=60, keepalive=1)
PINGREQ, PINGRESP = 0xC0, b"\xd0\x00"


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("protocol", "transport", "messages"),
    [
        ("5", "tcp", []),
        ("3.1.1", "tcp", [b"x" * 100_000] * 200),  # more than all buffers in between can hold
        ("5", "websockets", [b"x"] * 200),
    ],
    ids=["idle", "publishing", "publishing over websockets"],
)
async def test_silent_broker_is_detected_within_the_keepalive(
    serve: Callable[[Any], Awaitable[int]], protocol: Protocol, transport: Transport, messages: list[bytes]
) -> None:
    done = asyncio.Event()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK[protocol])
        await done.wait()

    async def behind_websocket(websocket: Websocket) -> None:
        await websocket.receive()
        websocket.send(CONNACK[protocol])
        await done.wait()

    port = await serve(upgrading(behind_websocket) if transport == "websockets" else broker)
    async with unmonitored_session(replace(OPTIONS, port=port, transport=transport), protocol) as session:
        await asyncio.sleep(0.1)
        start = now()
        publishing = [session.publish("coc/x", payload) for payload in messages]
        errors = await asyncio.gather(session.monitor(), *publishing, return_exceptions=True)
        done.set()
        assert now() - start == pytest.approx(1.0, abs=0.05)
    assert {type(error) for error in errors} == {KeepaliveTimeoutError}
    assert str(errors[0]).endswith("has not responded for 1 s: check that it is healthy, and check the network")


async def test_idle_connection_is_kept_alive(serve: Callable[[Any], Awaitable[int]]) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        while True:
            # The standard lets a broker disconnect a client after 1.5 times its keepalive.
            async with asyncio.timeout(1.5):
                kind, _ = await read_packet(reader)
            assert kind == PINGREQ
            writer.write(PINGRESP)

    async with unmonitored_session(replace(OPTIONS, port=await serve(broker))) as session:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.monitor(), 60)


async def test_broker_that_keeps_sending_needs_no_pingresp(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        while True:  # Never a PINGRESP: it is queued behind everything else.
            writer.write(b"\x30\x05\x00\x01a\x00x")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with unmonitored_session(replace(OPTIONS, port=await serve(broker))) as session:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.monitor(), 10)


@pytest.mark.parametrize(("client_keepalive", "server_keepalive"), [(600, 1), (1, 600), (1, 0)])
async def test_shorter_of_client_and_server_keepalive_is_used(
    serve: Callable[[Any], Awaitable[int]], client_keepalive: int, server_keepalive: int
) -> None:
    pings: list[float] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, connect = await read_packet(reader)
        assert connect[8:10] == client_keepalive.to_bytes(2)  # after the protocol name, its version and the flags
        writer.write(b"\x20\x06\x00\x00\x03\x13" + server_keepalive.to_bytes(2))  # CONNACK, Server Keep Alive
        while True:
            kind, _ = await read_packet(reader)
            assert kind == PINGREQ
            pings.append(now() - start)

    async with unmonitored_session(replace(OPTIONS, port=await serve(broker), keepalive=client_keepalive)) as session:
        start = now()
        with pytest.raises(KeepaliveTimeoutError, match="has not responded for 1 s"):
            await asyncio.wait_for(session.monitor(), 5)
        assert now() - start == pytest.approx(1.0, abs=0.05)
    assert pings == [pytest.approx(0.5, abs=0.05)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_publish_that_is_never_acknowledged_closes_the_connection(
    serve: Callable[[Any], Awaitable[int]], protocol: Protocol
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK[protocol])
        acknowledged = 0
        while True:
            kind, body = await read_packet(reader)
            if kind == PINGREQ:
                writer.write(PINGRESP)
            elif acknowledged := acknowledged + 1:
                # All but the first one.
                writer.write(b"\x40\x02" + body[5:7] if acknowledged > 1 else b"")

    async def keep_publishing() -> None:
        while True:
            await session.publish("a/b", b"")
            await asyncio.sleep(0.05)

    async with unmonitored_session(replace(OPTIONS, port=await serve(broker)), protocol) as session:
        start = now()
        async with asyncio.timeout(5):
            errors = await asyncio.gather(
                session.publish("a/b", b""), keep_publishing(), session.monitor(), return_exceptions=True
            )
        assert now() - start == pytest.approx(1.0, abs=0.05)
    assert {type(error) for error in errors} == {PubackTimeoutError}
    assert "responds, but did not acknowledge a message within 1 s, so it is sent again" in str(errors[0])


async def test_wait_for_a_slot_or_earlier_messages_is_not_a_puback_timeout(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x02")  # CONNACK, Receive Maximum 2
        while True:
            kind, body = await read_packet(reader)
            if kind == PINGREQ:
                writer.write(PINGRESP)
            else:
                await asyncio.sleep(0.35)
                writer.write(b"\x40\x02" + body[5:7])

    async with connected_session(replace(OPTIONS, port=await serve(broker))) as session, asyncio.TaskGroup() as group:
        for _ in range(5):  # the last one is acknowledged after 1.75 seconds
            group.create_task(session.publish("a/b", b""))
