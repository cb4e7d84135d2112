"""Searches in the delivered events."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.journal import CorruptJournalError, Selection, SqliteJournal
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coc2mqtt.journal import Journal

    MakeJournal = Callable[..., Journal]

NOW = 1_800_000_000.0
CLAN, WAR, PLAYER = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP"), Resource(Kind.PLAYER, "#8QQ")


def make_event(number: int, tag: str = "#2PP", event_type: EventType = EventType.CLAN_UPDATED) -> Event:
    # A search for a tag must not match the tags of members.
    metadata = {"member_tag": "#8QQ", "tag": "#8QQ", "number": number}
    return Event(event_type, tag, timestamp=NOW + number, metadata=metadata, name='of "tag":"#8QQ"')


async def commit_ten_events(journal: Journal, *, acknowledge: range) -> None:
    """Commit ten events of all kinds, numbered like their seq, and acknowledge some of them."""
    for number in range(1, 11):
        resource = (API, CLAN, WAR, PLAYER)[number % 4]
        event_type = {API: EventType.API_RESTORED, WAR: EventType.WAR_LOG_PRIVATE}.get(resource, EventType.CLAN_UPDATED)
        await journal.commit(resource, None, [make_event(number, resource.tag, event_type)])
    await journal.acknowledge(acknowledge)


async def test_delivered_returns_the_acknowledged_entries_unchanged(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await commit_ten_events(journal, acknowledge=range(0))
        pending = await journal.pending()
        assert await journal.delivered() == []
        await journal.acknowledge([2, 3, 5])
        assert await journal.delivered() == [pending[1], pending[2], pending[4]]
    async with make_journal() as journal:
        assert await journal.delivered() == [pending[1], pending[2], pending[4]]


@pytest.mark.parametrize(
    ("after", "limit", "seqs"),
    [(0, 3, [2, 3, 4]), (3, 100, [4, 5, 6, 7, 8]), (7, 2, [8]), (8, 9, []), (2**63 - 1, 9, []), (1, 0, [])],
)
async def test_delivered_respects_after_and_limit(
    make_journal: MakeJournal, after: int, limit: int, seqs: list[int]
) -> None:
    async with make_journal() as journal:
        await commit_ten_events(journal, acknowledge=range(2, 9))
        assert [entry.seq for entry in await journal.delivered(after=after, limit=limit)] == seqs


@pytest.mark.parametrize(
    ("selection", "seqs"),
    [
        (Selection(), list(range(1, 11))),
        (Selection(kinds=frozenset({Kind.CLAN, Kind.WAR})), [1, 2, 5, 6, 9, 10]),
        (Selection(kinds=frozenset({Kind.API})), [4, 8]),
        (Selection(kinds=frozenset()), []),
        (Selection(tag="#8QQ"), [3, 7]),
        (Selection(tag="#9CC"), []),
        (Selection(event_type="war_log_private"), [2, 6, 10]),
        (Selection(event_type="clan_updated", tag="#2PP"), [1, 5, 9]),
        (Selection(kinds=frozenset({Kind.WAR}), tag="#2PP", event_type="war_log_private"), [2, 6, 10]),
        (Selection(kinds=frozenset({Kind.PLAYER}), event_type="war_log_private"), []),
    ],
)
async def test_delivered_returns_only_the_selected_events(
    make_journal: MakeJournal, selection: Selection, seqs: list[int]
) -> None:
    async with make_journal() as journal:
        await commit_ten_events(journal, acknowledge=range(11))
        assert [entry.seq for entry in await journal.delivered(selection=selection)] == seqs
        assert [entry.seq for entry in await journal.delivered(selection=selection, limit=2)] == seqs[:2]


async def test_delivered_since_starts_with_the_first_event_of_that_time_or_later(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        # The clock was set back by an hour after the second of them.
        for number in (1, 2, -3597, -3596):
            await journal.commit(CLAN, None, [make_event(number)])
        await journal.acknowledge(range(5))
        for since, seqs in ((0.0, [1, 2, 3, 4]), (NOW + 1, [1, 2, 3, 4]), (NOW + 1.5, [2, 3, 4]), (NOW + 3, [])):
            assert [entry.seq for entry in await journal.delivered(since=since)] == seqs
        assert [entry.seq for entry in await journal.delivered(since=0.0, after=2)] == [3, 4]


async def test_pruned_events_are_not_returned(make_journal: MakeJournal) -> None:
    async with make_journal(keep_delivered=timedelta(hours=1)) as journal:
        await commit_ten_events(journal, acknowledge=range(9))
        await journal.prune(NOW + 3601)
        assert await journal.delivered() == []
        await journal.acknowledge([9])
        assert [entry.seq for entry in await journal.delivered()] == [9]


async def test_delivered_finds_all_events_for_any_chunk_size(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await commit_ten_events(journal, acknowledge=range(11))
        await journal._database.transact(lambda connection: connection.execute("DELETE FROM event WHERE seq IN (3, 4)"))
        for chunk_size in (1, 2, 3, 100):
            journal._delivered_events._chunk_size = chunk_size
            assert [entry.seq for entry in await journal.delivered()] == [1, 2, 5, 6, 7, 8, 9, 10]
            assert [entry.seq for entry in await journal.delivered(since=NOW + 3)] == [5, 6, 7, 8, 9, 10]
            wars = await journal.delivered(selection=Selection(event_type="war_log_private"), limit=2)
            assert [entry.seq for entry in wars] == [2, 6]


@pytest.mark.parametrize("corruption", ["record = '{'", "record = replace(record, '#2PP', '#9CC')", "kind = 'war'"])
async def test_corrupt_delivered_event_raises_for_any_selection(path: Path, corruption: str) -> None:
    async with SqliteJournal(path) as journal:
        await commit_ten_events(journal, acknowledge=range(11))
        change = f"UPDATE event SET {corruption} WHERE seq = 1"  # noqa: S608 - constants of this test
        await journal._database.transact(lambda connection: connection.execute(change))
        with pytest.raises(CorruptJournalError, match="delivered events after 0"):
            await journal.delivered()
        if corruption == "record = '{'":
            with pytest.raises(CorruptJournalError, match="delivered events after 0"):
                await journal.delivered(selection=Selection(tag="#8QQ"))


async def test_long_search_does_not_block_a_commit(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        for _ in range(4):
            await journal.commit(CLAN, None, [make_event(1)] * 5000)
        await journal.acknowledge(range(20_001))
        search = asyncio.create_task(journal.delivered(selection=Selection(tag="#9CC")))
        await asyncio.sleep(0)
        await journal.commit(CLAN, None, [make_event(2)])
        assert not search.done()
        assert await search == []


@pytest.mark.parametrize("delay", [0, 0.0001, 0.001])
async def test_cancelled_searches_leave_the_journal_usable(path: Path, delay: float) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        await commit_ten_events(journal, acknowledge=range(11))
        journal._delivered_events._chunk_size = 1
        reads = [asyncio.create_task(journal.delivered(since=NOW)) for _ in range(20)]
        asyncio.get_running_loop().call_later(delay, lambda: [read.cancel() for read in reads])
        await asyncio.wait(reads)
        assert len(await journal.delivered()) == 10
