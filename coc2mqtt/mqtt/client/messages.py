"""Messages: the checks of topics and of outgoing messages, and the queue of incoming messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError

_log = structlog.get_logger()

# The longest topic that a user may choose.
_MAX_TOPIC_CHARS = 200
# At most: 5 bytes of fixed header, 2 each for the topic's length and the packet identifier, 7 around the properties.
_PACKET_OVERHEAD_BYTES = 16
_MAX_TOPIC_BYTES = 0xFFFF

# Together they limit the memory that a flood can use; topics and properties count as well, up to 64 KiB each.
_MAX_INBOX_MESSAGES = 200
_MAX_INBOX_BYTES = 4 * 1024 * 1024


def check_topic(topic: str) -> None:
    """Raise ValueError unless the text is valid as a topic or the start of one; the message is for users."""
    if not topic:
        raise ValueError("is empty: use a topic such as 'coc'")
    if len(topic) > _MAX_TOPIC_CHARS:
        raise ValueError(f"must have at most {_MAX_TOPIC_CHARS} characters, got {len(topic)}")
    if any(character in topic for character in "+#\0") or not topic.isprintable():
        raise ValueError(f"must not contain '+', '#' or control characters, got {topic!r}")
    if topic.startswith("$") or "" in topic.split("/"):
        raise ValueError(
            f"must not start with '$' or contain an empty level, got {topic!r}: use a topic such as 'coc' or"
            " 'games/coc'"
        )


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Return whether a topic matches a filter whose only wildcards are ``+``."""
    filter_levels, levels = topic_filter.split("/"), topic.split("/")
    return len(filter_levels) == len(levels) and all(
        expected in ("+", level) for expected, level in zip(filter_levels, levels, strict=True)
    )


def check_message(topic: str, payload: bytes, correlation_data: bytes, *, max_packet_size: int) -> int:
    """Return the maximum size of the message's packet in bytes; raise an error for a message that must not be sent.

    paho raises ValueError for such a message, or a broker closes the whole connection (MQTT 5, section 4.7.3).
    Raises PublishDeniedError and MessageTooLargeError.
    """
    encoded = topic.encode()
    if not 0 < len(encoded) <= _MAX_TOPIC_BYTES or any(character in topic for character in "+#\0"):
        raise PublishDeniedError(f"cannot publish on {topic[:100]!r}: the topic is empty, too long, or a topic filter")
    size = len(encoded) + len(correlation_data) + len(payload) + _PACKET_OVERHEAD_BYTES
    if size > max_packet_size:
        error = MessageTooLargeError(
            f"a message of {size} bytes on {topic} exceeds the broker's limit of {max_packet_size} bytes:"
            " raise the broker's limit (Mosquitto: max_packet_size)"
        )
        error.exceeds_announced_limit = True
        raise error
    return size


@dataclass(frozen=True, slots=True)
class Message:
    """An incoming message.

    A payload above ``ConnectionOptions.max_payload`` bytes is truncated to this size and one byte. ``retain`` is True
    for a retained message that is older than the subscription. ``response_topic`` and ``correlation_data`` exist in
    MQTT 5 only.
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
        self._messages: asyncio.Queue[Message] = asyncio.Queue(_MAX_INBOX_MESSAGES)
        self._bytes = 0
        self._has_overflowed = False

    def put(self, message: Message) -> None:
        """Queue a message, or drop it if the queue is full."""
        if self._messages.full() or self._bytes + message.size > _MAX_INBOX_BYTES:
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
