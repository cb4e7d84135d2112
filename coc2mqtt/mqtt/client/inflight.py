"""The in-flight window: the messages that were sent and not acknowledged yet."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coc2mqtt.mqtt.client.errors import ConnectionLostError
    from coc2mqtt.mqtt.client.poison_messages import OutgoingMessage
    from coc2mqtt.mqtt.client.reason_codes import BrokerResponse

_MAX_INFLIGHT = 100


class InflightWindow:
    """Limits the messages in flight to the broker's Receive Maximum; each holds its slot until its PUBACK.

    ``blocked_since`` is the event loop's time when the oldest unacknowledged message became the next one that the
    broker has to acknowledge, or infinity if no message is in flight. A broker acknowledges in order (MQTT 5, section
    4.6).
    """

    def __init__(self) -> None:
        self.blocked_since = math.inf
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(_MAX_INFLIGHT)
        self._pending: dict[int, tuple[asyncio.Future[BrokerResponse], OutgoingMessage]] = {}
        # Held by an exclusive message until it is acknowledged, by others only while they acquire a slot.
        self._entry_lock = asyncio.Lock()
        self._empty = asyncio.Event()
        self._empty.set()

    def resize(self, receive_maximum: int) -> None:
        """Set the number of slots, at most 100; must be called before the first message."""
        self._slots = asyncio.Semaphore(min(_MAX_INFLIGHT, receive_maximum))

    async def acquire(self) -> None:
        """Wait for a slot."""
        async with self._entry_lock:
            await self._slots.acquire()

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Wait until no other message is in flight, acquire a slot, and keep other messages out until the exit."""
        async with self._entry_lock:
            await self._empty.wait()
            await self._slots.acquire()
            yield

    def release(self) -> None:
        """Release a slot for which nothing was sent."""
        self._slots.release()

    @property
    def in_flight(self) -> list[OutgoingMessage]:
        """The messages that were sent and not acknowledged, in order."""
        return [message for _, message in self._pending.values()]

    def add(self, packet_id: int, message: OutgoingMessage) -> asyncio.Future[BrokerResponse]:
        """Return a future for the response to the message that was just sent with this packet identifier.

        The slot is released only with the response, even if the future was cancelled: the broker still counts the
        message.
        """
        if not self._pending:
            self.blocked_since = self._loop.time()
            self._empty.clear()
        future: asyncio.Future[BrokerResponse] = self._loop.create_future()
        self._pending[packet_id] = future, message
        return future

    def on_puback(self, packet_id: int, response: BrokerResponse) -> None:
        """Complete a message with the broker's response; ignore an unknown packet identifier."""
        if packet_id not in self._pending:
            return
        if packet_id == next(iter(self._pending)):
            self.blocked_since = self._loop.time() if len(self._pending) > 1 else math.inf
        future, _ = self._pending.pop(packet_id)
        self._slots.release()
        if not self._pending:
            self._empty.set()
        if not future.done():
            future.set_result(response)

    def fail_all(self, error: ConnectionLostError) -> None:
        """Fail all messages in flight with an error."""
        while self._pending:
            _, (future, _) = self._pending.popitem()
            self._slots.release()
            if not future.done():
                future.set_exception(error)
        self._empty.set()
