"""A commit that is cancelled, whenever it is."""

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
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Task = asyncio.Task[None]

CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)
OLD, NEW = Snapshot({"name": "old"}), Snapshot({"name": "new"})
NOTHING, ALL = (OLD, 1), (NEW, 3)


async def state(journal: SqliteJournal) -> tuple[Snapshot | None, int]:
    return await journal.snapshot(CLAN), len(await journal.pending())


def its_caller(task: Task, _others: set[Task]) -> None:
    task.cancel()


def its_caller_again_and_again(task: Task, _others: set[Task]) -> None:
    for delay in range(4):
        asyncio.get_running_loop().call_later(delay * 0.0002, task.cancel)
    task.cancel()


def every_task_as_a_loop_that_ends(task: Task, others: set[Task]) -> None:
    for other in (task, *others):
        other.cancel()


def on_each_statement(journal: SqliteJournal, call: Callable[[str], None] | None) -> None:
    """Have it called from here on: what the journal is asked for later comes later in its thread as well."""
    database = journal._database
    database._run(lambda: database._open_connection().set_trace_callback(call))


def cancel_at_statement(
    journal: SqliteJournal, number: int, task: Task, cancel: Callable[[Task, set[Task]], None]
) -> None:
    """Have the task cancelled while SQLite is at its so manieth statement from here on."""
    loop, test = asyncio.get_running_loop(), asyncio.current_task()
    statements = itertools.count(1)

    def at_statement(_sql: str) -> None:
        if next(statements) == number:
            cancelled = threading.Event()

            def interrupt() -> None:
                cancel(task, {other for other in asyncio.all_tasks() if other is not test})
                cancelled.set()

            loop.call_soon_threadsafe(interrupt)
            assert cancelled.wait(30)

    on_each_statement(journal, at_statement)


def events_on_disk(path: Path) -> int:
    """Count what is committed, in a copy, because no other program can look into the file."""
    # By another program: to close a file here would give up the lock on it.
    copy = path.with_suffix(".copy")
    subprocess.run(["/bin/sh", "-c", f"cp {path} {copy}; cp {path}-wal {copy}-wal"], check=True)
    with closing(sqlite3.connect(copy)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM event").fetchall()
    return int(count)


@pytest.mark.parametrize("cancel", [its_caller, its_caller_again_and_again, every_task_as_a_loop_that_ends])
async def test_a_commit_cancelled_at_any_statement_stores_all_or_nothing(
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
            on_each_statement(journal, None)

            await journal.commit(CLAN, OLD, [EVENT])
            assert await state(journal) == (OLD, outcomes[-1][1] + 1)
        if not task.cancelled():
            break
    assert len(outcomes) >= 6  # BEGIN, the snapshot, two events, COMMIT; and not cancelled
    assert set(map(repr, outcomes)) <= {repr(NOTHING), repr(ALL)}
    assert outcomes[-1] == ALL


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_cancelled_commit_is_over_when_its_caller_hears_of_it(path: Path, number: int) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        task = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT, EVENT]))
        cancel_at_statement(journal, number, task, its_caller)
        await asyncio.wait({task})
        at_once = events_on_disk(path)
        assert task.cancelled()
        assert len(await journal.pending()) == at_once


async def test_a_commit_that_fails_after_it_was_cancelled_leaves_no_complaint_behind(path: Path) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal._database.read("CREATE TRIGGER fail AFTER INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END")
        task = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT]))
        cancel_at_statement(journal, 1, task, its_caller)
        await asyncio.wait({task})
        assert task.cancelled()
        assert await journal.snapshot(CLAN) is None
    del task
    gc.collect()  # what nobody asked for is complained of when it goes
    assert complaints == []


async def test_a_commit_cancelled_while_it_waits_for_its_turn_stores_nothing(path: Path) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal.commit(CLAN, OLD, [EVENT])
        first = asyncio.create_task(journal.delete_snapshot(Resource(Kind.PLAYER, "#PYL")))
        second = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT, EVENT]))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({first, second})
        assert second.cancelled()
        assert not first.cancelled()
        assert await state(journal) == NOTHING


async def test_whoever_waits_hears_of_events_whose_commit_was_cancelled_too_late(path: Path) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        waiting = asyncio.create_task(journal.wait_pending(0))
        await journal.counts()
        task = asyncio.create_task(journal.commit(CLAN, NEW, [EVENT, EVENT]))
        cancel_at_statement(journal, 3, task, its_caller_again_and_again)
        await asyncio.wait({task})
        assert task.cancelled()
        await waiting
        assert len(await journal.pending()) == 2


@pytest.mark.parametrize("delay", [0, 0.0001, 0.0003, 0.001])
async def test_cancelled_reads_leave_a_usable_journal(path: Path, delay: float) -> None:
    async with SqliteJournal(path) as journal, asyncio.timeout(LONG_ENOUGH):
        await journal.commit(CLAN, OLD, [EVENT])
        reads = [asyncio.create_task(journal.pending()) for _ in range(20)]
        asyncio.get_running_loop().call_later(delay, lambda: [read.cancel() for read in reads])
        await asyncio.wait(reads)
        assert await state(journal) == NOTHING


async def test_journal_opens_again_while_a_cancelled_close_is_under_way(path: Path) -> None:
    journal = SqliteJournal(path)
    async with asyncio.timeout(LONG_ENOUGH):
        await journal.open()
        await journal.commit(CLAN, OLD, [EVENT])
        gate = threading.Event()
        held = journal._database._run(gate.wait, 30)
        closing = asyncio.create_task(journal.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        assert closing.cancelled()
        opening = asyncio.create_task(journal.open())
        await asyncio.sleep(0)
        gate.set()
        await held
        await opening
        assert await state(journal) == NOTHING
        await journal.close()
