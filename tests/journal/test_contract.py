"""The contract of every implementation of Journal."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.journal import JournalCounts
from coc2mqtt.util.runtime import run
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coc2mqtt.journal import Journal

    MakeJournal = Callable[..., Journal]

NOW = 1_800_000_000.0  # the clock of the journals under test
WEEK = timedelta(days=7).total_seconds()
CLAN = Resource(Kind.CLAN, "#2PP")
OLD, NEW = Snapshot({"name": "old"}, taken_at=1.0), Snapshot({"name": "new"}, {"trouble": None}, 2.0)


def make_event(number: int) -> Event:
    return Event(
        EventType.MEMBER_ROLE_CHANGED,
        "#2PP",
        timestamp=NOW + number,
        changes=(Change("role", "member", "admin"),),
        metadata={"member_tag": "#G8YP9GL08", "number": number},
        name="The Order",
    )


def make_events(numbers: Sequence[int]) -> list[Event]:
    return [make_event(number) for number in numbers]


async def pending_numbers(journal: Journal) -> list[int]:
    return [entry.record.metadata["number"] for entry in await journal.pending(limit=10_000)]


async def test_new_journal_is_empty(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        assert await journal.snapshot(CLAN) is None
        assert await journal.resources() == []
        assert await journal.pending() == []
        assert await journal.watches() == []
        assert await journal.counts() == JournalCounts(0, None, 0, 0)


async def test_commit_is_stored_across_a_restart(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, NEW, [make_event(1)])
        before = await journal.pending()
    async with make_journal() as journal:
        assert await journal.snapshot(CLAN) == NEW
        assert await journal.pending() == before
    assert [(entry.seq, entry.kind, entry.record) for entry in before] == [
        (1, Kind.CLAN, EventRecord.of(make_event(1)))
    ]


async def test_commit_replaces_the_snapshot(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, OLD, [])
        await journal.commit(CLAN, NEW, [])
        assert await journal.snapshot(CLAN) == NEW
        assert await journal.resources() == [CLAN]


async def test_commit_without_a_snapshot_keeps_the_stored_one(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, OLD, [])
        await journal.commit(CLAN, None, [make_event(1)])
        assert await journal.snapshot(CLAN) == OLD
        assert await pending_numbers(journal) == [1]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=4)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.none() | json_objects, memo=json_objects, taken_at=st.floats(0, 1e11))
def test_snapshot_is_returned_unchanged(
    make_journal: MakeJournal, data: dict[str, Any] | None, memo: dict[str, Any], taken_at: float
) -> None:
    snapshot = Snapshot(data, memo, taken_at)

    async def store_and_read() -> list[Snapshot | None]:
        async with make_journal() as journal:
            await journal.commit(CLAN, snapshot, [])
            before_restart = await journal.snapshot(CLAN)
        async with make_journal() as journal:
            return [before_restart, await journal.snapshot(CLAN)]

    assert run(store_and_read()) == [snapshot, snapshot]


async def test_delete_snapshot_keeps_the_events(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, NEW, [make_event(1)])
        await journal.delete_snapshot(CLAN)
        assert await journal.snapshot(CLAN) is None
        assert await journal.resources() == []
        assert await pending_numbers(journal) == [1]


async def test_resources_are_sorted_by_kind_and_tag(make_journal: MakeJournal) -> None:
    war, player = Resource(Kind.WAR, "#2PP"), Resource(Kind.PLAYER, "#PYL")
    async with make_journal() as journal:
        for resource in (war, CLAN, API, player):
            await journal.commit(resource, NEW, [])
        assert await journal.resources() == [API, CLAN, player, war]


@pytest.mark.parametrize("not_json", [object(), "\ud800", 2**64, {1: "a key that is not a string"}])
async def test_commit_with_an_event_that_is_not_json_stores_nothing(
    make_journal: MakeJournal, not_json: object
) -> None:
    broken = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW, metadata={"odd": not_json})
    async with make_journal() as journal:
        await journal.commit(CLAN, OLD, [])
        with pytest.raises(TypeError):
            await journal.commit(CLAN, NEW, [make_event(1), broken])
        assert await journal.snapshot(CLAN) == OLD
        assert await journal.pending() == []
        await journal.commit(CLAN, NEW, [make_event(2)])
        assert await pending_numbers(journal) == [2]


async def test_commit_with_a_snapshot_that_is_not_json_stores_nothing(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        with pytest.raises(TypeError):
            await journal.commit(CLAN, Snapshot({"odd": object()}), [make_event(1)])
        assert await journal.snapshot(CLAN) is None
        assert await journal.pending() == []


async def test_seq_increases_across_commits_and_restarts(make_journal: MakeJournal) -> None:
    for first in (1, 4, 7):
        async with make_journal() as journal:
            await journal.commit(CLAN, NEW, make_events([first, first + 1]))
            await journal.commit(API, None, make_events([first + 2]))
    async with make_journal() as journal:
        assert [(entry.seq, entry.record.metadata["number"]) for entry in await journal.pending()] == [
            (number, number) for number in range(1, 10)
        ]


async def test_seq_of_a_deleted_event_is_not_reused(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, NEW, make_events([1, 2]))
        await journal.acknowledge([1, 2])
        assert await journal.prune(NOW + WEEK + 1) == 2
    async with make_journal() as journal:
        assert (await journal.counts()).last_seq == 2
        await journal.commit(CLAN, NEW, [make_event(3)])
        assert [entry.seq for entry in await journal.pending()] == [3]


async def test_every_event_has_a_unique_id(make_journal: MakeJournal) -> None:
    ids: set[str] = set()
    for _ in range(2):
        async with make_journal() as journal:
            await journal.commit(CLAN, None, [make_event(1)] * 50)
            ids |= {entry.id for entry in await journal.pending()}
    assert len(ids) == 100
    assert all(len(id_) == 32 and int(id_, 16) for id_ in ids)


async def test_pending_respects_after_and_limit(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, None, make_events(range(1, 11)))
        assert [entry.seq for entry in await journal.pending(after=3, limit=4)] == [4, 5, 6, 7]
        assert [entry.seq for entry in await journal.pending(after=9, limit=4)] == [10]
        assert await journal.pending(after=10) == []


async def test_acknowledged_events_are_delivered_and_not_pending(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, None, make_events(range(1, 5)))
        await journal.acknowledge(seq for seq in (2, 3))
        await journal.acknowledge([])
    async with make_journal() as journal:
        assert await pending_numbers(journal) == [1, 4]
        assert await journal.counts() == JournalCounts(2, NOW + 1, 0, 4)
        assert [entry.seq for entry in await journal.delivered()] == [2, 3]


async def test_acknowledging_delivered_or_unknown_events_changes_nothing(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, None, make_events([1, 2]))
        await journal.acknowledge([1])
        counts = await journal.counts()
        await journal.acknowledge([1, 1, 99])
        assert await journal.counts() == counts
        assert [entry.seq for entry in await journal.delivered()] == [1]


async def test_wait_pending_returns_if_an_event_is_already_pending(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, None, [make_event(1)])
        async with asyncio.timeout(LONG_ENOUGH):
            await journal.wait_pending(0)


async def test_wait_pending_waits_for_an_event_after_the_given_one(make_journal: MakeJournal) -> None:
    async with make_journal() as journal, asyncio.TaskGroup() as group:
        await journal.commit(CLAN, None, [make_event(1)])
        waiting = group.create_task(journal.wait_pending(1))
        # None of these calls may end the wait.
        await journal.commit(CLAN, NEW, [])
        await journal.acknowledge([1])
        await journal.counts()
        assert not waiting.done()
        await journal.commit(CLAN, None, [make_event(2)])
        async with asyncio.timeout(LONG_ENOUGH):
            await waiting


async def test_wait_pending_ignores_acknowledged_events(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, None, [make_event(1)])
        await journal.acknowledge([1])
        waiting = asyncio.create_task(journal.wait_pending(0))
        await journal.counts()
        await journal.counts()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_wait_pending_misses_no_event_of_many_concurrent_writers(make_journal: MakeJournal) -> None:
    delivered: list[int] = []

    async def deliver(journal: Journal, count: int) -> None:
        after = 0
        while len(delivered) < count:
            await journal.wait_pending(after)
            entries = await journal.pending(after=after, limit=7)
            after = entries[-1].seq
            delivered.extend(entry.seq for entry in entries)
            await journal.acknowledge(entry.seq for entry in entries)

    async def write(journal: Journal) -> None:
        for number in range(25):
            await journal.commit(CLAN, NEW, [make_event(number)])

    async with asyncio.timeout(LONG_ENOUGH), make_journal() as journal, asyncio.TaskGroup() as group:
        group.create_task(deliver(journal, 200))
        for _ in range(8):
            group.create_task(write(journal))
    assert delivered == list(range(1, 201))


async def test_hundreds_of_concurrent_commits_are_all_stored(make_journal: MakeJournal) -> None:
    resources = [Resource(Kind.PLAYER, f"#{number}") for number in range(300)]
    async with make_journal() as journal:
        async with asyncio.TaskGroup() as group:
            for number, resource in enumerate(resources):
                group.create_task(journal.commit(resource, Snapshot({"number": number}), make_events([number, number])))
            for _ in range(20):
                group.create_task(journal.pending())
        for number, resource in enumerate(resources):
            assert await journal.snapshot(resource) == Snapshot({"number": number})
        # The events of one commit have consecutive numbers.
        numbers = await pending_numbers(journal)
        assert numbers[::2] == numbers[1::2]
        assert sorted(numbers[::2]) == list(range(300))


async def test_prune_deletes_delivered_events_after_keep_delivered(make_journal: MakeJournal) -> None:
    async with make_journal(keep_delivered=timedelta(hours=1)) as journal:
        await journal.commit(CLAN, NEW, make_events([1, 2, 3]))
        await journal.acknowledge([1, 2])
        assert await journal.prune(NOW + 3600) == 0
        assert await journal.prune(NOW + 3601) == 2
        assert await journal.prune(NOW + 3601) == 0
        assert await pending_numbers(journal) == [3]
        assert await journal.counts() == JournalCounts(1, NOW + 3, 0, 3)
        assert await journal.snapshot(CLAN) == NEW


async def test_prune_keeps_pending_events(make_journal: MakeJournal) -> None:
    async with make_journal(keep_delivered=timedelta(0)) as journal:
        await journal.commit(CLAN, None, [make_event(1)])
        assert await journal.prune(NOW + 1e9) == 0
        assert await pending_numbers(journal) == [1]


async def test_oldest_events_are_dropped_and_counted_if_too_many_are_pending(make_journal: MakeJournal) -> None:
    async with make_journal(max_pending=3) as journal:
        await journal.commit(CLAN, None, make_events([1, 2, 3]))
        assert (await journal.counts()).dropped == 0
        await journal.commit(CLAN, None, make_events([4, 5]))
        assert await pending_numbers(journal) == [3, 4, 5]
        await journal.commit(CLAN, None, make_events(range(6, 16)))
        assert await pending_numbers(journal) == [13, 14, 15]
    async with make_journal(max_pending=3) as journal:
        assert await journal.counts() == JournalCounts(3, NOW + 13, 12, 15)


async def test_delivered_events_do_not_count_as_pending(make_journal: MakeJournal) -> None:
    async with make_journal(max_pending=3) as journal:
        await journal.commit(CLAN, None, make_events([1, 2, 3]))
        await journal.acknowledge([2])
        await journal.commit(CLAN, None, [make_event(4)])
        assert await journal.counts() == JournalCounts(3, NOW + 1, 0, 4)
        await journal.commit(CLAN, None, [make_event(5)])
        assert await pending_numbers(journal) == [3, 4, 5]
        assert await journal.counts() == JournalCounts(3, NOW + 3, 1, 5)


async def test_prune_enforces_a_lowered_max_pending(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.commit(CLAN, None, make_events(range(1, 11)))
    async with make_journal(max_pending=4) as journal:
        assert await journal.prune(NOW) == 0
        assert await pending_numbers(journal) == [7, 8, 9, 10]
        assert (await journal.counts()).dropped == 6


async def test_using_a_journal_that_is_not_open_raises(make_journal: MakeJournal) -> None:
    journal = make_journal()
    with pytest.raises(RuntimeError, match="the journal is not open"):
        await journal.snapshot(CLAN)
    async with journal:
        with pytest.raises(RuntimeError, match="already open"):
            await journal.open()
    with pytest.raises(RuntimeError, match="the journal is not open"):
        await journal.commit(CLAN, NEW, [])
    await journal.close()


async def test_close_waits_for_running_commits(make_journal: MakeJournal) -> None:
    journal = make_journal()
    async with asyncio.TaskGroup() as group:
        await journal.open()
        for number in range(5):
            group.create_task(journal.commit(CLAN, NEW, [make_event(number)]))
        await asyncio.sleep(0)
        await journal.close()
    async with make_journal() as journal:
        assert await pending_numbers(journal) == [0, 1, 2, 3, 4]
