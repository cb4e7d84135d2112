"""Requests that wait to be carried out: bounded in number, in size and in pace."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.connection import Message

_log = structlog.get_logger()

# Enough for a script that asks for a thousand watches in one go.
_MOST = 1000
_MOST_BYTES = 1024 * 1024
# Each request costs the disk a write; people and automations ask for a few a minute (requests a second).
PACE = 50.0


@dataclass(slots=True)
class RequestMetrics:
    """Counters since the start: requests that were left out because too many came."""

    dropped: int = 0


class RequestQueue:
    """Holds back whoever asks too fast: at most 1000 requests of 1 MiB in all wait, and ``pace`` a second come out.

    What comes in beyond that is left out without an answer, because answers to a flood are another flood; that is
    logged once and counted in ``figures``. One queue serves one connection.
    """

    def __init__(self, figures: RequestMetrics, *, pace: float = PACE) -> None:
        self._figures = figures
        self._pace = pace
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._next_at = 0.0
        self._overflown = False

    def put(self, message: Message) -> None:
        """Take in a request, or leave it out where too much waits already."""
        if len(self._waiting) >= _MOST or self._bytes + message.size > _MOST_BYTES:
            self._figures.dropped += 1
            if not self._overflown:
                self._overflown = True
                _log.warning(
                    "requests come in faster than they can be carried out, so some are left out: see who sends them",
                    topic=message.topic[:200],
                )
            return
        self._waiting.append(message)
        self._bytes += message.size
        self._arrived.set()

    async def get(self) -> Message:
        """Return the next request as soon as the pace allows; for one reader."""
        while not self._waiting:
            self._overflown = False
            self._arrived.clear()
            await self._arrived.wait()
        now = asyncio.get_running_loop().time()
        if self._next_at > now:
            await asyncio.sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + 1 / self._pace
        message = self._waiting.popleft()
        self._bytes -= message.size
        return message
