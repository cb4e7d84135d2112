"""The schema of the journal's file, and its check when a file is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import CannotOpenError, NewerSchemaError, SqliteJournal
from coc2mqtt.journal.schema import APPLICATION_ID, SCHEMA_VERSION
from tests.support.journal_files import execute, query, read_bytes, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

CLAN = Resource(Kind.CLAN, "#2PP")
OTHER_FILE = "or set journal.path to another file"


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
async def test_open_missing_or_empty_file_creates_the_schema_once(path: Path, content: bytes | None) -> None:
    if content is not None:
        write_bytes(path, content)
    for _ in range(2):
        async with SqliteJournal(path) as journal:
            assert await journal.resources() == []
        assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert query(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


async def test_newer_schema_is_rejected_unchanged(path: Path) -> None:
    async with SqliteJournal(path):
        pass
    execute(path, "PRAGMA user_version = 99")
    with pytest.raises(NewerSchemaError) as caught:
        async with SqliteJournal(path):
            pass
    assert str(caught.value) == (
        f"cannot open the journal {path} because a newer version of coc2mqtt wrote it (schema 99, this version "
        f"supports {SCHEMA_VERSION}): update coc2mqtt, {OTHER_FILE}"
    )
    assert query(path, "PRAGMA user_version") == [(99,)]


async def test_journal_of_the_first_schema_keeps_its_contents_and_is_marked(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, Snapshot({"tag": CLAN.tag}, {}, 1.0), [])
    execute(path, "PRAGMA user_version = 1")
    for _ in range(2):
        async with SqliteJournal(path) as journal:
            assert await journal.resources() == [CLAN]
        assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


async def test_database_of_another_program_is_rejected_unchanged(path: Path) -> None:
    execute(path, "CREATE TABLE states (entity_id)")
    before = read_bytes(path)
    with pytest.raises(CannotOpenError) as caught:
        async with SqliteJournal(path):
            pass
    assert str(caught.value) == (
        f"cannot open the journal {path} because it is the database of another program: set journal.path to "
        "another file"
    )
    assert read_bytes(path) == before
