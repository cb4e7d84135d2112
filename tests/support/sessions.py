"""Sessions for tests, and the packets of fake brokers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from coc2mqtt.mqtt.client.session import open_session
from tests.support.broker import free_port
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, Transport
    from coc2mqtt.mqtt.client.session import Message, Session


# CONNACK packets that accept the connection, without properties.
CONNACK: dict[Protocol, bytes] = {"5": b"\x20\x03\x00\x00\x00", "3.1.1": b"\x20\x02\x00\x00"}

# The versions of MQTT, and websockets with one of them.
PROTOCOL_TRANSPORTS: list[tuple[Protocol, Transport]] = [("5", "tcp"), ("3.1.1", "tcp"), ("5", "websockets")]


def listener_lines(transport: Transport, *lines: str) -> tuple[str, ...]:
    """Return the configuration lines of a Mosquitto listener for a transport, including ``lines``."""
    if transport == "tcp":
        return lines
    # Mosquitto 2.0.11 does not start without a TCP listener.
    return "protocol websockets", *lines, f"listener {free_port()} 127.0.0.1"


@asynccontextmanager
async def unmonitored_session(options: ConnectionOptions, protocol: Protocol = "5") -> AsyncIterator[Session]:
    """Open a session for a test that calls ``monitor`` itself, and abort it at the exit."""
    session = await open_session(options, protocol)
    try:
        yield session
    finally:
        session.abort()


@asynccontextmanager
async def connected_session(options: ConnectionOptions, protocol: Protocol = "5") -> AsyncIterator[Session]:
    """Open a session and monitor it; abort it at the exit, without a DISCONNECT."""
    async with unmonitored_session(options, protocol) as session:
        monitoring = asyncio.create_task(session.monitor())
        try:
            yield session
        finally:
            monitoring.cancel()
            await asyncio.wait([monitoring])
            if not monitoring.cancelled():
                monitoring.exception()


async def collect(session: Session, count: int, *, within: float = LONG_ENOUGH) -> list[Message]:
    """Return the next ``count`` incoming messages; raise TimeoutError after ``within`` seconds."""
    async with asyncio.timeout(within):
        messages: list[Message] = []
        async for message in session.messages():
            messages.append(message)
            if len(messages) == count:
                break
        return messages


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read an MQTT packet of less than 128 bytes; return its first byte and its body."""
    kind, length = await reader.readexactly(2)
    return kind, await reader.readexactly(length)
