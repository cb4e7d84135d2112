"""Group commit: concurrent writes share a transaction."""

from __future__ import annotations

import asyncio
import gc
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.journal import SqliteJournal, WriteFailedError
from tests.support.journal_thread import block_thread, record_transactions
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from pathlib import Path

CLAN = Resource(Kind.CLAN, "#2PP")
ABSENT = Resource(Kind.WAR, "#2PP")
OTHERS = [Resource(Kind.PLAYER, f"#P{number}") for number in range(400)]
SNAPSHOT = Snapshot({"name": "The Order"})


def make_event(number: int) -> Event:
    return Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0, metadata={"number": number})


async def numbers(journal: SqliteJournal) -> list[int]:
    return [entry.record.metadata["number"] for entry in await journal.pending(limit=10_000)]


async def start(*tasks: asyncio.Task[None]) -> None:
    """Run tasks that were just created until their first await."""
    assert not any(task.done() for task in tasks)
    await asyncio.sleep(0)


def long_window_journal(path: Path) -> SqliteJournal:
    """Return a journal in which writes wait until ``start_transaction``, however busy the machine is."""
    return SqliteJournal(path, batch_window=3600.0, acknowledge_window=3600.0)


async def start_transaction(journal: SqliteJournal) -> None:
    """Start the transaction of all earlier writes, and wait for it."""
    await journal.delete_snapshot(ABSENT)


@pytest.mark.parametrize(("commits", "transactions"), [(128, 1), (384, 3)])
async def test_concurrent_commits_share_transactions(path: Path, commits: int, transactions: int) -> None:
    # Full batches do not wait for the window to end.
    async with long_window_journal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        seen = record_transactions(journal)
        await asyncio.gather(*(journal.commit(OTHERS[n], SNAPSHOT, [make_event(n)]) for n in range(commits)))
        assert seen == ["COMMIT"] * transactions
        assert await numbers(journal) == list(range(commits))
        assert len(await journal.resources()) == commits


@pytest.mark.parametrize(("commits", "transactions"), [(1, 1), (20, 2), (300, 4)])
async def test_commits_during_a_transaction_share_the_next_one(path: Path, commits: int, transactions: int) -> None:
    async with SqliteJournal(path, batch_window=0) as journal:
        seen = record_transactions(journal)
        gate = block_thread(journal)
        tasks = [asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [make_event(n)])) for n in range(commits)]
        await start(*tasks)
        gate.set()
        await asyncio.wait(tasks)
        assert seen == ["COMMIT"] * transactions
        assert await numbers(journal) == list(range(commits))


async def test_failed_transaction_fails_all_its_writes_and_stores_none(path: Path) -> None:
    async with long_window_journal(path) as journal:
        await asyncio.gather(journal.commit(CLAN, SNAPSHOT, [make_event(0)]), start_transaction(journal))
        await journal._database.read(
            "CREATE TRIGGER fail AFTER INSERT ON event WHEN new.record LIKE '%:13}%' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        seen = record_transactions(journal)
        commits = [journal.commit(OTHERS[n], SNAPSHOT, [make_event(n), make_event(n)]) for n in range(1, 20)]
        writes = *commits, journal.acknowledge([1]), start_transaction(journal)
        failed = await asyncio.gather(*writes, return_exceptions=True)
        assert seen == ["ROLLBACK"]
        assert len({id(error) for error in failed}) == 1
        assert isinstance(failed[0], WriteFailedError)
        assert await numbers(journal) == [0]
        assert await journal.resources() == [CLAN]
        assert [await journal.snapshot(one) for one in OTHERS[:20]] == [None] * 20

        await journal._database.read("DROP TRIGGER fail")
        await asyncio.gather(journal.commit(CLAN, SNAPSHOT, [make_event(1)]), start_transaction(journal))
        assert [entry.seq for entry in await journal.pending()] == [1, 2]


async def test_event_that_is_not_json_fails_only_its_own_commit(path: Path) -> None:
    odd = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0, metadata={"odd": object()})
    async with SqliteJournal(path) as journal:
        commits = [journal.commit(OTHERS[n], SNAPSHOT, [odd if n == 3 else make_event(n)]) for n in range(6)]
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [TypeError]
        assert await numbers(journal) == [0, 1, 2, 4, 5]
        assert await journal.snapshot(OTHERS[3]) is None


async def test_concurrent_writes_are_executed_in_call_order(path: Path) -> None:
    watch = Watch(Kind.CLAN, "#2PP", 60.0)
    async with SqliteJournal(path) as journal:
        await asyncio.gather(
            journal.commit(CLAN, SNAPSHOT, [make_event(1)]),
            journal.delete_snapshot(CLAN),
            journal.commit(OTHERS[0], SNAPSHOT, []),
            journal.save_watch(watch, reset_snapshots=[OTHERS[0]]),
            journal.commit(OTHERS[1], SNAPSHOT, [make_event(2)]),
            journal.delete_watch(Kind.CLAN, "#2PP"),
            journal.delete_snapshot(OTHERS[2]),
            journal.commit(OTHERS[2], SNAPSHOT, [make_event(3)]),
            journal.acknowledge([2]),
        )
        assert await numbers(journal) == [1, 3]
        assert await journal.watches() == []
    async with SqliteJournal(path) as journal:
        assert await journal.resources() == [OTHERS[1], OTHERS[2]]
        assert await numbers(journal) == [1, 3]


async def test_commit_cancelled_in_the_window_stores_nothing_and_others_are_stored(path: Path) -> None:
    async with long_window_journal(path) as journal:
        tasks = [asyncio.create_task(journal.commit(OTHERS[n], SNAPSHOT, [make_event(n)])) for n in range(5)]
        await start(*tasks)
        tasks[2].cancel()
        await asyncio.wait({tasks[2]})
        await start_transaction(journal)
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, False, True, False, False]
        assert await numbers(journal) == [0, 1, 3, 4]
        assert await journal.snapshot(OTHERS[2]) is None


async def test_no_transaction_starts_if_all_writes_are_cancelled(path: Path) -> None:
    async with long_window_journal(path) as journal:
        seen = record_transactions(journal)
        tasks = [asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [make_event(n)])) for n in range(5)]
        await start(*tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await journal._committer.flush()
        await journal.counts()
        assert seen == []


async def test_commit_cancelled_in_its_transaction_ends_with_it(path: Path) -> None:
    async with SqliteJournal(path, batch_window=0) as journal, asyncio.timeout(LONG_ENOUGH):
        waiting = asyncio.create_task(journal.wait_pending(0))
        gate = block_thread(journal)
        task = asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [make_event(1)]))
        await start(task)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        gate.set()
        await asyncio.wait({task})
        assert task.cancelled()
        assert await numbers(journal) == [1]
        await waiting


@pytest.mark.parametrize("when", ["before the failure", "at the failure"])
async def test_failure_of_a_cancelled_commit_is_not_reported_as_unhandled(path: Path, when: str) -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    async with SqliteJournal(path, batch_window=0) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal._database.read("DROP TABLE event")
        gate = block_thread(journal)
        task = asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [make_event(1)]))
        await start(task)
        if when == "at the failure":
            assert journal._committer._transaction is not None
            journal._committer._transaction.add_done_callback(partial(lambda task, _: task.cancel(), task))
        else:
            task.cancel()
        gate.set()
        await asyncio.wait({task})
        assert task.cancelled()
        with pytest.raises(WriteFailedError):
            await journal.commit(CLAN, SNAPSHOT, [make_event(1)])
    del task
    gc.collect()  # an exception that was never retrieved is reported when its future is collected
    assert unhandled == []


async def test_close_stores_waiting_writes(path: Path) -> None:
    journal = long_window_journal(path)
    await journal.open()
    tasks = [asyncio.create_task(journal.commit(CLAN, SNAPSHOT, [make_event(n)])) for n in range(200)]
    await start(*tasks)
    await journal.close()
    await asyncio.gather(*tasks)
    async with SqliteJournal(path) as journal:
        assert await numbers(journal) == list(range(200))


async def test_close_stops_the_thread(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [])
        assert any(thread.name.startswith("journal") for thread in threading.enumerate())
    assert not any(thread.name.startswith("journal") for thread in threading.enumerate())
