"""Error messages about the file of the journal: each names the cause and the remedy."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.journal import (
    CannotOpenError,
    JournalError,
    ReadFailedError,
    SqliteJournal,
    WriteFailedError,
)
from tests.support.journal_files import read_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAN = Resource(Kind.CLAN, "#2PP")
SNAPSHOT = Snapshot({"name": "The Order"})
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)
NO_ACCESS = "this user may not write it: give the user write access to the file and its folder"
SETTINGS = b"watch:\n  clans: []\n" * 100
OTHER_FILE = "or set journal.path to another file"


async def open_error(path: Path) -> JournalError:
    with pytest.raises(JournalError) as caught:
        async with SqliteJournal(path):
            pass
    return caught.value


async def create_small_journal(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        await journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Act as the user nobody if the tests run as root, whom the file system denies nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder outside of pytest's own one, which other users may not enter."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        Path(name).chmod(0o755)


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


async def test_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "coc2mqtt.db"
    error = await open_error(path)
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {path} because the folder {path.parent} does not exist: create it, {OTHER_FILE} "
        "(unable to open database file)"
    )


async def test_folder_instead_of_a_file_is_reported(tmp_path: Path) -> None:
    error = await open_error(tmp_path)
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {tmp_path} because it is a folder: set journal.path to a file, such as "
        f"{tmp_path}/coc2mqtt.db (unable to open database file)"
    )


async def test_read_only_folder_is_reported(folder: Path) -> None:
    set_mode(folder, 0o555)
    with as_nobody():
        error = await open_error(folder / "coc2mqtt.db")
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {folder}/coc2mqtt.db because the file is not accessible: give this user write access "
        f"to it and its folder, {OTHER_FILE} (unable to open database file)"
    )


async def test_folder_without_access_is_reported(folder: Path) -> None:
    set_mode(folder, 0)
    with as_nobody():
        error = await open_error(folder / "inner" / "coc2mqtt.db")
    assert isinstance(error, CannotOpenError)
    assert f"because {NO_ACCESS}" in str(error)


async def test_read_only_file_is_reported(folder: Path) -> None:
    path = folder / "coc2mqtt.db"
    await create_small_journal(path)
    set_mode(path, 0o444)
    set_mode(folder, 0o777)
    with as_nobody():
        error = await open_error(path)
    assert isinstance(error, CannotOpenError)
    assert f"cannot open the journal {path} because {NO_ACCESS}, {OTHER_FILE} (" in str(error)


async def test_file_that_is_not_a_database_is_rejected_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "coc2mqtt.yaml"
    write_bytes(path, SETTINGS)
    error = await open_error(path)
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {path} because it is not a SQLite database: move it away, {OTHER_FILE} "
        "(file is not a database)"
    )
    assert read_bytes(path) == SETTINGS


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("PRAGMA max_page_count = 1", "the disk is full: free some space (database or disk is full)"),
        ("PRAGMA query_only = ON", f"{NO_ACCESS}, {OTHER_FILE} (attempt to write a readonly database)"),
    ],
)
async def test_failed_write_stores_nothing_and_can_be_repeated(path: Path, limit: str, sentence: str) -> None:
    large = Snapshot({str(number): os.urandom(64).hex() for number in range(2000)})
    async with SqliteJournal(path) as journal:
        await journal._database.read(limit)
        with pytest.raises(WriteFailedError) as caught:
            await journal.commit(CLAN, large, [EVENT])
        assert str(caught.value) == f"cannot write the journal {path} because {sentence}"
        assert await journal.snapshot(CLAN) is None
        assert await journal.pending() == []

        await journal._database.read("PRAGMA max_page_count = 1000000")
        await journal._database.read("PRAGMA query_only = OFF")
        await journal.commit(CLAN, large, [EVENT])
        assert await journal.snapshot(CLAN) == large


async def test_unknown_error_of_sqlite_is_included_in_the_message(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal._database.read("DROP TABLE watch")
        with pytest.raises(ReadFailedError) as read:
            await journal.watches()
        with pytest.raises(WriteFailedError) as written:
            await journal.mark_watch_removed(Kind.CLAN, "#2PP")
    assert str(read.value) == f"cannot read the journal {path}: no such table: watch"
    assert str(written.value) == f"cannot write the journal {path}: no such table: watch"
