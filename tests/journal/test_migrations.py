from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import CannotOpenError, NewerSchemaError, SqliteJournal
from coc2mqtt.journal.codec import encode_record, encode_snapshot, encode_watch
from coc2mqtt.journal.migrations import APPLICATION_ID, MIGRATIONS, migrate

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)
FIRST, SECOND, FAULTY = ("CREATE TABLE a (x)",), ("CREATE TABLE b (x)",), ("CREATE TABLE c (x)", "no SQL")


def ask(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Return the rows of the last of some statements."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def tables(path: Path) -> list[str]:
    return [str(name) for (name,) in ask(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def content(path: Path) -> bytes:
    return path.read_bytes()


def migrated(path: Path, migrations: Sequence[Sequence[str]]) -> int:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return migrate(connection, migrations=migrations)


@pytest.mark.parametrize("before", [None, b""], ids=["no file", "an empty file"])
async def test_an_empty_file_is_brought_from_version_0_to_the_latest(path: Path, before: bytes | None) -> None:
    if before is not None:
        write(path, before)
    for _ in range(2):
        async with SqliteJournal(path) as journal:
            assert await journal.resources() == []
        assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


def test_only_the_steps_that_are_missing_are_made(path: Path) -> None:
    assert migrated(path, [FIRST]) == 1
    assert tables(path) == ["a"]
    assert migrated(path, [FIRST, SECOND]) == 1
    assert tables(path) == ["a", "b"]
    assert migrated(path, [FIRST, SECOND]) == 0
    assert ask(path, "PRAGMA user_version") == [(2,)]


def test_a_step_that_fails_is_undone_and_those_before_it_stand(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        migrated(path, [FIRST, FAULTY, SECOND])
    assert tables(path) == ["a"]
    assert ask(path, "PRAGMA user_version") == [(1,)]


def begin_first_version(path: Path) -> None:
    """Write what the first version of the program did, before there were checksums."""
    snapshot, watch = Snapshot({"name": "The Order"}, {}, 7.0), Watch(Kind.CLAN, "#2PP", 60.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, migrations=MIGRATIONS[:1])
        connection.execute(
            "INSERT INTO snapshot VALUES ('clan', '#2PP', 7.0, ?)", (zstd.compress(encode_snapshot(snapshot)),)
        )
        connection.execute(
            "INSERT INTO event (id, kind, timestamp, record) VALUES ('4', 'clan', ?, ?)",
            (EVENT.timestamp, encode_record(EventRecord.of(EVENT))),
        )
        connection.execute("INSERT INTO watch (kind, tag, body) VALUES ('clan', '#2PP', ?)", (encode_watch(watch),))


async def test_a_file_of_the_first_version_is_read_and_written(path: Path) -> None:
    await asyncio.to_thread(begin_first_version, path)
    for pending in (1, 2):
        async with SqliteJournal(path) as journal:
            assert await journal.snapshot(CLAN) == Snapshot({"name": "The Order"}, {}, 7.0)
            assert [one.watch for one in await journal.watches()] == [Watch(Kind.CLAN, "#2PP", 60.0)]
            assert [entry.seq for entry in await journal.pending()] == list(range(1, pending + 1))
            await journal.commit(CLAN, None, [EVENT])
            await journal.prune(EVENT.timestamp)


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    async with SqliteJournal(path):
        pass
    ask(path, "PRAGMA user_version = 99")
    with pytest.raises(NewerSchemaError) as caught:
        async with SqliteJournal(path):
            pass
    assert str(caught.value) == (
        f"the journal {path} cannot be opened, a newer coc2mqtt wrote it (schema 99, this one knows "
        f"{len(MIGRATIONS)}): update coc2mqtt, or name another file as journal.path"
    )
    assert ask(path, "PRAGMA user_version") == [(99,)]


async def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    ask(path, "CREATE TABLE states (entity_id)")
    before = content(path)
    with pytest.raises(CannotOpenError) as caught:
        async with SqliteJournal(path):
            pass
    assert str(caught.value) == (
        f"the journal {path} cannot be opened, it is another program's database: name another file as journal.path"
    )
    assert content(path) == before
