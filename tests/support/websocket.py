"""The server side of a websocket, frame by frame (RFC 6455)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

BINARY, CLOSE, PING, PONG = 0x2, 0x8, 0x9, 0xA


@dataclass
class Websocket:
    """An upgraded connection; ``path`` is the requested path."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    path: str

    def send(self, payload: bytes, opcode: int = BINARY, *, last: bool = True) -> None:
        self.writer.write(frame(payload, opcode, last=last))

    async def receive(self) -> tuple[int, bytes]:
        """Return the opcode and the payload of the next frame, which must be masked and have less than 126 bytes."""
        kind, length = await self.reader.readexactly(2)
        assert length & 0x80, "a client must mask its frames"
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(length & 0x7F)
        return kind & 0xF, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def frame(payload: bytes, opcode: int = BINARY, *, last: bool = True) -> bytes:
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    return bytes([last << 7 | opcode]) + length + payload


def upgrading(
    serve: Callable[[Websocket], Awaitable[None]], accept: str = "Sec-WebSocket-Accept: "
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a connection handler that upgrades to a websocket and then calls ``serve``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers: dict[Any, str] = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        key = headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        digest = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324 - required by the RFC
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\n" + f"{accept}{digest}\r\n\r\n".encode()
        )
        await serve(Websocket(reader, writer, head.split()[1]))

    return handle
