"""In place of a session: notes what is published, and does what no broker can be made to do at a given moment."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson
from paho.mqtt.client import topic_matches_sub

from coc2mqtt.events.event import Event, EventType
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from coc2mqtt.journal.protocol import JournalEntry
    from coc2mqtt.mqtt.client.session import Message, Session

_PATIENCE = LONG_ENOUGH


@dataclass(frozen=True)
class Published:
    topic: str
    payload: bytes
    retain: bool
    correlation_data: bytes | None = None

    @property
    def data(self) -> Any:
        return orjson.loads(self.payload)


class RecordingSession:
    """Notes each message once it is acknowledged.

    ``before`` is awaited before that: it may wait, or raise what a session raises.
    """

    protocol = "5"
    max_packet_size = 268_435_455

    def __init__(self, before: Callable[[str, bytes], Awaitable[None]] | None = None) -> None:
        self._before = before
        self._arrived = asyncio.Condition()
        self.published: list[Published] = []
        self.subscribed: list[str] = []
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._early: list[Message] = []
        self.retained: list[Message] = []
        self._interceptors: list[Callable[[Message], bool]] = []

    @property
    def session(self) -> Session:
        return cast("Session", self)

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.published]

    def published_on(self, topic: str) -> list[Any]:
        """Return all that was published on a topic, None for each empty payload."""
        return [message.data if message.payload else None for message in self.published if message.topic == topic]

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation_data: bytes | None = None,
        replaceable: bool = False,  # noqa: ARG002 - as a session has it
    ) -> None:
        if self._before is not None:
            await self._before(topic, payload)
        async with self._arrived:
            self.published.append(Published(topic, payload, retain, correlation_data))
            self._arrived.notify_all()

    async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:  # noqa: ARG002
        self.subscribed.append(topic_filter)
        early, self._early = self._early, []
        for message in early:
            self.incoming.put_nowait(message)

    async def read_retained(self, topic_filter: str, take: Callable[[Message], None]) -> None:
        """Hand over what is ``retained`` under a filter."""
        for message in self.retained:
            if topic_matches_sub(topic_filter, message.topic):
                take(message)

    def add_interceptor(self, take: Callable[[Message], bool]) -> None:
        self._interceptors.append(take)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what came in, each message as soon as its topic is subscribed to."""
        while True:
            message = await self.incoming.get()
            if not any(topic_matches_sub(one, message.topic) for one in self.subscribed):
                self._early.append(message)
            elif not any(intercept(message) for intercept in self._interceptors):
                yield message

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until something that was published makes the condition true."""
        async with asyncio.timeout(_PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: bool(condition()))


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something that has no end of its own, and cancel it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def make_event(tag: str, number: int, event_type: EventType = EventType.CLAN_UPDATED) -> Event:
    return Event(event_type, tag, timestamp=1_800_000_000.0 + number, metadata={"number": number}, name="The Order")


def event_number(entry: JournalEntry | Published) -> int:
    metadata = entry.data["metadata"] if isinstance(entry, Published) else entry.record.metadata
    number: int = metadata["number"]
    return number
