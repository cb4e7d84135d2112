"""Delivery of events from the journal to the broker: each event at least once, in order for each tag."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from coc2mqtt.mqtt.payloads.models import EventPayload
from coc2mqtt.mqtt.publish.new_devices import EventHold
from coc2mqtt.mqtt.publish.sharded_queue import ShardedQueue
from coc2mqtt.util.containment import propagate
from coc2mqtt.util.tasks import run_until_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from coc2mqtt.journal.protocol import Journal, JournalEntry
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.publish.new_devices import NewDevices
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Events in flight: enough that the round trip to the broker does not limit the throughput.
_SHARDS = 12
_MAX_QUEUED_PER_SHARD = 16
_BATCH_SIZE = 200

_EVENTS_REJECTED = "broker rejected events on this topic; skipping them"
_EVENTS_REJECTED_HINT = "after fixing the cause, send the 'replay' command to get the skipped events"
_EVENT_SKIPPED = "event cannot be encoded; skipping it"
_EVENT_SKIPPED_HINT = "please report the internal error that was logged for it"


@dataclass(slots=True)
class DeliveryMetrics:
    """Counters since the program started.

    ``published`` counts the events that the broker acknowledged, ``denied`` those that it rejected, ``resent`` those
    that were published again with the same ``id`` because the connection was lost before the PUBACK, and ``skipped``
    those that a bug kept from being encoded.
    """

    published: int = 0
    denied: int = 0
    resent: int = 0
    skipped: int = 0


class EventDelivery:
    """Publishes the pending events of the journal and acknowledges each one there after its PUBACK.

    ``on_published`` is called with the topic and the payload of each event after its PUBACK. ``last_event`` is the last
    event that was acknowledged or rejected, including by an earlier run of the program; None if there was none.
    The events of ``new_devices`` wait until these are ready. ``contain`` guards the encoding of each event: one that
    cannot be encoded because of a bug is skipped. ``metrics`` can be those of an earlier delivery.
    """

    def __init__(
        self,
        journal: Journal,
        topics: Topics,
        *,
        publisher: RetryingPublisher | None = None,
        on_published: Callable[[str, bytes], None] = lambda *_: None,
        new_devices: NewDevices | None = None,
        contain: Contain = propagate,
        metrics: DeliveryMetrics | None = None,
    ) -> None:
        self._journal = journal
        self._topics = topics
        self._on_published = on_published
        self._new_devices = new_devices
        self._publisher = publisher or RetryingPublisher()
        self._contain = contain
        self._logged_topics: set[str] = set()
        self._skipped: set[tuple[str, str]] = set()
        # Published, but no PUBACK yet: at most one per shard.
        self._unacknowledged: set[int] = set()
        # Acknowledged by the broker, but not yet stored as such in the journal.
        self._unstored_acks: set[int] = set()
        self._acks_stored = asyncio.Event()
        self.metrics = metrics or DeliveryMetrics()
        self.last_event: JournalEntry | None = None

    async def load_last_event(self) -> None:
        """Load the last event of an earlier run from the journal."""
        self.last_event = await self._journal.last_delivered()

    async def flush_acks(self) -> None:
        """Wait until every PUBACK received so far is stored in the journal, or its event is to be published again."""
        waiting_for = set(self._unstored_acks)
        while waiting_for & self._unstored_acks:
            await self._acks_stored.wait()

    async def run(self, session: Session) -> None:
        """Deliver over one connection until it is lost or this is cancelled.

        Events whose acknowledgement was not stored are published again over the next connection, with the same ``id``.
        """
        # Unbounded, but never larger than the journal. A worker that waited here could be cancelled and lose a PUBACK.
        acknowledged: asyncio.Queue[int] = asyncio.Queue()
        queue: ShardedQueue[JournalEntry] = ShardedQueue(
            _SHARDS, tag_of=lambda entry: entry.record.tag, max_per_shard=_MAX_QUEUED_PER_SHARD
        )
        deliver = partial(self._deliver, session, acknowledged)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(run_until_cancelled("delivery queue", partial(queue.run, deliver)))
                group.create_task(run_until_cancelled("acknowledging", partial(self._store_acks, acknowledged)))
                put: Callable[[JournalEntry], Awaitable[None]] = queue.put
                if self._new_devices is not None:
                    put = EventHold(self._new_devices, put=queue.put, group=group).put
                await self._queue_pending(put)
        finally:
            # A lost connection stops the workers, but the PUBACKs that they received still count.
            try:
                await self._acknowledge(_drain(acknowledged))
            finally:
                # Events that could not be acknowledged even now are published again; nothing has to wait for them.
                self._mark_stored(set(self._unstored_acks))

    async def _queue_pending(self, put: Callable[[JournalEntry], Awaitable[None]]) -> None:
        seq = 0
        while True:
            await self._journal.wait_pending(seq)
            for entry in await self._journal.pending(after=seq, limit=_BATCH_SIZE):
                seq = entry.seq
                await put(entry)

    async def _deliver(self, session: Session, acknowledged: asyncio.Queue[int], entry: JournalEntry) -> None:
        message = self._encode(entry)
        if message is None:
            self._skip(entry, acknowledged)
            return
        topic, payload = message
        if entry.seq in self._unacknowledged:
            self.metrics.resent += 1
        self._unacknowledged.add(entry.seq)
        try:
            await self._publisher.publish(session, topic, payload)
        except (PublishDeniedError, MessageTooLargeError) as error:
            # The broker would reject it every time: it must not block the events after it.
            self.metrics.denied += 1
            if topic not in self._logged_topics:  # log once per topic; the metrics count the rest
                self._logged_topics.add(topic)
                _log.error(_EVENTS_REJECTED, topic=topic, id=entry.id, reason=str(error), hint=_EVENTS_REJECTED_HINT)
        else:
            self.metrics.published += 1
            self._on_published(topic, payload)
        self._unacknowledged.discard(entry.seq)
        if self.last_event is None or entry.seq > self.last_event.seq:
            self.last_event = entry
        self._unstored_acks.add(entry.seq)
        acknowledged.put_nowait(entry.seq)

    def _encode(self, entry: JournalEntry) -> tuple[str, bytes] | None:
        """Return the topic and the payload of an event, None if a bug keeps it from being encoded."""
        record = entry.record
        with self._contain("event", id=entry.id, seq=entry.seq, tag=record.tag, event_type=record.event_type):
            return self._topics.event(entry.kind, record.tag, record.event_type), EventPayload.of(entry).encode()
        return None

    def _skip(self, entry: JournalEntry, acknowledged: asyncio.Queue[int]) -> None:
        """Acknowledge an event that cannot be published; otherwise it would block its tag."""
        self.metrics.skipped += 1
        key = entry.record.tag, entry.record.event_type
        if key not in self._skipped:  # log once per tag and type; the metrics count the rest
            self._skipped.add(key)
            _log.error(
                _EVENT_SKIPPED,
                id=entry.id,
                seq=entry.seq,
                tag=key[0],
                event_type=key[1],
                hint=_EVENT_SKIPPED_HINT,
            )
        self._unstored_acks.add(entry.seq)
        acknowledged.put_nowait(entry.seq)

    async def _store_acks(self, acknowledged: asyncio.Queue[int]) -> None:
        while True:
            first = await acknowledged.get()
            seqs = [first, *_drain(acknowledged)]
            try:
                await self._acknowledge(seqs)
            except asyncio.CancelledError:
                for seq in seqs:
                    acknowledged.put_nowait(seq)
                raise

    async def _acknowledge(self, seqs: list[int]) -> None:
        await self._journal.acknowledge(seqs)
        self._mark_stored(seqs)

    def _mark_stored(self, seqs: Iterable[int]) -> None:
        self._unstored_acks.difference_update(seqs)
        self._acks_stored.set()
        self._acks_stored = asyncio.Event()


def _drain(queue: asyncio.Queue[int]) -> list[int]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
