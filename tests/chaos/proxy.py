"""A TCP proxy between the bridge and the broker that fails in the ways networks do."""

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


async def _no_wait() -> None:
    return


@contextlib.asynccontextmanager
async def running_proxy(
    upstream: int, *, before_forward: Callable[[], Awaitable[None]] = _no_wait
) -> AsyncIterator[Proxy]:
    """Run a proxy to a port of the loopback interface; it refuses connections until ``accept`` is called.

    ``before_forward`` is awaited before bytes from the broker are forwarded to the bridge.
    """
    async with asyncio.TaskGroup() as group:
        proxy = Proxy(upstream, group, before_forward)
        try:
            yield proxy
        finally:
            proxy.refuse()
            proxy.cut()


class Proxy:
    """Forwards bytes in both directions, except during a fault."""

    def __init__(self, upstream: int, group: asyncio.TaskGroup, before_forward: Callable[[], Awaitable[None]]) -> None:
        self.port = free_port()
        self._upstream = upstream
        self._group = group
        self._before_forward = before_forward
        self._server: asyncio.Server | None = None
        self._accepting = False
        self._lock = asyncio.Lock()
        self._links: set[_Link] = set()
        self._flow_enabled = {direction: asyncio.Event() for direction in BOTH}
        self._truncations: dict[Direction, tuple[float, asyncio.Event]] = {}
        self.resume()

    async def accept(self) -> None:
        """Accept connections."""
        self._accepting = True
        async with self._lock:
            if self._server is None:
                self._server = await asyncio.start_server(self._connected, _HOST, self.port)
            if not self._accepting:
                self.refuse()

    def refuse(self) -> None:
        """Refuse new connections; existing ones stay open."""
        self._accepting = False
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def cut(self) -> None:
        """Reset every connection on both sides (RST); bytes in flight are lost."""
        for link in list(self._links):
            link.close(reset=True)

    def close(self) -> None:
        """Close every connection on both sides (FIN); bytes that were not forwarded are lost."""
        for link in list(self._links):
            link.close(reset=False)

    def stall(self, directions: Iterable[Direction]) -> None:
        """Forward nothing in these directions, on any existing or new connection, until ``resume``."""
        for direction in directions:
            self._flow_enabled[direction].clear()

    def resume(self) -> None:
        """Forward bytes again, the delayed ones first."""
        for flowing in self._flow_enabled.values():
            flowing.set()

    async def truncate_next_chunk(self, direction: Direction, fraction: float) -> None:
        """Forward a fraction of the next chunk in a direction, at least one byte, then cut; return after that."""
        done = asyncio.Event()
        self._truncations[direction] = fraction, done
        try:
            await done.wait()
        finally:
            self._truncations.pop(direction, None)

    async def forward(self, direction: Direction, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        """Forward a chunk, subject to the current faults."""
        await self._flow_enabled[direction].wait()
        if direction is Direction.TO_BRIDGE:
            await self._before_forward()
        fraction, done = self._truncations.pop(direction, (1.0, None))
        if not writer.is_closing():  # uvloop refuses to write to a closed connection
            writer.write(chunk[: max(1, int(len(chunk) * fraction))])
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
    """One connection of the bridge with its counterpart to the broker."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writers = [writer]
        self._closed = asyncio.Event()
        self._reset = False

    async def run(self, upstream: int) -> None:
        """Forward bytes until either side or the proxy closes the connection."""
        try:
            reader, writer = await asyncio.open_connection(_HOST, upstream)
        except OSError:
            self.close(reset=True)
            return
        if self._closed.is_set():
            _close_writer(writer, reset=self._reset)
            return
        self._writers.append(writer)
        async with asyncio.TaskGroup() as pumps:
            tasks = [
                pumps.create_task(self._pump(Direction.TO_BROKER, self._reader, writer)),
                pumps.create_task(self._pump(Direction.TO_BRIDGE, reader, self._writers[0])),
            ]
            await self._closed.wait()
            for task in tasks:
                task.cancel()

    def close(self, *, reset: bool) -> None:
        """Close both sides, unless they are closed already."""
        if self._closed.is_set():
            return
        for writer in self._writers:
            _close_writer(writer, reset=reset)
        self._reset = reset
        self._closed.set()

    async def _pump(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._proxy.forward(direction, chunk, writer)
        # MQTT does not use half-open connections.
        self.close(reset=False)


def _close_writer(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset and not writer.transport.is_closing():
        # With a linger time of 0, closing sends RST instead of FIN.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        writer.transport.abort()
    else:
        writer.close()
