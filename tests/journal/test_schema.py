"""The schema of the journal's file: created in a new file, refused when another or a newer program wrote it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.journal import CannotOpenError, NewerSchemaError, SqliteJournal
from coc2mqtt.journal.schema import APPLICATION_ID, SCHEMA_VERSION
from coc2mqtt.journal.sqlite_errors import OTHER_FILE

if TYPE_CHECKING:
    from pathlib import Path


def ask(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Return the rows of the last of some statements."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def content(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("before", [None, b""], ids=["missing", "empty"])
async def test_open_missing_or_empty_file_creates_the_schema_once(path: Path, before: bytes | None) -> None:
    if before is not None:
        write(path, before)
    for _ in range(2):
        async with SqliteJournal(path) as journal:
            assert await journal.resources() == []
        assert ask(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    async with SqliteJournal(path):
        pass
    ask(path, "PRAGMA user_version = 99")
    with pytest.raises(NewerSchemaError) as caught:
        async with SqliteJournal(path):
            pass
    assert str(caught.value) == (
        f"cannot open the journal {path} because a newer version of coc2mqtt wrote it (schema 99, this version "
        f"supports {SCHEMA_VERSION}): update coc2mqtt, {OTHER_FILE}"
    )
    assert ask(path, "PRAGMA user_version") == [(99,)]


async def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    ask(path, "CREATE TABLE states (entity_id)")
    before = content(path)
    with pytest.raises(CannotOpenError) as caught:
        async with SqliteJournal(path):
            pass
    assert str(caught.value) == (
        f"cannot open the journal {path} because it is the database of another program: set journal.path to "
        "another file"
    )
    assert content(path) == before
