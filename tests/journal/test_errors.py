"""What the journal says when something is wrong with its file."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import (
    CannotOpenError,
    JournalError,
    ReadFailedError,
    SqliteJournal,
    WriteFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAN = Resource(Kind.CLAN, "#2PP")
SNAPSHOT = Snapshot({"name": "The Order"})
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)
RIGHTS = "this user may not write it: give the user write access to the file and its folder"
SETTINGS = b"watch:\n  clans: []\n" * 100
OTHER = "or set journal.path to another file"


async def refusal(path: Path) -> JournalError:
    with pytest.raises(JournalError) as caught:
        async with SqliteJournal(path):
            pass
    return caught.value


async def begin_journal(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        await journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's right to do everything, if the tests have it."""
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
    """Give a folder outside of pytest's own, which others may not enter."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        Path(name).chmod(0o755)


def write_settings(path: Path) -> None:
    path.write_bytes(SETTINGS)


def content(path: Path) -> bytes:
    return path.read_bytes()


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "coc2mqtt.db"
    error = await refusal(path)
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {path} because the folder {path.parent} does not exist: create it, {OTHER} "
        "(unable to open database file)"
    )


async def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    error = await refusal(tmp_path)
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {tmp_path} because it is a folder: set journal.path to a file, such as "
        f"{tmp_path}/coc2mqtt.db (unable to open database file)"
    )


async def test_a_folder_that_may_not_be_written_is_said(folder: Path) -> None:
    set_mode(folder, 0o555)
    with as_nobody():
        error = await refusal(folder / "coc2mqtt.db")
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {folder}/coc2mqtt.db because the file is not accessible: give this user write access "
        f"to it and its folder, {OTHER} (unable to open database file)"
    )


async def test_a_folder_that_may_not_be_entered_is_said(folder: Path) -> None:
    set_mode(folder, 0)
    with as_nobody():
        error = await refusal(folder / "inner" / "coc2mqtt.db")
    assert isinstance(error, CannotOpenError)
    assert f"because {RIGHTS}" in str(error)


async def test_a_file_that_may_not_be_written_is_said(folder: Path) -> None:
    path = folder / "coc2mqtt.db"
    await begin_journal(path)
    set_mode(path, 0o444)
    set_mode(folder, 0o777)
    with as_nobody():
        error = await refusal(path)
    assert isinstance(error, CannotOpenError)
    assert f"cannot open the journal {path} because {RIGHTS}, {OTHER} (" in str(error)


async def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "coc2mqtt.yaml"
    write_settings(path)
    error = await refusal(path)
    assert isinstance(error, CannotOpenError)
    assert str(error) == (
        f"cannot open the journal {path} because it is not a SQLite database: move it away, {OTHER} "
        "(file is not a database)"
    )
    assert content(path) == SETTINGS


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("PRAGMA max_page_count = 1", "the disk is full: free some space (database or disk is full)"),
        ("PRAGMA query_only = ON", f"{RIGHTS}, {OTHER} (attempt to write a readonly database)"),
    ],
)
async def test_what_cannot_be_written_is_not_stored_and_later_can(path: Path, limit: str, sentence: str) -> None:
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


async def test_a_reason_that_is_not_known_is_passed_on(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal._database.read("DROP TABLE watch")
        with pytest.raises(ReadFailedError) as read:
            await journal.watches()
        with pytest.raises(WriteFailedError) as written:
            await journal.mark_watch_removed(Kind.CLAN, "#2PP")
    assert str(read.value) == f"cannot read the journal {path}: no such table: watch"
    assert str(written.value) == f"cannot write the journal {path}: no such table: watch"
