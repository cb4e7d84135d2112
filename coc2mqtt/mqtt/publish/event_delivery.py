"""From the journal to the broker: each event at least once, in order for each tag."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from coc2mqtt.mqtt.payloads.event import encode_event
from coc2mqtt.util.containment import never_ending, propagate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.journal.protocol import Journal, JournalEntry
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Enough in flight that a broker's round trip does not hold up the rest.
_WORKERS = 12
_QUEUED_PER_WORKER = 16
_BATCH = 200


@dataclass(slots=True)
class DeliveryMetrics:
    """Counters since the start: events published and acknowledged by the broker, and events put aside.

    ``resent`` counts those published once more, with the same id, because a connection broke before the broker's word,
    ``skipped`` those that a bug kept from being encoded.
    """

    published: int = 0
    denied: int = 0
    resent: int = 0
    skipped: int = 0


class EventDelivery:
    """Publishes what the journal holds and lets go of an event only after the broker has acknowledged it.

    ``published`` is called with the topic and the payload of each event after its PUBACK. ``last`` is the last event
    that was acknowledged or put aside, in the run before as well, None before any. ``contain`` guards the encoding of
    each event: one that cannot be encoded because of a bug is skipped. ``figures`` go on from an earlier delivery's.
    """

    def __init__(
        self,
        journal: Journal,
        topics: Topics,
        *,
        publisher: RetryingPublisher | None = None,
        published: Callable[[str, bytes], None] = lambda *_: None,
        contain: Contain = propagate,
        figures: DeliveryMetrics | None = None,
    ) -> None:
        self._journal = journal
        self._topics = topics
        self._published = published
        self._publisher = publisher or RetryingPublisher()
        self._contain = contain
        self._refused: set[str] = set()
        self._skipped: set[tuple[str, str]] = set()
        # Published without the broker's word so far: as many as there are workers.
        self._unanswered: set[int] = set()
        # With the broker's word, which the journal has not noted yet.
        self._unnoted: set[int] = set()
        self._progress = asyncio.Event()
        self.figures = figures or DeliveryMetrics()
        self.last: JournalEntry | None = None

    async def recall(self) -> None:
        """Look up the last event of the run before."""
        self.last = await self._journal.last_delivered()

    async def noted(self) -> None:
        """Return when the journal has noted what the broker has acknowledged up to now, or it is to be sent again."""
        waited_for = set(self._unnoted)
        while waited_for & self._unnoted:
            await self._progress.wait()

    async def run(self, session: Session) -> None:
        """Deliver over one connection until it is lost or this is cancelled.

        What was published but not noted as such is published again over the next connection, with the same ``id``.
        """
        # Bounded by what the journal holds. A worker must not wait here: cancelled, it would forget what it has done.
        acknowledged: asyncio.Queue[int] = asyncio.Queue()
        queues: list[asyncio.Queue[JournalEntry]] = [asyncio.Queue(_QUEUED_PER_WORKER) for _ in range(_WORKERS)]
        try:
            async with asyncio.TaskGroup() as group:
                for queue in queues:
                    group.create_task(
                        never_ending("delivery worker", partial(self._publish, session, queue, acknowledged))
                    )
                group.create_task(never_ending("acknowledging", partial(self._note, acknowledged)))
                await self._read(queues)
        finally:
            # A connection that broke takes the workers with it, not what they have achieved.
            try:
                await self._acknowledge(_drain(acknowledged))
            finally:
                # What is not noted even so is published again, and nobody has to wait for it.
                self._have_noted(set(self._unnoted))

    async def _read(self, queues: list[asyncio.Queue[JournalEntry]]) -> None:
        seq = 0
        while True:
            await self._journal.wait_pending(seq)
            for entry in await self._journal.pending(after=seq, limit=_BATCH):
                seq = entry.seq
                # All events of a tag go through one worker, which keeps their order.
                worker = zlib.crc32(entry.record.tag.encode()) % len(queues)
                await queues[worker].put(entry)

    async def _publish(
        self, session: Session, queue: asyncio.Queue[JournalEntry], acknowledged: asyncio.Queue[int]
    ) -> None:
        while True:
            await self._deliver(session, await queue.get(), acknowledged)

    async def _deliver(self, session: Session, entry: JournalEntry, acknowledged: asyncio.Queue[int]) -> None:
        message = self._encode(entry)
        if message is None:
            self._skip(entry, acknowledged)
            return
        topic, payload = message
        if entry.seq in self._unanswered:
            self.figures.resent += 1
        self._unanswered.add(entry.seq)
        try:
            await self._publisher.publish(session, topic, payload)
        except (PublishDeniedError, MessageTooLargeError) as error:
            # It would be refused again and again: put aside, it does not block the others.
            self.figures.denied += 1
            if topic not in self._refused:  # once for its topic: afterwards the figures tell
                self._refused.add(topic)
                _log.error("events are not accepted and put aside", topic=topic, id=entry.id, reason=str(error))
        else:
            self.figures.published += 1
            self._published(topic, payload)
        self._unanswered.discard(entry.seq)
        if self.last is None or entry.seq > self.last.seq:
            self.last = entry
        self._unnoted.add(entry.seq)
        acknowledged.put_nowait(entry.seq)

    def _encode(self, entry: JournalEntry) -> tuple[str, bytes] | None:
        """Return the topic and the payload of an event, None where a bug keeps it from being encoded."""
        record = entry.record
        with self._contain("event", id=entry.id, seq=entry.seq, tag=record.tag, event_type=record.event_type):
            return self._topics.event(entry.kind, record.tag, record.event_type), encode_event(entry)
        return None

    def _skip(self, entry: JournalEntry, acknowledged: asyncio.Queue[int]) -> None:
        """Set an event aside as if the broker had refused it: it would block its tag for ever."""
        self.figures.skipped += 1
        key = entry.record.tag, entry.record.event_type
        if key not in self._skipped:  # once for its tag and type: afterwards the figures tell
            self._skipped.add(key)
            _log.error("event skipped: it cannot be encoded", id=entry.id, seq=entry.seq, tag=key[0], event_type=key[1])
        self._unnoted.add(entry.seq)
        acknowledged.put_nowait(entry.seq)

    async def _note(self, acknowledged: asyncio.Queue[int]) -> None:
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
        self._have_noted(seqs)

    def _have_noted(self, seqs: Iterable[int]) -> None:
        self._unnoted.difference_update(seqs)
        self._progress.set()
        self._progress = asyncio.Event()


def _drain(queue: asyncio.Queue[int]) -> list[int]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
