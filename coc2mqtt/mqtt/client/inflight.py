"""The messages that are on their way to the broker."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coc2mqtt.mqtt.client.acknowledgements import BrokerResponse
    from coc2mqtt.mqtt.client.errors import ConnectionLostError
    from coc2mqtt.mqtt.client.poison_messages import Outgoing

_SIZE = 100


class InflightWindow:
    """Lets no more messages be on their way at once than the broker receives; each holds its slot until its PUBACK.

    ``blocked_since`` is the event loop's time since when the oldest of them waits for no other than its own PUBACK:
    a broker acknowledges in order (MQTT 5, section 4.6), so what was sent before has passed. Infinity is never.
    """

    def __init__(self) -> None:
        self.blocked_since = math.inf
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(_SIZE)
        self._waiting: dict[int, tuple[asyncio.Future[BrokerResponse], Outgoing]] = {}
        # Held by a message that is sent alone until it is answered, by others only while they enter.
        self._door = asyncio.Lock()
        self._empty = asyncio.Event()
        self._empty.set()

    def resize(self, receive_maximum: int) -> None:
        """Let in no more than the broker receives, and never more than 100; before the first message."""
        self._slots = asyncio.Semaphore(min(_SIZE, receive_maximum))

    async def enter(self) -> None:
        """Wait for a slot."""
        async with self._door:
            await self._slots.acquire()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait for a slot and until nothing else is in flight, and let no other message enter in the meantime."""
        async with self._door:
            await self._empty.wait()
            await self._slots.acquire()
            yield

    def leave(self) -> None:
        """Give a slot back for which nothing was sent."""
        self._slots.release()

    @property
    def in_flight(self) -> list[Outgoing]:
        """The messages that were sent and not answered, in that order."""
        return [message for _, message in self._waiting.values()]

    def answer(self, packet_id: int, message: Outgoing) -> asyncio.Future[BrokerResponse]:
        """Return what will be the answer to the message that was just sent with this packet identifier.

        The slot is free again only with the answer, even where nobody waits for it any more: the broker still counts
        the message.
        """
        if not self._waiting:
            self.blocked_since = self._loop.time()
            self._empty.clear()
        future: asyncio.Future[BrokerResponse] = self._loop.create_future()
        self._waiting[packet_id] = future, message
        return future

    def acknowledged(self, packet_id: int, answer: BrokerResponse) -> None:
        """Take in the answer to a message."""
        if packet_id not in self._waiting:
            return
        if packet_id == next(iter(self._waiting)):
            self.blocked_since = self._loop.time() if len(self._waiting) > 1 else math.inf
        future, _ = self._waiting.pop(packet_id)
        self._slots.release()
        if not self._waiting:
            self._empty.set()
        if not future.done():
            future.set_result(answer)

    def break_off(self, lost: ConnectionLostError) -> None:
        """End all waiting, with an error."""
        while self._waiting:
            _, (future, _) = self._waiting.popitem()
            self._slots.release()
            if not future.done():
                future.set_exception(lost)
        self._empty.set()
