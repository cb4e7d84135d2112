"""A TCP proxy between the bridge and the broker that fails as networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from enum import StrEnum
from typing import TYPE_CHECKING

from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

_HOST = "127.0.0.1"
_CHUNK = 64 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)


class Direction(StrEnum):
    TO_BROKER = "to the broker"
    TO_BRIDGE = "to the bridge"


BOTH = (Direction.TO_BROKER, Direction.TO_BRIDGE)


async def _at_once() -> None:
    return


@contextlib.asynccontextmanager
async def proxying(upstream: int, *, cleared: Callable[[], Awaitable[None]] = _at_once) -> AsyncIterator[Proxy]:
    """Run a proxy to a port of the loopback; it refuses connections until it is told to ``accept`` them.

    ``cleared`` is waited for before anything that came from the broker goes on to the bridge.
    """
    async with asyncio.TaskGroup() as group:
        proxy = Proxy(upstream, group, cleared)
        try:
            yield proxy
        finally:
            proxy.refuse()
            proxy.cut()


class Proxy:
    """Passes bytes on, until it is told otherwise."""

    def __init__(self, upstream: int, group: asyncio.TaskGroup, cleared: Callable[[], Awaitable[None]]) -> None:
        self.port = free_port()
        self._upstream = upstream
        self._group = group
        self._cleared = cleared
        self._server: asyncio.Server | None = None
        self._accepting = False
        self._turn = asyncio.Lock()
        self._links: set[_Link] = set()
        self._flowing = {direction: asyncio.Event() for direction in BOTH}
        self._halves: dict[Direction, tuple[float, asyncio.Event]] = {}
        self.resume()

    async def accept(self) -> None:
        """Let connections come about."""
        self._accepting = True
        async with self._turn:
            if self._server is None:
                self._server = await asyncio.start_server(self._connected, _HOST, self.port)
            if not self._accepting:
                self.refuse()

    def refuse(self) -> None:
        """Refuse new connections; those that there are stay."""
        self._accepting = False
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def cut(self) -> None:
        """Reset every connection on both sides (RST); what is on its way is gone."""
        for link in list(self._links):
            link.end(reset=True)

    def close(self) -> None:
        """Close every connection on both sides (FIN); what has not gone on yet is gone."""
        for link in list(self._links):
            link.end(reset=False)

    def stall(self, directions: Iterable[Direction]) -> None:
        """Pass nothing on in these directions, on no connection, old or new, until ``resume``."""
        for direction in directions:
            self._flowing[direction].clear()

    def resume(self) -> None:
        """Let the bytes flow again, those first that have been waiting."""
        for flowing in self._flowing.values():
            flowing.set()

    async def halve(self, direction: Direction, share: float) -> None:
        """Pass on a part of the next chunk in a direction, at least one byte, then cut; returns when that is done."""
        done = asyncio.Event()
        self._halves[direction] = share, done
        try:
            await done.wait()
        finally:
            self._halves.pop(direction, None)

    async def pass_on(self, direction: Direction, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        """Let a chunk go its way, in its time."""
        await self._flowing[direction].wait()
        if direction is Direction.TO_BRIDGE:
            await self._cleared()
        share, done = self._halves.pop(direction, (1.0, None))
        if not writer.is_closing():  # uvloop refuses to write into what was cut meanwhile
            writer.write(chunk[: max(1, int(len(chunk) * share))])
            await writer.drain()
        if done is not None:
            done.set()
            self.cut()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._group.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            await link.run(self._upstream)
        finally:
            self._links.discard(link)


class _Link:
    """One connection of the bridge, and the one to the broker that belongs to it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writers = [writer]
        self._over = asyncio.Event()
        self._reset = False

    async def run(self, upstream: int) -> None:
        """Pass bytes on until one of the two sides, or the proxy, ends the connection."""
        try:
            reader, writer = await asyncio.open_connection(_HOST, upstream)
        except OSError:
            self.end(reset=True)
            return
        if self._over.is_set():
            _end(writer, reset=self._reset)
            return
        self._writers.append(writer)
        async with asyncio.TaskGroup() as pumps:
            tasks = [
                pumps.create_task(self._pump(Direction.TO_BROKER, self._reader, writer)),
                pumps.create_task(self._pump(Direction.TO_BRIDGE, reader, self._writers[0])),
            ]
            await self._over.wait()
            for task in tasks:
                task.cancel()

    def end(self, *, reset: bool) -> None:
        """End both sides, unless that was done already."""
        if self._over.is_set():
            return
        for writer in self._writers:
            _end(writer, reset=reset)
        self._reset = reset
        self._over.set()

    async def _pump(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._proxy.pass_on(direction, chunk, writer)
        # Who has gone cannot be answered any more, and MQTT knows no connection that is half open.
        self.end(reset=False)


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset and not writer.transport.is_closing():
        # Without lingering, closing sends RST and not FIN.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        writer.transport.abort()
    else:
        writer.close()
