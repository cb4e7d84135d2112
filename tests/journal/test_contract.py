"""What every implementation of Journal does."""

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
from coc2mqtt.util.event_loop import run
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coc2mqtt.journal import Journal

    Begin = Callable[..., Journal]

NOW = 1_800_000_000.0  # what the clock of the journals under test says
WEEK = timedelta(days=7).total_seconds()
CLAN = Resource(Kind.CLAN, "#2PP")
OLD, NEW = Snapshot({"name": "old"}, taken_at=1.0), Snapshot({"name": "new"}, {"trouble": None}, 2.0)


def happened(number: int) -> Event:
    return Event(
        EventType.MEMBER_ROLE_CHANGED,
        "#2PP",
        timestamp=NOW + number,
        changes=(Change("role", "member", "admin"),),
        metadata={"member_tag": "#G8YP9GL08", "number": number},
        name="The Order",
    )


def happenings(numbers: Sequence[int]) -> list[Event]:
    return [happened(number) for number in numbers]


async def pending_numbers(journal: Journal) -> list[int]:
    return [entry.record.metadata["number"] for entry in await journal.pending(limit=10_000)]


async def test_a_new_journal_is_empty(begin: Begin) -> None:
    async with begin() as journal:
        assert await journal.snapshot(CLAN) is None
        assert await journal.resources() == []
        assert await journal.pending() == []
        assert await journal.watches() == []
        assert await journal.counts() == JournalCounts(0, None, 0, 0)


async def test_a_snapshot_and_its_events_are_there_after_a_restart(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, NEW, [happened(1)])
        before = await journal.pending()
    async with begin() as journal:
        assert await journal.snapshot(CLAN) == NEW
        assert await journal.pending() == before
    assert [(entry.seq, entry.kind, entry.record) for entry in before] == [(1, Kind.CLAN, EventRecord.of(happened(1)))]


async def test_the_latest_snapshot_counts(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, OLD, [])
        await journal.commit(CLAN, NEW, [])
        assert await journal.snapshot(CLAN) == NEW
        assert await journal.resources() == [CLAN]


async def test_events_without_a_snapshot_leave_the_stored_one_as_it_is(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, OLD, [])
        await journal.commit(CLAN, None, [happened(1)])
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
def test_a_snapshot_comes_back_as_it_was(
    begin: Begin, data: dict[str, Any] | None, memo: dict[str, Any], taken_at: float
) -> None:
    snapshot = Snapshot(data, memo, taken_at)

    async def there_and_back() -> list[Snapshot | None]:
        async with begin() as journal:
            await journal.commit(CLAN, snapshot, [])
            at_once = await journal.snapshot(CLAN)
        async with begin() as journal:
            return [at_once, await journal.snapshot(CLAN)]

    assert run(there_and_back()) == [snapshot, snapshot]


async def test_a_forgotten_resource_keeps_its_events(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, NEW, [happened(1)])
        await journal.delete_snapshot(CLAN)
        assert await journal.snapshot(CLAN) is None
        assert await journal.resources() == []
        assert await pending_numbers(journal) == [1]


async def test_the_resources_are_in_order_of_kind_and_tag(begin: Begin) -> None:
    war, player = Resource(Kind.WAR, "#2PP"), Resource(Kind.PLAYER, "#PYL")
    async with begin() as journal:
        for resource in (war, CLAN, API, player):
            await journal.commit(resource, NEW, [])
        assert await journal.resources() == [API, CLAN, player, war]


@pytest.mark.parametrize("unwritable", [object(), "\ud800", 2**64, {1: "a key that is no text"}])
async def test_a_commit_with_an_event_that_is_no_json_stores_nothing(begin: Begin, unwritable: object) -> None:
    broken = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW, metadata={"odd": unwritable})
    async with begin() as journal:
        await journal.commit(CLAN, OLD, [])
        with pytest.raises(TypeError):
            await journal.commit(CLAN, NEW, [happened(1), broken])
        assert await journal.snapshot(CLAN) == OLD
        assert await journal.pending() == []
        await journal.commit(CLAN, NEW, [happened(2)])
        assert await pending_numbers(journal) == [2]


async def test_a_commit_with_a_snapshot_that_is_no_json_stores_nothing(begin: Begin) -> None:
    async with begin() as journal:
        with pytest.raises(TypeError):
            await journal.commit(CLAN, Snapshot({"odd": object()}), [happened(1)])
        assert await journal.snapshot(CLAN) is None
        assert await journal.pending() == []


async def test_seq_grows_over_commits_and_restarts(begin: Begin) -> None:
    for first in (1, 4, 7):
        async with begin() as journal:
            await journal.commit(CLAN, NEW, happenings([first, first + 1]))
            await journal.commit(API, None, happenings([first + 2]))
    async with begin() as journal:
        assert [(entry.seq, entry.record.metadata["number"]) for entry in await journal.pending()] == [
            (number, number) for number in range(1, 10)
        ]


async def test_a_seq_is_never_given_twice(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, NEW, happenings([1, 2]))
        await journal.acknowledge([1, 2])
        assert await journal.prune(NOW + WEEK + 1) == 2
    async with begin() as journal:
        assert (await journal.counts()).last_seq == 2
        await journal.commit(CLAN, NEW, [happened(3)])
        assert [entry.seq for entry in await journal.pending()] == [3]


async def test_every_event_has_an_id_of_its_own(begin: Begin) -> None:
    ids: set[str] = set()
    for _ in range(2):
        async with begin() as journal:
            await journal.commit(CLAN, None, [happened(1)] * 50)
            ids |= {entry.id for entry in await journal.pending()}
    assert len(ids) == 100
    assert all(len(id_) == 32 and int(id_, 16) for id_ in ids)


async def test_pending_goes_on_after_a_seq_and_ends_at_a_limit(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, None, happenings(range(1, 11)))
        assert [entry.seq for entry in await journal.pending(after=3, limit=4)] == [4, 5, 6, 7]
        assert [entry.seq for entry in await journal.pending(after=9, limit=4)] == [10]
        assert await journal.pending(after=10) == []


async def test_what_is_acknowledged_is_pending_no_more(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, None, happenings(range(1, 5)))
        await journal.acknowledge(seq for seq in (2, 3))
        await journal.acknowledge([])
    async with begin() as journal:
        assert await pending_numbers(journal) == [1, 4]
        assert await journal.counts() == JournalCounts(2, NOW + 1, 0, 4)
        assert [entry.seq for entry in await journal.delivered()] == [2, 3]


async def test_acknowledging_again_or_what_is_unknown_changes_nothing(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, None, happenings([1, 2]))
        await journal.acknowledge([1])
        counts = await journal.counts()
        await journal.acknowledge([1, 1, 99])
        assert await journal.counts() == counts
        assert [entry.seq for entry in await journal.delivered()] == [1]


async def test_waiting_ends_at_once_when_an_event_is_pending(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, None, [happened(1)])
        async with asyncio.timeout(LONG_ENOUGH):
            await journal.wait_pending(0)


async def test_waiting_ends_with_the_next_event_after_the_given_one(begin: Begin) -> None:
    async with begin() as journal, asyncio.TaskGroup() as group:
        await journal.commit(CLAN, None, [happened(1)])
        waiting = group.create_task(journal.wait_pending(1))
        # Each is an occasion to wake up wrongly.
        await journal.commit(CLAN, NEW, [])
        await journal.acknowledge([1])
        await journal.counts()
        assert not waiting.done()
        await journal.commit(CLAN, None, [happened(2)])
        async with asyncio.timeout(LONG_ENOUGH):
            await waiting


async def test_what_was_acknowledged_does_not_end_the_waiting(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, None, [happened(1)])
        await journal.acknowledge([1])
        waiting = asyncio.create_task(journal.wait_pending(0))
        await journal.counts()
        await journal.counts()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_no_wake_up_is_lost_between_many_writers_and_a_deliverer(begin: Begin) -> None:
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
            await journal.commit(CLAN, NEW, [happened(number)])

    async with asyncio.timeout(LONG_ENOUGH), begin() as journal, asyncio.TaskGroup() as group:
        group.create_task(deliver(journal, 200))
        for _ in range(8):
            group.create_task(write(journal))
    assert delivered == list(range(1, 201))


async def test_several_hundred_commits_at_once_all_arrive(begin: Begin) -> None:
    resources = [Resource(Kind.PLAYER, f"#{number}") for number in range(300)]
    async with begin() as journal:
        async with asyncio.TaskGroup() as group:
            for number, resource in enumerate(resources):
                group.create_task(journal.commit(resource, Snapshot({"number": number}), happenings([number, number])))
            for _ in range(20):
                group.create_task(journal.pending())
        for number, resource in enumerate(resources):
            assert await journal.snapshot(resource) == Snapshot({"number": number})
        # The events of one commit stand together.
        numbers = await pending_numbers(journal)
        assert numbers[::2] == numbers[1::2]
        assert sorted(numbers[::2]) == list(range(300))


async def test_delivered_events_are_pruned_when_their_time_is_over(begin: Begin) -> None:
    async with begin(keep_delivered=timedelta(hours=1)) as journal:
        await journal.commit(CLAN, NEW, happenings([1, 2, 3]))
        await journal.acknowledge([1, 2])
        assert await journal.prune(NOW + 3600) == 0
        assert await journal.prune(NOW + 3601) == 2
        assert await journal.prune(NOW + 3601) == 0
        assert await pending_numbers(journal) == [3]
        assert await journal.counts() == JournalCounts(1, NOW + 3, 0, 3)
        assert await journal.snapshot(CLAN) == NEW


async def test_pending_events_are_not_pruned_with_the_delivered_ones(begin: Begin) -> None:
    async with begin(keep_delivered=timedelta(0)) as journal:
        await journal.commit(CLAN, None, [happened(1)])
        assert await journal.prune(NOW + 1e9) == 0
        assert await pending_numbers(journal) == [1]


async def test_when_too_many_are_pending_the_oldest_are_dropped_and_counted(begin: Begin) -> None:
    async with begin(max_pending=3) as journal:
        await journal.commit(CLAN, None, happenings([1, 2, 3]))
        assert (await journal.counts()).dropped == 0
        await journal.commit(CLAN, None, happenings([4, 5]))
        assert await pending_numbers(journal) == [3, 4, 5]
        await journal.commit(CLAN, None, happenings(range(6, 16)))
        assert await pending_numbers(journal) == [13, 14, 15]
    async with begin(max_pending=3) as journal:
        assert await journal.counts() == JournalCounts(3, NOW + 13, 12, 15)


async def test_delivered_events_do_not_count_as_pending_and_are_not_dropped(begin: Begin) -> None:
    async with begin(max_pending=3) as journal:
        await journal.commit(CLAN, None, happenings([1, 2, 3]))
        await journal.acknowledge([2])
        await journal.commit(CLAN, None, [happened(4)])
        assert await journal.counts() == JournalCounts(3, NOW + 1, 0, 4)
        await journal.commit(CLAN, None, [happened(5)])
        assert await pending_numbers(journal) == [3, 4, 5]
        assert await journal.counts() == JournalCounts(3, NOW + 3, 1, 5)


async def test_pruning_holds_a_bound_that_was_lowered(begin: Begin) -> None:
    async with begin() as journal:
        await journal.commit(CLAN, None, happenings(range(1, 11)))
    async with begin(max_pending=4) as journal:
        assert await journal.prune(NOW) == 0
        assert await pending_numbers(journal) == [7, 8, 9, 10]
        assert (await journal.counts()).dropped == 6


async def test_a_journal_that_is_not_open_says_so(begin: Begin) -> None:
    journal = begin()
    with pytest.raises(RuntimeError, match="the journal is not open"):
        await journal.snapshot(CLAN)
    async with journal:
        with pytest.raises(RuntimeError, match="already open"):
            await journal.open()
    with pytest.raises(RuntimeError, match="the journal is not open"):
        await journal.commit(CLAN, NEW, [])
    await journal.close()


async def test_closing_waits_for_what_is_under_way(begin: Begin) -> None:
    journal = begin()
    async with asyncio.TaskGroup() as group:
        await journal.open()
        for number in range(5):
            group.create_task(journal.commit(CLAN, NEW, [happened(number)]))
        await asyncio.sleep(0)
        await journal.close()
    async with begin() as journal:
        assert await pending_numbers(journal) == [0, 1, 2, 3, 4]
