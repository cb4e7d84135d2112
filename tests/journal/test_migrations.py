from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import aiosqlite
import pytest

from coc2mqtt.journal import CannotOpenError, NewerSchemaError, SqliteJournal
from coc2mqtt.journal.migrations import APPLICATION_ID, MIGRATIONS, migrate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


async def migrated(path: Path, migrations: Sequence[Sequence[str]]) -> None:
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        await migrate(connection, migrations=migrations)


@pytest.mark.parametrize("before", [None, b""], ids=["no file", "an empty file"])
async def test_an_empty_file_is_brought_from_version_0_to_the_latest(path: Path, before: bytes | None) -> None:
    if before is not None:
        write(path, before)
    for _ in range(2):
        async with SqliteJournal(path) as journal:
            assert await journal.resources() == []
        assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


async def test_only_the_steps_that_are_missing_are_made(path: Path) -> None:
    await migrated(path, [FIRST])
    assert tables(path) == ["a"]
    await migrated(path, [FIRST, SECOND])
    assert tables(path) == ["a", "b"]
    await migrated(path, [FIRST, SECOND])
    assert ask(path, "PRAGMA user_version") == [(2,)]


async def test_a_step_that_fails_is_undone_and_those_before_it_stand(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await migrated(path, [FIRST, FAULTY, SECOND])
    assert tables(path) == ["a"]
    assert ask(path, "PRAGMA user_version") == [(1,)]


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
