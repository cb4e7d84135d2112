from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from tests.chaos.proxy import Direction, Proxy, proxying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_A_WHILE = 0.05


class Lines:
    """A bridge's and a broker's end of a connection through a proxy."""

    def __init__(self, proxy: Proxy, bridge: Stream, broker: Stream) -> None:
        self.proxy = proxy
        self.bridge, self._to_broker = bridge
        self.broker, self._to_bridge = broker

    def say_to_broker(self, text: bytes) -> None:
        self._to_broker.write(text)

    def say_to_bridge(self, text: bytes) -> None:
        self._to_bridge.write(text)


@asynccontextmanager
async def connected(cleared: asyncio.Event | None = None) -> AsyncIterator[Lines]:
    arrived: asyncio.Queue[Stream] = asyncio.Queue()
    server = await asyncio.start_server(lambda *stream: arrived.put_nowait(stream), "127.0.0.1", 0)
    through = asyncio.Event() if cleared is None else cleared
    if cleared is None:
        through.set()

    async def wait() -> None:
        await through.wait()

    async with server, proxying(server.sockets[0].getsockname()[1], cleared=wait) as proxy:
        await proxy.accept()
        bridge = await asyncio.open_connection("127.0.0.1", proxy.port)
        broker = await arrived.get()
        with closing(bridge[1]), closing(broker[1]):
            yield Lines(proxy, bridge, broker)


async def nothing_comes(reader: asyncio.StreamReader) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(_A_WHILE):
            await reader.read(1)


async def test_bytes_go_both_ways() -> None:
    async with connected() as lines:
        lines.say_to_broker(b"ping")
        assert await lines.broker.readexactly(4) == b"ping"
        lines.say_to_bridge(b"pong")
        assert await lines.bridge.readexactly(4) == b"pong"


async def test_a_cut_resets_both_sides() -> None:
    async with connected() as lines:
        lines.proxy.cut()
        for reader in (lines.bridge, lines.broker):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)


async def test_a_close_ends_both_sides_in_order() -> None:
    async with connected() as lines:
        lines.proxy.close()
        assert await lines.bridge.read(1) == b""
        assert await lines.broker.read(1) == b""


async def test_who_leaves_is_gone_for_the_other_side_as_well() -> None:
    async with connected() as lines:
        lines.say_to_broker(b"bye")
        lines._to_broker.close()
        assert await lines.broker.read() == b"bye"


async def test_a_stall_holds_one_direction_up_until_it_is_over() -> None:
    async with connected() as lines:
        lines.proxy.stall([Direction.TO_BRIDGE])
        lines.say_to_broker(b"ping")
        assert await lines.broker.readexactly(4) == b"ping"
        lines.say_to_bridge(b"pong")
        await nothing_comes(lines.bridge)
        lines.proxy.resume()
        assert await lines.bridge.readexactly(4) == b"pong"


async def test_what_a_stall_held_up_is_gone_after_a_cut() -> None:
    async with connected() as lines:
        lines.proxy.stall([Direction.TO_BROKER])
        lines.say_to_broker(b"ping")
        await nothing_comes(lines.broker)
        lines.proxy.cut()
        lines.proxy.resume()
        with pytest.raises(ConnectionResetError):
            await lines.broker.read(1)


async def test_a_side_that_was_reset_during_a_stall_can_be_cut() -> None:
    async with connected() as lines:
        lines.proxy.stall([Direction.TO_BROKER])
        lines.say_to_broker(b"ping")
        await nothing_comes(lines.broker)
        without_lingering = struct.pack("ii", 1, 0)
        lines._to_broker.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, without_lingering)
        lines._to_broker.transport.abort()
        await nothing_comes(lines.broker)
        lines.proxy.cut()
        with pytest.raises(ConnectionResetError):
            await lines.broker.read(1)


async def test_half_a_packet_is_followed_by_a_reset() -> None:
    async with connected() as lines:
        halving = asyncio.create_task(lines.proxy.halve(Direction.TO_BROKER, 0.5))
        await asyncio.sleep(0)
        lines.say_to_broker(b"12345678")
        await halving
        received = await lines.broker.readexactly(4)
        assert received == b"1234"
        with pytest.raises(ConnectionResetError):
            await lines.broker.read(1)
        with pytest.raises(ConnectionResetError):
            await lines.bridge.read(1)


async def test_nobody_gets_in_while_connections_are_refused_and_who_is_in_stays() -> None:
    async with connected() as lines:
        lines.proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", lines.proxy.port)
        lines.say_to_broker(b"ping")
        assert await lines.broker.readexactly(4) == b"ping"


async def test_who_comes_to_a_broker_that_is_gone_is_reset() -> None:
    async with connected() as lines:
        async with proxying(1) as proxy:
            await proxy.accept()
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            with closing(writer), pytest.raises(ConnectionResetError):
                await reader.read(1)
        lines.say_to_broker(b"ping")
        assert await lines.broker.readexactly(4) == b"ping"


async def test_what_the_broker_says_waits_until_it_is_cleared() -> None:
    cleared = asyncio.Event()
    async with connected(cleared) as lines:
        lines.say_to_bridge(b"ack")
        await nothing_comes(lines.bridge)
        cleared.set()
        assert await lines.bridge.readexactly(3) == b"ack"
