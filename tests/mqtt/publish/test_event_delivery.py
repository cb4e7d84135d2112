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
from tests.support.recording_session import RecordingSession, happened, number_of, running
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
    await journal.commit(resource, None, [happened(resource.tag, number) for number in numbers])


async def until_delivered(journal: SqliteJournal) -> None:
    """Wait until nothing is pending any more."""
    async with asyncio.timeout(LONG_ENOUGH):
        while (await journal.counts()).pending:  # noqa: ASYNC110 - nothing tells of the last acknowledgement
            await asyncio.sleep(0)


async def numbers_pending(journal: SqliteJournal) -> list[int]:
    return [number_of(entry) for entry in await journal.pending(limit=10_000)]


async def test_every_event_is_published_once_on_its_topic_and_not_retained(journal: SqliteJournal) -> None:
    await commit(journal, ONE, 1)
    await journal.commit(Resource(Kind.WAR, "#2PP"), None, [happened("#2PP", 2, EventType.WAR_LOG_PUBLIC)])
    await journal.commit(Resource(Kind.PLAYER, "#8QQ"), None, [happened("#8QQ", 3, EventType.HERO_UPGRADED)])
    await journal.commit(API, None, [happened("api", 4, EventType.MAINTENANCE_START)])
    recording = RecordingSession()
    entries = {number_of(entry): entry for entry in await journal.pending()}
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await until_delivered(journal)
    assert sorted((number_of(message), message.topic) for message in recording.published) == [
        (1, "coc/clan/2PP/clan_updated"),
        (2, "coc/clan/2PP/war_log_public"),
        (3, "coc/player/8QQ/hero_upgraded"),
        (4, "coc/api/maintenance_start"),
    ]
    for message in recording.published:
        entry = entries[number_of(message)]
        assert (message.data["id"], message.data["seq"]) == (entry.id, entry.seq)
        assert not message.retain


@pytest.mark.slow
async def test_the_events_of_a_tag_keep_their_order_whatever_each_takes(journal: SqliteJournal) -> None:
    for number in range(20):
        for tag in TAGS:
            await commit(journal, Resource(Kind.CLAN if number % 2 else Kind.WAR, tag), number)
    under_way = most_under_way = 0

    async def unevenly(_topic: str, _payload: bytes) -> None:
        nonlocal under_way, most_under_way
        under_way += 1
        most_under_way = max(most_under_way, under_way)
        for _ in range(len(recording.published) * 5 % 7):
            await asyncio.sleep(0)
        under_way -= 1

    recording = RecordingSession(unevenly)
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await until_delivered(journal)
    order = defaultdict(list)
    for message in recording.published:
        order[message.data["tag"]].append(number_of(message))
    assert order == {tag: list(range(20)) for tag in TAGS}
    assert most_under_way > 1


async def test_an_event_that_comes_later_is_published_at_once(journal: SqliteJournal) -> None:
    recording = RecordingSession()
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        for number in range(3):
            await commit(journal, ONE, number)
            await recording.until(lambda: len(recording.published) > number)  # noqa: B023 - awaited in the same turn
    assert [number_of(message) for message in recording.published] == [0, 1, 2]


async def test_an_event_is_let_go_of_only_after_its_acknowledgement(journal: SqliteJournal) -> None:
    await commit(journal, ONE, 1, 2)
    sent, acknowledged = asyncio.Event(), asyncio.Event()

    async def hold(_topic: str, _payload: bytes) -> None:
        sent.set()
        await acknowledged.wait()

    told: list[bytes] = []
    delivery = EventDelivery(journal, Topics(), on_published=lambda _, payload: told.append(payload))
    recording = RecordingSession(hold)
    async with running(delivery.run(recording.session)):
        await asyncio.wait_for(sent.wait(), LONG_ENOUGH)
        assert await numbers_pending(journal) == [1, 2]
        assert (told, delivery.metrics.published) == ([], 0)
        acknowledged.set()
        await until_delivered(journal)
    assert told == [message.payload for message in recording.published]
    assert delivery.metrics.published == 2


async def test_what_was_not_acknowledged_when_the_connection_broke_is_sent_again_and_is_the_same(
    journal: SqliteJournal,
) -> None:
    for tag in TAGS:
        await commit(journal, Resource(Kind.CLAN, tag), *range(5))
    sent: list[bytes] = []
    broken = False

    async def break_in_the_middle(_topic: str, payload: bytes) -> None:
        nonlocal broken
        sent.append(payload)
        await asyncio.sleep(0)
        broken = broken or len(sent) > 70
        if broken:
            raise ConnectionLostError("the broker died")

    first, second = RecordingSession(break_in_the_middle), RecordingSession()
    delivery = EventDelivery(journal, Topics())
    with pytest.raises(ExceptionGroup) as raised:
        await delivery.run(first.session)
    assert raised.group_contains(ConnectionLostError)
    acknowledged = {message.payload for message in first.published}
    assert 0 < len(acknowledged) < 5 * len(TAGS)

    # All that was acknowledged is noted, and nothing else.
    assert len(await journal.delivered(limit=1000)) == len(acknowledged)
    assert (await journal.counts()).pending == 5 * len(TAGS) - len(acknowledged)

    async with running(delivery.run(second.session)):
        await until_delivered(journal)
    again = {message.payload for message in second.published}
    assert again.isdisjoint(acknowledged)
    assert len(again | acknowledged) == 5 * len(TAGS)
    # The same bytes, so the same id.
    assert {payload for payload in sent if payload not in acknowledged} <= again
    order = defaultdict(list)
    for message in [*first.published, *second.published]:
        order[message.data["tag"]].append(number_of(message))
    assert order == {tag: list(range(5)) for tag in TAGS}


@pytest.mark.parametrize("last", [1, 2, 7, 20])
@pytest.mark.parametrize("turns", range(4))
async def test_whenever_it_is_cancelled_what_was_published_is_noted_or_sent_again(
    journal: SqliteJournal, last: int, turns: int
) -> None:
    await commit(journal, ONE, *range(10))
    await commit(journal, TWO, *range(10))
    sent = 0

    async def cancel_at_last(_topic: str, _payload: bytes) -> None:
        nonlocal sent
        sent += 1
        if sent == last:
            task.cancel()
        for _ in range(turns):
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
async def test_an_event_that_the_broker_refuses_is_put_aside_and_said_once(
    journal: SqliteJournal, log_lines: Lines, error: Exception
) -> None:
    async def refuse(topic: str, _payload: bytes) -> None:
        if topic.startswith("coc/clan/2PP/"):
            raise error

    for number in range(30):
        await commit(journal, ONE, number)
        await commit(journal, TWO, number)
    recording = RecordingSession(refuse)
    delivery = EventDelivery(journal, Topics())
    async with running(delivery.run(recording.session)):
        await until_delivered(journal)
    assert [number_of(message) for message in recording.published] == list(range(30))
    assert {message.data["tag"] for message in recording.published} == {"#8QQ"}
    assert (delivery.metrics.published, delivery.metrics.denied) == (30, 30)
    assert [(line["log_level"], line["topic"], line["reason"]) for line in log_lines] == [
        ("error", "coc/clan/2PP/clan_updated", str(error))
    ]


async def test_what_the_broker_does_not_take_just_now_is_kept_in_order_until_it_does(journal: SqliteJournal) -> None:
    refusals = iter([True] * 5)

    async def full(topic: str, _payload: bytes) -> None:
        if topic.startswith("coc/clan/2PP/") and next(refusals, False):
            raise PublishDeferredError("the queue is full")

    async def soon(_: float) -> None:
        await asyncio.sleep(0)

    await commit(journal, ONE, *range(10))
    await commit(journal, TWO, *range(10))
    recording = RecordingSession(full)
    delivery = EventDelivery(journal, Topics(), publisher=RetryingPublisher(sleep=soon))
    async with running(delivery.run(recording.session)):
        await until_delivered(journal)
    for tag in ("#2PP", "#8QQ"):
        assert [number_of(one) for one in recording.published if one.data["tag"] == tag] == list(range(10))
    assert (delivery.metrics.published, delivery.metrics.denied, delivery.metrics.resent) == (20, 0, 0)


async def test_what_is_sent_once_more_after_a_broken_connection_is_counted(journal: SqliteJournal) -> None:
    on_the_way: list[bytes] = []

    async def break_off(_topic: str, payload: bytes) -> None:
        on_the_way.append(payload)
        if len(on_the_way) == 2:
            raise ConnectionLostError("cut")
        await asyncio.Event().wait()

    await commit(journal, ONE, 1, 2, 3)
    await commit(journal, TWO, 1, 2, 3)
    delivery = EventDelivery(journal, Topics())
    with contextlib.suppress(BaseExceptionGroup):
        await delivery.run(RecordingSession(break_off).session)
    assert len(on_the_way) == 2  # the first of each tag
    second = RecordingSession()
    async with running(delivery.run(second.session)):
        await until_delivered(journal)
    assert (delivery.metrics.published, delivery.metrics.resent) == (6, 2)
    assert set(on_the_way) < {message.payload for message in second.published}


async def test_a_tag_that_is_stuck_holds_up_no_other(journal: SqliteJournal) -> None:
    async def stuck(topic: str, _payload: bytes) -> None:
        if topic.startswith("coc/clan/2PP/"):
            await asyncio.Event().wait()

    recording = RecordingSession(stuck)
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await commit(journal, ONE, *range(10))
        await commit(journal, TWO, *range(10))
        await recording.until(lambda: len(recording.published) == 10)
    assert {message.data["tag"] for message in recording.published} == {"#8QQ"}
    assert await numbers_pending(journal) == list(range(10))


async def test_a_backlog_larger_than_everything_in_flight_is_delivered(journal: SqliteJournal) -> None:
    for tag in TAGS:
        await commit(journal, Resource(Kind.CLAN, tag), *range(40))
    recording = RecordingSession()
    async with running(EventDelivery(journal, Topics()).run(recording.session)):
        await until_delivered(journal)
    assert len(recording.published) == 40 * len(TAGS)
    assert len({message.data["id"] for message in recording.published}) == 40 * len(TAGS)


@pytest.mark.parametrize("loses_connection", [False, True])
async def test_what_the_broker_has_acknowledged_can_be_waited_for_until_the_journal_has_noted_it(
    tmp_path: Path, loses_connection: bool
) -> None:
    acknowledging, may_go_on = asyncio.Event(), asyncio.Event()

    class Slow(SqliteJournal):
        async def acknowledge(self, seqs: Iterable[int]) -> None:
            if not acknowledging.is_set():
                acknowledging.set()
                await may_go_on.wait()
            await super().acknowledge(seqs)

    async with Slow(tmp_path / "coc2mqtt.db") as journal, asyncio.timeout(LONG_ENOUGH):
        recording = RecordingSession()
        delivery = EventDelivery(journal, Topics())
        await delivery.flush_acks()  # nothing is under way
        await commit(journal, ONE, 1)
        async with running(delivery.run(recording.session)):
            await acknowledging.wait()
            await commit(journal, ONE, 2)
            await recording.until(lambda: len(recording.published) == 2)
            waiting = asyncio.create_task(delivery.flush_acks())
            await journal.counts()
            assert not waiting.done()
            if not loses_connection:
                may_go_on.set()
                await waiting
                assert [number_of(entry) for entry in await journal.delivered()] == [1, 2]
        await waiting
        assert [number_of(entry) for entry in await journal.delivered()] == [1, 2]


async def test_nobody_waits_for_what_is_not_noted_because_the_delivery_was_broken_off(tmp_path: Path) -> None:
    asked = asyncio.Queue[int]()

    class Stuck(SqliteJournal):
        async def acknowledge(self, seqs: Iterable[int]) -> None:
            for seq in seqs:
                asked.put_nowait(seq)
            await asyncio.Event().wait()

    async with Stuck(tmp_path / "coc2mqtt.db") as journal, asyncio.timeout(LONG_ENOUGH):
        delivery = EventDelivery(journal, Topics())
        await commit(journal, ONE, 1)
        run = asyncio.create_task(delivery.run(RecordingSession().session))
        await asked.get()
        waiting = asyncio.create_task(delivery.flush_acks())
        run.cancel()
        await asked.get()  # the last try, which is broken off as well
        assert not waiting.done()
        run.cancel()
        await asyncio.wait({run})
        await waiting
        assert await numbers_pending(journal) == [1]
