from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from tests.chaos.proxy import Direction, Proxy, running_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_QUIET_S = 0.05


class Connections:
    """The bridge's and the broker's ends of a connection through a proxy."""

    def __init__(self, proxy: Proxy, bridge: Stream, broker: Stream) -> None:
        self.proxy = proxy
        self.bridge, self._to_broker = bridge
        self.broker, self._to_bridge = broker

    def send_to_broker(self, text: bytes) -> None:
        self._to_broker.write(text)

    def send_to_bridge(self, text: bytes) -> None:
        self._to_bridge.write(text)


@asynccontextmanager
async def connected(before_forward: asyncio.Event | None = None) -> AsyncIterator[Connections]:
    arrived: asyncio.Queue[Stream] = asyncio.Queue()
    server = await asyncio.start_server(lambda *stream: arrived.put_nowait(stream), "127.0.0.1", 0)
    through = asyncio.Event() if before_forward is None else before_forward
    if before_forward is None:
        through.set()

    async def wait() -> None:
        await through.wait()

    async with server, running_proxy(server.sockets[0].getsockname()[1], before_forward=wait) as proxy:
        await proxy.accept()
        bridge = await asyncio.open_connection("127.0.0.1", proxy.port)
        broker = await arrived.get()
        with closing(bridge[1]), closing(broker[1]):
            yield Connections(proxy, bridge, broker)


async def assert_nothing_arrives(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(_QUIET_S):
            await reader.read(1)


async def test_proxy_forwards_bytes_in_both_directions() -> None:
    async with connected() as connections:
        connections.send_to_broker(b"ping")
        assert await connections.broker.readexactly(4) == b"ping"
        connections.send_to_bridge(b"pong")
        assert await connections.bridge.readexactly(4) == b"pong"


async def test_cut_resets_both_sides() -> None:
    async with connected() as connections:
        connections.proxy.cut()
        for reader in (connections.bridge, connections.broker):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)


async def test_close_closes_both_sides_gracefully() -> None:
    async with connected() as connections:
        connections.proxy.close()
        assert await connections.bridge.read(1) == b""
        assert await connections.broker.read(1) == b""


async def test_close_by_one_side_closes_the_other() -> None:
    async with connected() as connections:
        connections.send_to_broker(b"bye")
        connections._to_broker.close()
        assert await connections.broker.read() == b"bye"


async def test_stall_delays_one_direction_until_resume() -> None:
    async with connected() as connections:
        connections.proxy.stall([Direction.TO_BRIDGE])
        connections.send_to_broker(b"ping")
        assert await connections.broker.readexactly(4) == b"ping"
        connections.send_to_bridge(b"pong")
        await assert_nothing_arrives(connections.bridge)
        connections.proxy.resume()
        assert await connections.bridge.readexactly(4) == b"pong"


async def test_cut_during_stall_drops_delayed_bytes() -> None:
    async with connected() as connections:
        connections.proxy.stall([Direction.TO_BROKER])
        connections.send_to_broker(b"ping")
        await assert_nothing_arrives(connections.broker)
        connections.proxy.cut()
        connections.proxy.resume()
        with pytest.raises(ConnectionResetError):
            await connections.broker.read(1)


async def test_cut_after_reset_during_stall_resets_other_side() -> None:
    async with connected() as connections:
        connections.proxy.stall([Direction.TO_BROKER])
        connections.send_to_broker(b"ping")
        await assert_nothing_arrives(connections.broker)
        without_lingering = struct.pack("ii", 1, 0)
        connections._to_broker.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, without_lingering
        )
        connections._to_broker.transport.abort()
        await assert_nothing_arrives(connections.broker)
        connections.proxy.cut()
        with pytest.raises(ConnectionResetError):
            await connections.broker.read(1)


async def test_truncated_chunk_is_followed_by_reset() -> None:
    async with connected() as connections:
        halving = asyncio.create_task(connections.proxy.truncate_next_chunk(Direction.TO_BROKER, 0.5))
        await asyncio.sleep(0)
        connections.send_to_broker(b"12345678")
        await halving
        received = await connections.broker.readexactly(4)
        assert received == b"1234"
        with pytest.raises(ConnectionResetError):
            await connections.broker.read(1)
        with pytest.raises(ConnectionResetError):
            await connections.bridge.read(1)


async def test_refuse_rejects_new_connections_and_keeps_existing() -> None:
    async with connected() as connections:
        connections.proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", connections.proxy.port)
        connections.send_to_broker(b"ping")
        assert await connections.broker.readexactly(4) == b"ping"


async def test_connection_to_missing_broker_is_reset() -> None:
    async with connected() as connections:
        async with running_proxy(1) as proxy:
            await proxy.accept()
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            with closing(writer), pytest.raises(ConnectionResetError):
                await reader.read(1)
        connections.send_to_broker(b"ping")
        assert await connections.broker.readexactly(4) == b"ping"


async def test_bytes_from_broker_wait_for_before_forward() -> None:
    before_forward = asyncio.Event()
    async with connected(before_forward) as connections:
        connections.send_to_bridge(b"ack")
        await assert_nothing_arrives(connections.bridge)
        before_forward.set()
        assert await connections.bridge.readexactly(3) == b"ack"
