"""The queue of requests that wait for execution, limited in number, size and rate."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.connection import Message

_log = structlog.get_logger()

# Enough for a script that adds a thousand watches at once.
_MAX_REQUESTS = 1000
_MAX_BYTES = 1024 * 1024
# Each request costs a write to disk. People and automations send a few per minute.
REQUESTS_PER_SECOND = 50.0


@dataclass(slots=True)
class RequestMetrics:
    """Counts dropped requests since the start."""

    dropped: int = 0


class RequestQueue:
    """The queue between one connection and the execution of its requests.

    It holds at most 1000 requests with a total of 1 MiB, and returns ``requests_per_second``. Further requests are
    dropped without a response, because responses to a flood would be a second flood. Drops are logged once per flood
    and counted in ``metrics``.
    """

    def __init__(self, metrics: RequestMetrics, *, requests_per_second: float = REQUESTS_PER_SECOND) -> None:
        self._metrics = metrics
        self._requests_per_second = requests_per_second
        self._queue: deque[Message] = deque()
        self._bytes = 0
        self._not_empty = asyncio.Event()
        self._next_at = 0.0
        self._overflowed = False

    def put(self, message: Message) -> None:
        """Add a request, or drop it if the queue is full."""
        if len(self._queue) >= _MAX_REQUESTS or self._bytes + message.size > _MAX_BYTES:
            self._metrics.dropped += 1
            if not self._overflowed:
                self._overflowed = True
                _log.warning(
                    "request queue is full, dropping requests",
                    topic=message.topic[:200],
                    hint="find the client that sends them, and send fewer",
                )
            return
        self._queue.append(message)
        self._bytes += message.size
        self._not_empty.set()

    async def get(self) -> Message:
        """Return the next request as soon as the rate limit allows; for a single reader."""
        while not self._queue:
            self._overflowed = False
            self._not_empty.clear()
            await self._not_empty.wait()
        now = asyncio.get_running_loop().time()
        if self._next_at > now:
            await asyncio.sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + 1 / self._requests_per_second
        message = self._queue.popleft()
        self._bytes -= message.size
        return message
