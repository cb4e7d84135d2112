"""The messages that came in and wait for their reader."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

_log = structlog.get_logger()

# Together they bound what a flood can take of the memory; topics and properties count as well, up to 64 KiB each.
_MESSAGES = 200
_BYTES = 4 * 1024 * 1024
# Commands refuse what is larger than 64 KiB; one byte more shows that it was. MQTT 3.1.1 has no way to tell the broker.
LONGEST_PAYLOAD = 64 * 1024 + 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message that came in. ``retain`` tells that it is older than the subscription; the last two are MQTT 5's.

    Of a payload of more than 64 KiB only so much is kept, and one byte.
    """

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None

    @property
    def size(self) -> int:
        """Roughly how many bytes it takes."""
        return len(self.topic) + len(self.payload) + len(self.response_topic or "") + len(self.correlation_data or b"")


class Inbox:
    """Keeps 200 messages, of 4 MiB in all, in order for one reader; those beyond are lost, which is logged once."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue(_MESSAGES)
        self._bytes = 0
        self._overflown = False

    def put(self, message: Message) -> None:
        """Keep a message, or lose it."""
        if self._messages.full() or self._bytes + message.size > _BYTES:
            if not self._overflown:
                _log.warning(
                    "messages come in faster than they are handled, so some are lost", topic=message.topic[:200]
                )
            self._overflown = True
            return
        self._bytes += message.size
        self._messages.put_nowait(message)

    async def get(self) -> Message:
        """Wait for the oldest message and take it."""
        message = await self._messages.get()
        self._bytes -= message.size
        return message
