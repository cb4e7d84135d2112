"""A fake session that records published messages, and can fail or wait at a given moment as no real broker can."""

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
    """A fake session that records each published message once it is acknowledged.

    ``before`` is awaited before that; it may wait, or raise an error of a session.
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
        """Return the payloads published on a topic, decoded from JSON; None for each empty payload."""
        return [message.data if message.payload else None for message in self.published if message.topic == topic]

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation_data: bytes | None = None,
        replaceable: bool = False,  # noqa: ARG002 - the session's signature
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

    async def read_retained(self, topic_filter: str, on_message: Callable[[Message], None]) -> None:
        """Call ``on_message`` with each message of ``retained`` that matches the filter."""
        for message in self.retained:
            if topic_matches_sub(topic_filter, message.topic):
                on_message(message)

    def add_interceptor(self, on_message: Callable[[Message], bool]) -> None:
        self._interceptors.append(on_message)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield the messages of ``incoming``, each as soon as its topic is subscribed to."""
        while True:
            message = await self.incoming.get()
            if not any(topic_matches_sub(topic_filter, message.topic) for topic_filter in self.subscribed):
                self._early.append(message)
            elif not any(intercept(message) for intercept in self._interceptors):
                yield message

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition is true, checking it after each published message."""
        async with asyncio.timeout(LONG_ENOUGH), self._arrived:
            await self._arrived.wait_for(lambda: bool(condition()))


def at_first(topic: str, action: Callable[[], Awaitable[None]]) -> Callable[[str, bytes], Awaitable[None]]:
    """Return a ``before`` that awaits ``action`` when a message is first published on a topic."""
    done = False

    async def before(published: str, _payload: bytes) -> None:
        nonlocal done
        if published == topic and not done:
            done = True
            await action()

    return before


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine that does not return, and cancel it at the exit."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert task.cancelled()


def make_event(tag: str, number: int, event_type: EventType = EventType.CLAN_UPDATED) -> Event:
    return Event(event_type, tag, timestamp=1_800_000_000.0 + number, metadata={"number": number}, name="The Order")


def event_number(entry: JournalEntry | Published) -> int:
    metadata = entry.data["metadata"] if isinstance(entry, Published) else entry.record.metadata
    number: int = metadata["number"]
    return number
