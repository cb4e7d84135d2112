from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import (
    ConnectionLostError,
    MessageTooLargeError,
    PublishDeferredError,
    PublishDeniedError,
)
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.topics import Topics
from tests.support.recording_session import RecordingSession, event_number, make_event, running
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, MutableMapping
    from pathlib import Path

    Lines = list[MutableMapping[str, Any]]

ONE, TWO = Resource(Kind.CLAN, "#2PP"), Resource(Kind.CLAN, "#8QQ")
TAGS = [f"#{first}{second}{third}" for first in "0289" for second in "PYLQ" for third in "GR"]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        yield journal


async def commit(journal: SqliteJournal, resource: Resource, *numbers: int) -> None:
    await journal.commit(resource, None, [make_event(resource.tag, number) for number in numbers])


async def until_delivered(journal: SqliteJournal) -> None:
    """Wait until no event is pending."""
    async with asyncio.timeout(LONG_ENOUGH):
        while (await journal.counts()).pending:  # noqa: ASYNC110 - nothing reports the last acknowledgement
            await asyncio.sleep(0)


async def pending_numbers(journal: SqliteJournal) -> list[int]:
    return [event_number(entry) for entry in await journal.pending(limit=10_000)]


async def test_every_event_is_published_once_on_its_topic_and_not_retained(journal: SqliteJournal) -> None:
    await commit(journal, ONE, 1)
    await journal.commit(Resource(Kind.WAR, "#2PP"), None, [make_event("#2PP", 2, EventType.WAR_LOG_PUBLIC)])
    await journal.commit(Resource(Kind.PLAYER, "#8QQ"), None, [make_event("#8QQ", 3, EventType.HERO_UPGRADED)])
    await journal.commit(API, None, [make_event("api", 4, EventType.MAINTENANCE_START)])
    recording = RecordingSession()
    entries = {event_number(entry): entry for entry in await journal.pending()}
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await until_delivered(journal)
    assert sorted((event_number(message), message.topic) for message in recording.published) == [
        (1, "coc/clan/2PP/clan_updated"),
        (2, "coc/clan/2PP/war_log_public"),
        (3, "coc/player/8QQ/hero_upgraded"),
        (4, "coc/api/maintenance_start"),
    ]
    for message in recording.published:
        entry = entries[event_number(message)]
        assert (message.data["id"], message.data["seq"]) == (entry.id, entry.seq)
        assert not message.retain


@pytest.mark.slow
async def test_events_of_a_tag_keep_their_order_with_uneven_round_trips(journal: SqliteJournal) -> None:
    for number in range(20):
        for tag in TAGS:
            await commit(journal, Resource(Kind.CLAN if number % 2 else Kind.WAR, tag), number)
    in_flight = max_in_flight = 0

    async def delay(_topic: str, _payload: bytes) -> None:
        nonlocal in_flight, max_in_flight
        in_flight += 1
        max_in_flight = max(max_in_flight, in_flight)
        for _ in range(len(recording.published) * 5 % 7):
            await asyncio.sleep(0)
        in_flight -= 1

    recording = RecordingSession(delay)
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await until_delivered(journal)
    order = defaultdict(list)
    for message in recording.published:
        order[message.data["tag"]].append(event_number(message))
    assert order == {tag: list(range(20)) for tag in TAGS}
    assert max_in_flight > 1


async def test_new_event_is_published_at_once(journal: SqliteJournal) -> None:
    recording = RecordingSession()
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        for number in range(3):
            await commit(journal, ONE, number)
            await recording.wait_until(lambda: len(recording.published) > number)  # noqa: B023 - awaited in the same iteration
    assert [event_number(message) for message in recording.published] == [0, 1, 2]


async def test_event_stays_pending_until_its_acknowledgement(journal: SqliteJournal) -> None:
    await commit(journal, ONE, 1, 2)
    sent, acknowledged = asyncio.Event(), asyncio.Event()

    async def wait_for_puback(_topic: str, _payload: bytes) -> None:
        sent.set()
        await acknowledged.wait()

    published: list[bytes] = []
    delivery = EventDelivery(journal, Topics(), on_published=lambda _, payload: published.append(payload))
    recording = RecordingSession(wait_for_puback)
    async with running(delivery.run(recording.session)):
        await asyncio.wait_for(sent.wait(), LONG_ENOUGH)
        assert await pending_numbers(journal) == [1, 2]
        assert (published, delivery.metrics.published) == ([], 0)
        acknowledged.set()
        await until_delivered(journal)
    assert published == [message.payload for message in recording.published]
    assert delivery.metrics.published == 2


async def test_unacknowledged_events_are_resent_unchanged_over_the_next_connection(
    journal: SqliteJournal,
) -> None:
    for tag in TAGS:
        await commit(journal, Resource(Kind.CLAN, tag), *range(5))
    sent: list[bytes] = []
    broken = False

    async def lose_connection_midway(_topic: str, payload: bytes) -> None:
        nonlocal broken
        sent.append(payload)
        await asyncio.sleep(0)
        broken = broken or len(sent) > 70
        if broken:
            raise ConnectionLostError("the broker stopped")

    first, second = RecordingSession(lose_connection_midway), RecordingSession()
    delivery = EventDelivery(journal, Topics())
    with pytest.raises(ExceptionGroup) as raised:
        await delivery.run(first.session)
    assert raised.group_contains(ConnectionLostError)
    acknowledged = {message.payload for message in first.published}
    assert 0 < len(acknowledged) < 5 * len(TAGS)

    # The journal has exactly the acknowledged events as delivered.
    assert len(await journal.delivered(limit=1000)) == len(acknowledged)
    assert (await journal.counts()).pending == 5 * len(TAGS) - len(acknowledged)

    async with running(delivery.run(second.session)):
        await until_delivered(journal)
    resent = {message.payload for message in second.published}
    assert resent.isdisjoint(acknowledged)
    assert len(resent | acknowledged) == 5 * len(TAGS)
    # The same bytes, hence the same ids.
    assert {payload for payload in sent if payload not in acknowledged} <= resent
    order = defaultdict(list)
    for message in [*first.published, *second.published]:
        order[message.data["tag"]].append(event_number(message))
    assert order == {tag: list(range(5)) for tag in TAGS}


@pytest.mark.parametrize("last", [1, 2, 7, 20])
@pytest.mark.parametrize("iterations", range(4))
async def test_cancelled_delivery_stores_or_resends_every_published_event(
    journal: SqliteJournal, last: int, iterations: int
) -> None:
    await commit(journal, ONE, *range(10))
    await commit(journal, TWO, *range(10))
    sent = 0

    async def cancel_at_last(_topic: str, _payload: bytes) -> None:
        nonlocal sent
        sent += 1
        if sent == last:
            task.cancel()
        for _ in range(iterations):
            await asyncio.sleep(0)

    first, second = RecordingSession(cancel_at_last), RecordingSession()
    delivery = EventDelivery(journal, Topics())
    task = asyncio.create_task(delivery.run(first.session))
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, LONG_ENOUGH)
    assert task.cancelled()
    published = {message.payload for message in first.published}
    assert len(await journal.delivered(limit=1000)) <= len(published)
    async with running(delivery.run(second.session)):
        await until_delivered(journal)
    assert len(published | {message.payload for message in second.published}) == 20


@pytest.mark.parametrize("error", [PublishDeniedError("allow the topic"), MessageTooLargeError("raise the limit")])
async def test_rejected_events_are_skipped_and_logged_once_per_topic(
    journal: SqliteJournal, log_lines: Lines, error: Exception
) -> None:
    async def reject(topic: str, _payload: bytes) -> None:
        if topic.startswith("coc/clan/2PP/"):
            raise error

    for number in range(30):
        await commit(journal, ONE, number)
        await commit(journal, TWO, number)
    recording = RecordingSession(reject)
    delivery = EventDelivery(journal, Topics())
    async with running(delivery.run(recording.session)):
        await until_delivered(journal)
    assert [event_number(message) for message in recording.published] == list(range(30))
    assert {message.data["tag"] for message in recording.published} == {"#8QQ"}
    assert (delivery.metrics.published, delivery.metrics.denied) == (30, 30)
    assert [(line["log_level"], line["topic"], line["reason"]) for line in log_lines] == [
        ("error", "coc/clan/2PP/clan_updated", str(error))
    ]


async def test_deferred_events_are_retried_in_order(journal: SqliteJournal) -> None:
    rejections = iter([True] * 5)

    async def defer(topic: str, _payload: bytes) -> None:
        if topic.startswith("coc/clan/2PP/") and next(rejections, False):
            raise PublishDeferredError("the queue is full")

    async def sleep_briefly(_: float) -> None:
        await asyncio.sleep(0)

    await commit(journal, ONE, *range(10))
    await commit(journal, TWO, *range(10))
    recording = RecordingSession(defer)
    delivery = EventDelivery(journal, Topics(), publisher=RetryingPublisher(sleep=sleep_briefly))
    async with running(delivery.run(recording.session)):
        await until_delivered(journal)
    for tag in ("#2PP", "#8QQ"):
        assert [event_number(one) for one in recording.published if one.data["tag"] == tag] == list(range(10))
    assert (delivery.metrics.published, delivery.metrics.denied, delivery.metrics.resent) == (20, 0, 0)


async def test_resent_events_are_counted(journal: SqliteJournal) -> None:
    in_flight: list[bytes] = []

    async def lose_connection(_topic: str, payload: bytes) -> None:
        in_flight.append(payload)
        if len(in_flight) == 2:
            raise ConnectionLostError("the broker stopped")
        await asyncio.Event().wait()

    await commit(journal, ONE, 1, 2, 3)
    await commit(journal, TWO, 1, 2, 3)
    delivery = EventDelivery(journal, Topics())
    with contextlib.suppress(BaseExceptionGroup):
        await delivery.run(RecordingSession(lose_connection).session)
    assert len(in_flight) == 2  # the first of each tag
    second = RecordingSession()
    async with running(delivery.run(second.session)):
        await until_delivered(journal)
    assert (delivery.metrics.published, delivery.metrics.resent) == (6, 2)
    assert set(in_flight) < {message.payload for message in second.published}


async def test_blocked_tag_does_not_block_others(journal: SqliteJournal) -> None:
    async def block(topic: str, _payload: bytes) -> None:
        if topic.startswith("coc/clan/2PP/"):
            await asyncio.Event().wait()

    recording = RecordingSession(block)
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await commit(journal, ONE, *range(10))
        await commit(journal, TWO, *range(10))
        await recording.wait_until(lambda: len(recording.published) == 10)
    assert {message.data["tag"] for message in recording.published} == {"#8QQ"}
    assert await pending_numbers(journal) == list(range(10))


async def test_backlog_larger_than_all_queues_is_delivered(journal: SqliteJournal) -> None:
    for tag in TAGS:
        await commit(journal, Resource(Kind.CLAN, tag), *range(40))
    recording = RecordingSession()
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await until_delivered(journal)
    assert len(recording.published) == 40 * len(TAGS)
    assert len({message.data["id"] for message in recording.published}) == 40 * len(TAGS)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_flush_acks_waits_until_the_journal_has_stored_them(tmp_path: Path, cancelled: bool) -> None:
    acknowledging, may_continue = asyncio.Event(), asyncio.Event()

    class SlowJournal(SqliteJournal):
        async def acknowledge(self, seqs: Iterable[int]) -> None:
            if not acknowledging.is_set():
                acknowledging.set()
                await may_continue.wait()
            await super().acknowledge(seqs)

    async with SlowJournal(tmp_path / "coc2mqtt.db") as journal, asyncio.timeout(LONG_ENOUGH):
        recording = RecordingSession()
        delivery = EventDelivery(journal, Topics())
        await delivery.flush_acks()  # nothing is in flight
        await commit(journal, ONE, 1)
        async with running(delivery.run(recording.session)):
            await acknowledging.wait()
            await commit(journal, ONE, 2)
            await recording.wait_until(lambda: len(recording.published) == 2)
            waiting = asyncio.create_task(delivery.flush_acks())
            await journal.counts()
            assert not waiting.done()
            if not cancelled:
                may_continue.set()
                await waiting
                assert [event_number(entry) for entry in await journal.delivered()] == [1, 2]
        await waiting
        assert [event_number(entry) for entry in await journal.delivered()] == [1, 2]


async def test_flush_acks_returns_when_the_delivery_was_cancelled_before_storing_them(tmp_path: Path) -> None:
    requested = asyncio.Queue[int]()

    class BlockedJournal(SqliteJournal):
        async def acknowledge(self, seqs: Iterable[int]) -> None:
            for seq in seqs:
                requested.put_nowait(seq)
            await asyncio.Event().wait()

    async with BlockedJournal(tmp_path / "coc2mqtt.db") as journal, asyncio.timeout(LONG_ENOUGH):
        delivery = EventDelivery(journal, Topics())
        await commit(journal, ONE, 1)
        run = asyncio.create_task(delivery.run(RecordingSession().session))
        await requested.get()
        waiting = asyncio.create_task(delivery.flush_acks())
        run.cancel()
        await requested.get()  # the last attempt, which is cancelled as well
        assert not waiting.done()
        run.cancel()
        await asyncio.wait({run})
        await waiting
        assert await pending_numbers(journal) == [1]
