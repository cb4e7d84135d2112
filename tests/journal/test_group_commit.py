"""What is to be written at about the same time shares a transaction."""

from __future__ import annotations

import asyncio
import gc
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import SqliteJournal, WriteFailedError
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from pathlib import Path

CLAN = Resource(Kind.CLAN, "#2PP")
ABSENT = Resource(Kind.WAR, "#2PP")
OTHERS = [Resource(Kind.PLAYER, f"#P{number}") for number in range(400)]
SNAPSHOT = Snapshot({"name": "The Order"})


def happened(number: int) -> Event:
    return Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0, metadata={"number": number})


async def numbers(journal: SqliteJournal) -> list[int]:
    return [entry.record.metadata["number"] for entry in await journal.pending(limit=10_000)]


def note_transactions(journal: SqliteJournal) -> list[str]:
    """Return a list of the transactions from here on, which grows."""
    seen: list[str] = []

    def take(statement: str) -> None:
        if statement in {"COMMIT", "ROLLBACK"}:
            seen.append(statement)

    database = journal._database
    database._run(lambda: database._open_connection().set_trace_callback(take))
    return seen


def hold_up(journal: SqliteJournal) -> threading.Event:
    """Hold up the journal's thread until the event is set."""
    gate = threading.Event()
    journal._database._run(gate.wait, 30)
    return gate


async def begun(*tasks: asyncio.Task[None]) -> None:
    """Let tasks that were just created take their first step."""
    assert not any(task.done() for task in tasks)
    await asyncio.sleep(0)


def waiting_journal(path: Path) -> SqliteJournal:
    """Return a journal in which writes wait, however busy the machine is, until ``start_transaction``."""
    return SqliteJournal(path, batch_window=3600.0, acknowledge_window=3600.0)


async def start_transaction(journal: SqliteJournal) -> None:
    """Start the transaction of all the writes that were called for before, and wait for it."""
    await journal.delete_snapshot(ABSENT)


@pytest.mark.parametrize(("commits", "transactions"), [(128, 1), (384, 3)])
async def test_commits_of_the_same_moment_share_few_transactions(path: Path, commits: int, transactions: int) -> None:
    # Full as they are, they do not wait for others.
    async with waiting_journal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        seen = note_transactions(journal)
        await asyncio.gather(*(journal.commit(OTHERS[n], SNAPSHOT, [happened(n)]) for n in range(commits)))
        assert seen == ["COMMIT"] * transactions
        assert await numbers(journal) == list(range(commits))
        assert len(await journal.resources()) == commits


@pytest.mark.parametrize(("commits", "transactions"), [(1, 1), (20, 2), (300, 4)])
async def test_what_is_called_for_while_a_transaction_is_under_way_shares_the_next_one(
    path: Path, commits: int, transactions: int
) -> None:
    async with SqliteJournal(path, batch_window=0) as journal:
        seen = note_transactions(journal)
        gate = hold_up(journal)
        tasks = [asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [happened(n)])) for n in range(commits)]
        await begun(*tasks)
        gate.set()
        await asyncio.wait(tasks)
        assert seen == ["COMMIT"] * transactions
        assert await numbers(journal) == list(range(commits))


async def test_where_a_transaction_fails_all_that_share_it_fail_and_none_is_stored(path: Path) -> None:
    async with waiting_journal(path) as journal:
        await asyncio.gather(journal.commit(CLAN, SNAPSHOT, [happened(0)]), start_transaction(journal))
        await journal._database.read(
            "CREATE TRIGGER fail AFTER INSERT ON event WHEN new.record LIKE '%:13}%' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        seen = note_transactions(journal)
        commits = [journal.commit(OTHERS[n], SNAPSHOT, [happened(n), happened(n)]) for n in range(1, 20)]
        everything = *commits, journal.acknowledge([1]), start_transaction(journal)
        failed = await asyncio.gather(*everything, return_exceptions=True)
        assert seen == ["ROLLBACK"]
        assert len({id(error) for error in failed}) == 1
        assert isinstance(failed[0], WriteFailedError)
        assert await numbers(journal) == [0]
        assert await journal.resources() == [CLAN]
        assert [await journal.snapshot(one) for one in OTHERS[:20]] == [None] * 20

        await journal._database.read("DROP TRIGGER fail")
        await asyncio.gather(journal.commit(CLAN, SNAPSHOT, [happened(1)]), start_transaction(journal))
        assert [entry.seq for entry in await journal.pending()] == [1, 2]


async def test_what_cannot_be_written_as_json_harms_nobody_else(path: Path) -> None:
    odd = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0, metadata={"odd": object()})
    async with SqliteJournal(path) as journal:
        commits = [journal.commit(OTHERS[n], SNAPSHOT, [odd if n == 3 else happened(n)]) for n in range(6)]
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [TypeError]
        assert await numbers(journal) == [0, 1, 2, 4, 5]
        assert await journal.snapshot(OTHERS[3]) is None


async def test_everything_is_done_in_the_order_in_which_it_was_called_for(path: Path) -> None:
    watch = Watch(Kind.CLAN, "#2PP", 60.0)
    async with SqliteJournal(path) as journal:
        await asyncio.gather(
            journal.commit(CLAN, SNAPSHOT, [happened(1)]),
            journal.delete_snapshot(CLAN),
            journal.commit(OTHERS[0], SNAPSHOT, []),
            journal.save_watch(watch, reset_snapshots=[OTHERS[0]]),
            journal.commit(OTHERS[1], SNAPSHOT, [happened(2)]),
            journal.delete_watch(Kind.CLAN, "#2PP"),
            journal.delete_snapshot(OTHERS[2]),
            journal.commit(OTHERS[2], SNAPSHOT, [happened(3)]),
            journal.acknowledge([2]),
        )
        assert await numbers(journal) == [1, 3]
        assert await journal.watches() == []
    async with SqliteJournal(path) as journal:
        assert await journal.resources() == [OTHERS[1], OTHERS[2]]
        assert await numbers(journal) == [1, 3]


async def test_one_that_is_cancelled_while_it_waits_for_others_stores_nothing_and_they_do(path: Path) -> None:
    async with waiting_journal(path) as journal:
        tasks = [asyncio.create_task(journal.commit(OTHERS[n], SNAPSHOT, [happened(n)])) for n in range(5)]
        await begun(*tasks)
        tasks[2].cancel()
        await asyncio.wait({tasks[2]})
        await start_transaction(journal)
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, False, True, False, False]
        assert await numbers(journal) == [0, 1, 3, 4]
        assert await journal.snapshot(OTHERS[2]) is None


async def test_where_all_are_cancelled_nothing_happens(path: Path) -> None:
    async with waiting_journal(path) as journal:
        seen = note_transactions(journal)
        tasks = [asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [happened(n)])) for n in range(5)]
        await begun(*tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await journal._committer.flush()
        await journal.counts()
        assert seen == []


async def test_one_that_is_cancelled_in_the_transaction_is_over_with_it(path: Path) -> None:
    async with SqliteJournal(path, batch_window=0) as journal, asyncio.timeout(LONG_ENOUGH):
        waiting = asyncio.create_task(journal.wait_pending(0))
        gate = hold_up(journal)
        task = asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [happened(1)]))
        await begun(task)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        gate.set()
        await asyncio.wait({task})
        assert task.cancelled()
        assert await numbers(journal) == [1]
        await waiting


@pytest.mark.parametrize("when", ["before it fails", "as it fails"])
async def test_a_caller_who_is_cancelled_hears_nothing_of_a_failure_and_nor_does_anybody(path: Path, when: str) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with SqliteJournal(path, batch_window=0) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal._database.read("DROP TABLE event")
        gate = hold_up(journal)
        task = asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [happened(1)]))
        await begun(task)
        if when == "as it fails":
            assert journal._committer._transaction is not None
            journal._committer._transaction.add_done_callback(partial(lambda task, _: task.cancel(), task))
        else:
            task.cancel()
        gate.set()
        await asyncio.wait({task})
        assert task.cancelled()
        with pytest.raises(WriteFailedError):
            await journal.commit(CLAN, SNAPSHOT, [happened(1)])
    del task
    gc.collect()  # what nobody asked for is complained of when it goes
    assert complaints == []


async def test_closing_stores_what_waits_for_others(path: Path) -> None:
    journal = waiting_journal(path)
    await journal.open()
    tasks = [asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [happened(n)])) for n in range(200)]
    await begun(*tasks)
    await journal.close()
    await asyncio.gather(*tasks)
    async with SqliteJournal(path) as journal:
        assert await numbers(journal) == list(range(200))


async def test_nothing_of_the_journals_thread_is_left_when_it_is_closed(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [])
        assert any(thread.name.startswith("journal") for thread in threading.enumerate())
    assert not any(thread.name.startswith("journal") for thread in threading.enumerate())
