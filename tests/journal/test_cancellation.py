"""Cancellation of a commit, a read or a close at any moment."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sqlite3
import subprocess
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import SqliteJournal
from tests.support.journal_thread import block_thread, trace_statements
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Task = asyncio.Task[None]

CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)
OLD, NEW = Snapshot({"name": "old"}), Snapshot({"name": "new"})
NOT_STORED, STORED = (OLD, 1), (NEW, 3)


async def state(journal: SqliteJournal) -> tuple[Snapshot | None, int]:
    return await journal.snapshot(CLAN), len(await journal.pending())


def cancel_once(task: Task, _others: set[Task]) -> None:
    task.cancel()


def cancel_repeatedly(task: Task, _others: set[Task]) -> None:
    for delay in range(4):
        asyncio.get_running_loop().call_later(delay * 0.0002, task.cancel)
    task.cancel()


def cancel_all_tasks(task: Task, others: set[Task]) -> None:
    """Cancel all tasks, as a loop that shuts down does."""
    for other in (task, *others):
        other.cancel()


def cancel_at_statement(
    journal: SqliteJournal, number: int, task: Task, cancel: Callable[[Task, set[Task]], None]
) -> None:
    """Cancel the task while SQLite executes the statement with this number, counted from 1 from now on."""
    loop, test = asyncio.get_running_loop(), asyncio.current_task()
    statements = itertools.count(1)

    def at_statement(_sql: str) -> None:
        if next(statements) == number:
            cancelled = threading.Event()

            def cancel_in_loop() -> None:
                cancel(task, {other for other in asyncio.all_tasks() if other is not test})
                cancelled.set()

            loop.call_soon_threadsafe(cancel_in_loop)
            assert cancelled.wait(30)

    trace_statements(journal, at_statement)


def count_events_on_disk(path: Path) -> int:
    """Count the committed events in a copy, because no other program can open the file."""
    # Copied by another process: closing the file in this one would release SQLite's lock on it.
    copy = path.with_suffix(".copy")
    subprocess.run(["/bin/sh", "-c", f"cp {path} {copy}; cp {path}-wal {copy}-wal"], check=True)
    with closing(sqlite3.connect(copy)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM event").fetchall()
    return int(count)


@pytest.mark.parametrize("cancel", [cancel_once, cancel_repeatedly, cancel_all_tasks])
async def test_commit_cancelled_at_any_statement_stores_all_or_nothing(
    tmp_path: Path, cancel: Callable[[Task, set[Task]], None]
) -> None:
    outcomes = []
    for number in itertools.count(1):
        async with SqliteJournal(tmp_path / f"{number}.db") as journal, asyncio.timeout(LONG_ENOUGH):
            await journal.commit(CLAN, OLD, [EVENT])
            task = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT, EVENT]))
            cancel_at_statement(journal, number, task, cancel)
            await asyncio.wait({task})
            outcomes.append(await state(journal))
            trace_statements(journal, None)

            await journal.commit(CLAN, OLD, [EVENT])
            assert await state(journal) == (OLD, outcomes[-1][1] + 1)
        if not task.cancelled():
            break
    assert len(outcomes) >= 6  # BEGIN, the snapshot, two events, COMMIT, and a commit that was not cancelled
    assert set(map(repr, outcomes)) <= {repr(NOT_STORED), repr(STORED)}
    assert outcomes[-1] == STORED


@pytest.mark.parametrize("number", range(1, 6))
async def test_cancelled_commit_raises_only_after_its_transaction_ended(path: Path, number: int) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        task = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT, EVENT]))
        cancel_at_statement(journal, number, task, cancel_once)
        await asyncio.wait({task})
        on_disk = count_events_on_disk(path)
        assert task.cancelled()
        assert len(await journal.pending()) == on_disk


async def test_commit_that_fails_after_its_cancellation_reports_no_unhandled_error(path: Path) -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal._database.read("CREATE TRIGGER fail AFTER INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END")
        task = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT]))
        cancel_at_statement(journal, 1, task, cancel_once)
        await asyncio.wait({task})
        assert task.cancelled()
        assert await journal.snapshot(CLAN) is None
    del task
    gc.collect()  # an exception that was never retrieved is reported when its future is collected
    assert unhandled == []


async def test_commit_cancelled_before_its_transaction_stores_nothing(path: Path) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal.commit(CLAN, OLD, [EVENT])
        first = asyncio.create_task(journal.delete_snapshot(Resource(Kind.PLAYER, "#PYL")))
        second = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT, EVENT]))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({first, second})
        assert second.cancelled()
        assert not first.cancelled()
        assert await state(journal) == NOT_STORED


async def test_wait_pending_returns_for_a_commit_cancelled_too_late(path: Path) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        waiting = asyncio.create_task(journal.wait_pending(0))
        await journal.counts()
        task = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT, EVENT]))
        cancel_at_statement(journal, 3, task, cancel_repeatedly)
        await asyncio.wait({task})
        assert task.cancelled()
        await waiting
        assert len(await journal.pending()) == 2


@pytest.mark.parametrize("delay", [0, 0.0001, 0.0003, 0.001])
async def test_cancelled_reads_leave_the_journal_usable(path: Path, delay: float) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal.commit(CLAN, OLD, [EVENT])
        reads = [asyncio.create_task(journal.pending()) for _ in range(20)]
        asyncio.get_running_loop().call_later(delay, lambda: [read.cancel() for read in reads])
        await asyncio.wait(reads)
        assert await state(journal) == NOT_STORED


async def test_open_waits_for_a_cancelled_close(path: Path) -> None:
    journal = SqliteJournal(path)
    async with asyncio.timeout(LONG_ENOUGH):
        await journal.open()
        await journal.commit(CLAN, OLD, [EVENT])
        gate = block_thread(journal)
        closing = asyncio.create_task(journal.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        assert closing.cancelled()
        opening = asyncio.create_task(journal.open())
        await asyncio.sleep(0)
        gate.set()
        await opening
        assert await state(journal) == NOT_STORED
        await journal.close()
