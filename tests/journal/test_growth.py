"""What the journal does takes no longer the more delivered events it keeps: counted in steps and bytes, not seconds."""

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
from tests.support.damage import change

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
    """A journal with many delivered events, to copy."""
    path = tmp_path_factory.mktemp("large") / "coc2mqtt.db"
    fill(path, MANY)
    return path


@pytest.fixture
def large_path(large: Path, path: Path) -> Path:
    shutil.copy(large, path)
    return path


class Steps:
    """Counts the hundreds of steps that SQLite takes."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._database = journal._database
        self._count = 0

    def _one_more(self) -> int:
        self._count += 1
        return 0

    async def of(self, call: Callable[[], Awaitable[Any]]) -> int:
        await self._database._run(lambda: self._database._open_connection().set_progress_handler(self._one_more, 100))
        before = self._count
        await call()
        return self._count - before


@pytest.mark.parametrize(
    ("call", "more"),
    # A search by time looks at all events of one stretch, which are up to 5,000.
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
            steps.append(await Steps(journal).of(lambda: call(journal, count)))  # noqa: B023 - called at once
    # To look at each event once is more than 1,000 hundreds of steps in the larger one.
    assert steps[1] < steps[0] + more


def bytes_read() -> int:
    """Return how much this process has read, from wherever, since it was started."""
    return int(re.findall(r"rchar: (\d+)", Path("/proc/self/io").read_text())[0])


async def test_open_reads_a_large_file_only_in_part(large_path: Path) -> None:
    path = large_path
    assert path.stat().st_size > 20 * MB
    for _ in range(2):  # the second time as it was left by the first
        before = bytes_read()
        async with SqliteJournal(path, clock=lambda: NOW) as journal:
            assert bytes_read() - before < 10 * MB
            await journal.commit(CLAN, None, [EVENT])


async def test_prune_deletes_what_is_too_old_and_keeps_searches_by_time_exact(large_path: Path) -> None:
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


def clock_that_was_set(seq: int) -> float:
    """Return when an event was seen: by a clock an hour ahead for some events, two hours behind for others."""
    return NOW + seq + (3600 if 2900 <= seq <= 3100 else -7200 if 6500 <= seq <= 7500 else 0)


async def test_search_by_time_finds_the_first_event_wherever_a_clock_was_set(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        for first in range(1, 10_001, 250):
            seqs = range(first, first + 250)
            await journal.commit(
                CLAN, None, [Event(EventType.CLAN_UPDATED, "#2PP", timestamp=clock_that_was_set(seq)) for seq in seqs]
            )
        await journal.acknowledge(range(1, 10_001))
        assert await journal._database.read("SELECT count(*) > 5 FROM time_index") == [(1,)]
        for since, first in ((100, 100), (2899, 2899), (2899.5, 2900), (5000, 2900), (6650, 3050), (6701, 7501)):
            assert [entry.seq for entry in await journal.delivered(since=NOW + since, limit=1)] == [first]
        for since, after, first in ((6000, 6499, 7501), (7500.5, 0, 7501), (2000, 2500, 2501)):
            assert [entry.seq for entry in await journal.delivered(since=NOW + since, after=after, limit=1)] == [first]


async def test_search_by_time_finds_what_was_committed_in_several_runs(path: Path) -> None:
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
async def test_pending_event_missing_in_the_index_of_a_large_file_is_found_at_start(
    large_path: Path, pending: int
) -> None:
    path = large_path
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, None, [EVENT] * 40)
        await journal.acknowledge(range(MANY + 1, MANY + 41 - pending))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        ((page, sql),) = connection.execute(
            "SELECT rootpage, sql FROM sqlite_master WHERE name = 'event_pending'"
        ).fetchall()
    change(path, "PRAGMA writable_schema = ON", "DELETE FROM sqlite_master WHERE name = 'event_pending'")
    change(path, f"UPDATE event SET delivered_at = NULL WHERE seq = {MANY - 5000}")  # noqa: S608 - a number
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql)"
            " VALUES ('index', 'event_pending', 'event', ?, ?)",
            (page, sql),
        )
    journal = SqliteJournal(path, clock=lambda: NOW)
    with pytest.raises(
        CorruptJournalError, match=f"{pending + 1} events are pending, but index event_pending has {pending}"
    ):
        await journal._database.open()
    await journal.close()


async def test_damage_to_another_table_of_a_large_file_is_found_at_start(large_path: Path) -> None:
    path = large_path
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'watch'").fetchall()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    journal = SqliteJournal(path, clock=lambda: NOW)
    with pytest.raises(CorruptJournalError):
        await journal._database.open()
    await journal.close()
