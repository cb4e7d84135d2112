"""The cost of a call does not grow with the stored delivered events. It is counted in steps and bytes, not in time."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.journal import CorruptJournalError, SqliteJournal
from coc2mqtt.journal.codec import checksum, encode_record
from coc2mqtt.journal.schema import create_schema
from tests.support.journal_files import PAGE_BYTES, execute_without_index, overwrite, query
from tests.support.journal_thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NOW = 1_800_000_000.0
DAY = 86_400.0
CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW, metadata={"note": "x" * 400})
FEW, MANY = 2_000, 60_000
MB = 1_000_000

_FILL = """
    WITH RECURSIVE number(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM number WHERE seq < :count)
    INSERT INTO event (seq, id, kind, timestamp, record, delivered_at, checksum)
    SELECT seq, 'id', 'clan', :now + seq, :record, :now + seq, :checksum FROM number
"""
_FILL_INDEX = "INSERT INTO time_index (seq, latest) SELECT seq, timestamp FROM event WHERE seq % 1000 = 0"


def fill(path: Path, count: int) -> None:
    """Create a journal with ``count`` delivered events, one for each second from NOW on."""
    record = encode_record(EventRecord.of(EVENT))
    parameters = {"count": count, "now": NOW, "record": record, "checksum": checksum("id", "clan", record)}
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        create_schema(connection)
        connection.execute(_FILL, parameters)
        connection.execute(_FILL_INDEX)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a journal with many delivered events, which must not be changed."""
    path = tmp_path_factory.mktemp("large") / "coc2mqtt.db"
    fill(path, MANY)
    return path


@pytest.fixture
def large_path(large: Path, path: Path) -> Path:
    shutil.copy(large, path)
    return path


async def count_steps(journal: SqliteJournal, call: Callable[[], Awaitable[Any]]) -> int:
    """Return the number of virtual machine steps that SQLite takes for a call, in hundreds."""
    count = 0

    def on_progress() -> int:
        nonlocal count
        count += 1
        return 0

    await run_in_thread(journal, lambda connection: connection.set_progress_handler(on_progress, 100))
    await call()
    return count


@pytest.mark.parametrize(
    ("call", "more"),
    # A search by time examines all events of one chunk, which are up to 5,000.
    [
        (lambda journal, _: journal.counts(), 100),
        (lambda journal, _: journal.last_delivered(), 100),
        (lambda journal, _: journal.pending(), 100),
        (lambda journal, _: journal.prune(NOW), 100),
        (lambda journal, _: journal.commit(CLAN, None, [EVENT] * 2), 100),
        (lambda journal, count: journal.acknowledge([count + 1]), 100),
        (lambda journal, count: journal.delivered(after=count - 50, limit=50), 100),
        (lambda journal, count: journal.delivered(since=NOW + count - 50, limit=50), 1000),
        (lambda journal, count: journal.delivered(since=NOW + count / 2, limit=50), 1000),
    ],
    ids=["counts", "last", "pending", "prune", "commit", "acknowledge", "after", "since", "since-half"],
)
async def test_steps_of_a_call_do_not_grow_with_the_delivered_events(
    large_path: Path, tmp_path: Path, call: Callable[[SqliteJournal, int], Awaitable[Any]], more: int
) -> None:
    small_path = tmp_path / "small.db"
    await asyncio.to_thread(fill, small_path, FEW)
    steps = []
    for file, count in ((small_path, FEW), (large_path, MANY)):
        async with SqliteJournal(file, clock=lambda: NOW) as journal:
            await journal.commit(CLAN, None, [EVENT])
            steps.append(await count_steps(journal, lambda: call(journal, count)))  # noqa: B023 - called at once
    # Reading each event once takes more than 1,000 hundreds of steps in the larger journal.
    assert steps[1] < steps[0] + more


def bytes_read() -> int:
    """Return the number of bytes that this process has read since its start."""
    return int(re.findall(r"rchar: (\d+)", Path("/proc/self/io").read_text())[0])


async def test_open_reads_a_large_file_only_in_part(large_path: Path) -> None:
    path = large_path
    assert path.stat().st_size > 20 * MB
    for _ in range(2):  # the second time after a commit
        before = bytes_read()
        async with SqliteJournal(path, clock=lambda: NOW) as journal:
            assert bytes_read() - before < 10 * MB
            await journal.commit(CLAN, None, [EVENT])


async def test_searches_by_time_stay_exact_after_prune(large_path: Path) -> None:
    path = large_path
    async with SqliteJournal(path, clock=lambda: NOW, keep_delivered=timedelta(days=1)) as journal:
        assert await journal.prune(NOW + DAY + 10_001) == 10_000
        assert [entry.seq for entry in await journal.delivered(since=NOW, limit=1)] == [10_001]
        for seq in (10_001, 11_500, 12_000, 12_001, MANY):
            assert [entry.seq for entry in await journal.delivered(since=NOW + seq - 0.5, limit=1)] == [seq]
        assert await journal.delivered(since=NOW + MANY + 1) == []
        assert await journal.prune(NOW + 7 * DAY) == MANY - 10_000
        await journal.commit(CLAN, None, [EVENT])
        await journal.acknowledge([MANY + 1])
        assert [entry.seq for entry in await journal.delivered(since=NOW)] == [MANY + 1]


def timestamp_with_wrong_clock(seq: int) -> float:
    """Return the timestamp of an event. The clock is an hour ahead for some events, two hours behind for others."""
    return NOW + seq + (3600 if 2900 <= seq <= 3100 else -7200 if 6500 <= seq <= 7500 else 0)


async def test_search_by_time_finds_the_first_event_if_the_clock_was_set(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        for first in range(1, 10_001, 250):
            seqs = range(first, first + 250)
            await journal.commit(
                CLAN,
                None,
                [Event(EventType.CLAN_UPDATED, "#2PP", timestamp=timestamp_with_wrong_clock(seq)) for seq in seqs],
            )
        await journal.acknowledge(range(1, 10_001))
        assert await journal._database.read("SELECT count(*) > 5 FROM time_index") == [(1,)]
        for since, first in ((100, 100), (2899, 2899), (2899.5, 2900), (5000, 2900), (6650, 3050), (6701, 7501)):
            assert [entry.seq for entry in await journal.delivered(since=NOW + since, limit=1)] == [first]
        for since, after, first in ((6000, 6499, 7501), (7500.5, 0, 7501), (2000, 2500, 2501)):
            assert [entry.seq for entry in await journal.delivered(since=NOW + since, after=after, limit=1)] == [first]


async def test_search_by_time_finds_events_of_several_runs(path: Path) -> None:
    second = 0
    for _ in range(3):
        async with SqliteJournal(path, clock=lambda: NOW) as journal:
            for _ in range(5):
                events = [
                    Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW + second + number) for number in range(1, 301)
                ]
                await journal.commit(CLAN, None, events)
                second += 300
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.acknowledge(range(1, 4501))
        assert await journal._database.read("SELECT count(*) > 2 FROM time_index") == [(1,)]
        for seq in range(1, 4501, 97):
            assert [entry.seq for entry in await journal.delivered(since=NOW + seq, limit=1)] == [seq]


@pytest.mark.parametrize("pending", [0, 30])
async def test_open_large_file_detects_a_pending_event_missing_in_the_index(large_path: Path, pending: int) -> None:
    path = large_path
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, None, [EVENT] * 40)
        await journal.acknowledge(range(MANY + 1, MANY + 41 - pending))
    execute_without_index(path, f"UPDATE event SET delivered_at = NULL WHERE seq = {MANY - 5000}")  # noqa: S608
    journal = SqliteJournal(path, clock=lambda: NOW)
    with pytest.raises(
        CorruptJournalError, match=f"{pending + 1} events are pending, but index event_pending has {pending}"
    ):
        await journal._database.open()
    await journal.close()


async def test_open_large_file_detects_a_corrupt_page_of_another_table(large_path: Path) -> None:
    path = large_path
    ((page,),) = query(path, "SELECT rootpage FROM sqlite_master WHERE name = 'watch'")
    assert isinstance(page, int)
    overwrite(path, (page - 1) * PAGE_BYTES, page * PAGE_BYTES)
    journal = SqliteJournal(path, clock=lambda: NOW)
    with pytest.raises(CorruptJournalError):
        await journal._database.open()
    await journal.close()
