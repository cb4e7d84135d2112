"""The queue of incoming messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

_log = structlog.get_logger()

# Together they limit the memory that a flood can use; topics and properties count as well, up to 64 KiB each.
_MAX_MESSAGES = 200
_MAX_BYTES = 4 * 1024 * 1024
# Commands reject payloads above 64 KiB; the additional byte shows that one was longer. MQTT 3.1.1 cannot announce a
# limit to the broker.
MAX_PAYLOAD_BYTES = 64 * 1024 + 1


@dataclass(frozen=True, slots=True)
class Message:
    """An incoming message.

    A payload above 64 KiB is truncated to 64 KiB and one byte. ``retain`` is True for a retained message that is older
    than the subscription. ``response_topic`` and ``correlation_data`` exist in MQTT 5 only.
    """

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None

    @property
    def size(self) -> int:
        """The approximate memory in bytes."""
        return len(self.topic) + len(self.payload) + len(self.response_topic or "") + len(self.correlation_data or b"")


class Inbox:
    """A FIFO queue of at most 200 messages and 4 MiB for one reader; drops newer messages and logs that once."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue(_MAX_MESSAGES)
        self._bytes = 0
        self._has_overflowed = False

    def put(self, message: Message) -> None:
        """Queue a message, or drop it if the queue is full."""
        if self._messages.full() or self._bytes + message.size > _MAX_BYTES:
            if not self._has_overflowed:
                _log.warning("incoming messages dropped, queue is full", topic=message.topic[:200])
            self._has_overflowed = True
            return
        self._bytes += message.size
        self._messages.put_nowait(message)

    async def get(self) -> Message:
        """Wait for the oldest message and remove it from the queue."""
        message = await self._messages.get()
        self._bytes -= message.size
        return message
