"""From a request message to its response message: queueing, execution and the choice of the response topic."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeferredError, PublishDeniedError
from coc2mqtt.mqtt.client.messages import check_topic
from coc2mqtt.mqtt.payloads.models import ResponsePayload
from coc2mqtt.util.containment import propagate
from coc2mqtt.util.tasks import reject_stray_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from typing import Never

    from coc2mqtt.mqtt.client.connection import Message, Session
    from coc2mqtt.mqtt.client.errors import MqttError
    from coc2mqtt.mqtt.control.dispatcher import CommandDispatcher
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Enough for a script that adds a thousand watches at once. These limits apply to the queue, and again to the requests
# that wait for the API.
_MAX_REQUESTS = 1000
_MAX_BYTES = 1024 * 1024
# Each request costs a write to disk. People and automations send a few per minute.
REQUESTS_PER_SECOND = 50.0
# The part of a response packet that is not the payload, mostly the topic.
_PACKET_OVERHEAD_BYTES = 1024
_MAX_LOGGED_TOPICS = 10


@dataclass(slots=True)
class RequestMetrics:
    """Counts dropped requests since the start."""

    dropped: int = 0


class RequestRate:
    """Spaces the executions of requests evenly; a pause earns no burst."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next_at = 0.0

    async def wait(self) -> None:
        """Wait until the next request may be executed; callers are served in order."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_at)
        self._next_at = at + self._interval
        if at > now:
            await asyncio.sleep(at - now)

    def give_back(self) -> None:
        """Let another request be executed instead of the last one."""
        self._next_at -= self._interval


class RequestSlots:
    """Limits the requests that are executed at the same time, nearly all of which wait for the API."""

    def __init__(self) -> None:
        self._count = 0
        self._bytes = 0
        self._is_free = asyncio.Event()
        self._is_free.set()

    async def wait_free(self) -> None:
        """Wait until there are fewer than 1000 requests with a total below 1 MiB."""
        await self._is_free.wait()

    @contextmanager
    def hold(self, message: Message) -> Iterator[None]:
        """Count a request while it is executed."""
        self._add(1, message.size)
        try:
            yield
        finally:
            self._add(-1, -message.size)

    def _add(self, count: int, size: int) -> None:
        self._count += count
        self._bytes += size
        if self._count < _MAX_REQUESTS and self._bytes < _MAX_BYTES:
            self._is_free.set()
        else:
            self._is_free.clear()


class RequestQueue:
    """The queue between one connection and the execution of its requests.

    It holds at most 1000 requests with a total of 1 MiB, and returns them at ``rate``, ``requests_per_second``. Further
    requests are dropped without a response, because responses to a flood would be a second flood. Drops are logged once
    per flood and counted in ``metrics``.
    """

    def __init__(self, metrics: RequestMetrics, *, requests_per_second: float = REQUESTS_PER_SECOND) -> None:
        self.rate = RequestRate(requests_per_second)
        # A rate of its own: hundreds of successful lookups must not delay the requests in the queue.
        self.rate_after_lookups = RequestRate(requests_per_second)
        self._metrics = metrics
        self._queue: deque[Message] = deque()
        self._bytes = 0
        self._not_empty = asyncio.Event()
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
        await self.rate.wait()
        message = self._queue.popleft()
        self._bytes -= message.size
        return message


class RequestHandler:
    """Executes the requests that arrive over one connection after another, and publishes their responses.

    A response goes to the request's response topic if it has an allowed one, else to the command's default topic. The
    ``reserved`` prefixes are never allowed as response topics. ``contain`` guards each request: after a bug, it is
    skipped. ``metrics`` can be those of an earlier handler.
    """

    def __init__(
        self,
        topics: Topics,
        dispatcher: CommandDispatcher,
        *,
        reserved: Sequence[str] = (),
        requests_per_second: float = REQUESTS_PER_SECOND,
        contain: Contain = propagate,
        metrics: RequestMetrics | None = None,
    ) -> None:
        self._topics = topics
        self._dispatcher = dispatcher
        self._reserved = (f"{topics.base}/", *reserved)
        self._requests_per_second = requests_per_second
        self._contain = contain
        self.metrics = metrics or RequestMetrics()
        self._logged_topics: set[str] = set()
        self._queue = self._new_queue()

    @property
    def topic_filter(self) -> str:
        """The filter of the topics of all requests."""
        return self._topics.requests

    def on_connected(self, session: Session) -> None:
        """Queue the requests of a new connection; those that are left of the last one are dropped."""
        self._queue = queue = self._new_queue()

        def on_message(message: Message) -> bool:
            is_request = message.topic.startswith(self._topics.request(""))
            if is_request:
                queue.put(message)
            return is_request

        session.add_interceptor(on_message)

    async def run(self, session: Session) -> Never:
        """Respond to requests until cancelled, one after another, without waiting for those that wait for the API."""
        slots = RequestSlots()
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.wait_free()
                message = await self._queue.get()
                may_continue = asyncio.Event()
                group.create_task(self._respond_contained(session, message, may_continue, slots))
                await may_continue.wait()

    def _new_queue(self) -> RequestQueue:
        return RequestQueue(self.metrics, requests_per_second=self._requests_per_second)

    async def _respond_contained(
        self, session: Session, message: Message, may_continue: asyncio.Event, slots: RequestSlots
    ) -> None:
        try:
            with (
                slots.hold(message),
                reject_stray_cancellation("request"),
                self._contain("request", topic=message.topic),
            ):
                await self._respond(session, message, may_continue)
        finally:
            may_continue.set()

    @asynccontextmanager
    async def _during_lookup(self, queue: RequestQueue, may_continue: asyncio.Event) -> AsyncIterator[None]:
        """Execute other requests in place of one that is looked up."""
        queue.rate.give_back()
        may_continue.set()
        yield
        await queue.rate_after_lookups.wait()

    async def _respond(self, session: Session, message: Message, may_continue: asyncio.Event) -> None:
        command = self._topics.parse_command(message.topic)
        response = await self._dispatcher.execute(
            command,
            message.payload,
            retained=message.retain,
            max_response_bytes=session.max_packet_size - _PACKET_OVERHEAD_BYTES - len(message.correlation_data or b""),
            on_wait=may_continue.set,
            during_lookup=partial(self._during_lookup, self._queue, may_continue),
        )
        requested, default = message.response_topic, self._topics.response(command or "unknown")
        for topic in [requested, default] if requested is not None and self._is_allowed(requested) else [default]:
            try:
                await _publish(session, topic, response, message.correlation_data)
            except (PublishDeniedError, PublishDeferredError, MessageTooLargeError) as error:
                self._log_rejected(topic, error)
            else:
                return

    def _is_allowed(self, topic: str) -> bool:
        """Return whether a response on this topic cannot be mistaken for an event, a state or a device."""
        try:
            check_topic(topic)
        except ValueError:
            return False
        return topic.startswith(self._topics.response("")) or not topic.startswith(self._reserved)

    def _log_rejected(self, topic: str, error: MqttError) -> None:
        """Log a rejected response once per topic: the requester chooses the topic and can repeat the request."""
        if topic not in self._logged_topics and len(self._logged_topics) < _MAX_LOGGED_TOPICS:
            self._logged_topics.add(topic)
            _log.error("broker rejected a response", topic=topic, reason=str(error))


async def _publish(session: Session, topic: str, response: ResponsePayload, correlation_data: bytes | None) -> None:
    """Publish a response, or an error in its place if it is too large."""
    try:
        await session.publish(topic, response.encode(), correlation_data=correlation_data, replaceable=True)
    except MessageTooLargeError as error:
        replacement = ResponsePayload(
            status="error",
            data={},
            error=f"the request was executed, but the response is too large: {error}",
            transaction=response.transaction,
        )
        await session.publish(topic, replacement.encode(), correlation_data=correlation_data, replaceable=True)
