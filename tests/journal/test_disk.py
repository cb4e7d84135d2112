"""Full, failing and read-only disks: the error names the cause, and no stored data is lost."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import CannotOpenError, SqliteJournal, WriteFailedError
from tests.support.disks import Disk, ext4, tmpfs
from tests.support.journal_files import file_names, query, sibling
from tests.support.journal_holder import holding_journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLAN = Resource(Kind.CLAN, "#2PP")
OLD, NEW = Snapshot({"name": "old"}), Snapshot({"name": "new", "much": [f"{number:040}" for number in range(50_000)]})
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0, metadata={"note": "x" * 500})
FULL = "the disk is full: free some space (database or disk is full)"
READ_ONLY = "its file system is read-only: find out why, and make it writable"
OTHER_FILE = "or set journal.path to another file"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with tmpfs(tmp_path / "disk", size="2m") as disk:
        yield disk


@pytest.fixture
def path(disk: Disk) -> Path:
    return disk.folder / "coc2mqtt.db"


async def open_error(path: Path) -> CannotOpenError:
    with pytest.raises(CannotOpenError) as caught:
        async with SqliteJournal(path):
            pass
    return caught.value


async def commit_until_it_fails(journal: SqliteJournal, reason: str) -> int:
    """Return the number of stored events."""
    committed = 0
    with pytest.raises(WriteFailedError, match=reason):  # noqa: PT012 - any of the commits can fail
        while True:
            await journal.commit(CLAN, OLD, [EVENT] * 7)
            committed += 1
    assert committed
    return committed * 7


def size(path: Path) -> int:
    return path.stat().st_size


async def check_content(path: Path, snapshot: Snapshot | None, pending: int) -> None:
    async with SqliteJournal(path) as journal:
        assert await journal.snapshot(CLAN) == snapshot
        assert (await journal.counts()).pending == pending
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


async def test_commit_that_fills_the_disk_stores_nothing(path: Path, disk: Disk) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, OLD, [EVENT])
        disk.fill(free_bytes=40_000)
        with pytest.raises(WriteFailedError) as caught:
            await journal.commit(CLAN, NEW, [EVENT] * 100)
        assert str(caught.value) == f"cannot write the journal {path} because {FULL}"
        assert await journal.snapshot(CLAN) == OLD
        assert len(await journal.pending()) == 1
        disk.free()
        await journal.commit(CLAN, NEW, [EVENT] * 100)
    await check_content(path, NEW, 101)


async def test_events_stay_pending_if_the_disk_is_too_full_to_acknowledge_them(path: Path, disk: Disk) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, OLD, [EVENT] * 3)
        before = await journal.pending()
        disk.fill()
        with pytest.raises(WriteFailedError, match="the disk is full"):
            await journal.acknowledge([1, 2])
        assert await journal.pending() == before
    disk.free()
    async with SqliteJournal(path) as journal:
        assert await journal.pending() == before  # with the same ids
        await journal.acknowledge([1, 2])
    await check_content(path, OLD, 1)


async def test_wal_is_kept_if_there_is_no_space_for_a_checkpoint(path: Path, disk: Disk) -> None:
    async with SqliteJournal(path) as journal:
        # Most of the data is then in the -wal file, and the file itself has no space for it.
        disk.fill(free_bytes=700_000)
        stored = await commit_until_it_fails(journal, "the disk is full")
        assert size(sibling(path, "-wal")) > size(path)
    assert "coc2mqtt.db-wal" in file_names(path.parent)  # the checkpoint on close failed
    disk.free()
    await check_content(path, OLD, stored)


@pytest.mark.process
async def test_open_on_a_full_disk_raises_and_loses_nothing(path: Path, disk: Disk) -> None:
    async with holding_journal(path, "commit") as holder:
        assert await holder.outcome() == "open"
        await holder.kill()
    for _ in range(2):
        disk.fill()  # again, because closing the file freed some space
        error = await open_error(path)
        assert str(error) == f"cannot open the journal {path} because {FULL}"
    disk.free()
    await check_content(path, Snapshot({"name": "The Order"}), 1)


@pytest.mark.parametrize("free_bytes", [0, 4096, 8192, 16384, 32768])
async def test_new_file_is_created_after_an_attempt_on_a_full_disk(path: Path, disk: Disk, free_bytes: int) -> None:
    disk.fill(free_bytes=free_bytes)
    assert "the disk is full" in str(await open_error(path))
    disk.free()
    await check_content(path, None, 0)


async def test_open_on_a_read_only_disk_raises(path: Path, disk: Disk) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, OLD, [EVENT])
    disk.set_read_only()
    for file in (path, path.with_name("new.db")):
        error = await open_error(file)
        assert str(error).startswith(f"cannot open the journal {file} because {READ_ONLY}, {OTHER_FILE} (")
    disk.set_writable()
    await check_content(path, OLD, 1)


async def test_failing_disk_raises_and_loses_nothing(tmp_path: Path) -> None:
    image, path = tmp_path / "image", tmp_path / "failing" / "coc2mqtt.db"
    with ext4(image, path.parent) as disk:
        async with SqliteJournal(path) as journal:
            await journal.commit(CLAN, OLD, [EVENT])
            disk.fail()
            for write in (journal.commit(CLAN, NEW, [EVENT]), journal.acknowledge([1])):
                with pytest.raises(WriteFailedError) as caught:
                    await write
                assert str(caught.value) == f"cannot write the journal {path} because {READ_ONLY} (disk I/O error)"
            assert await journal.snapshot(CLAN) == OLD
    with ext4(image, path.parent):
        await check_content(path, OLD, 1)


@contextmanager
def max_file_size(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_file_that_cannot_grow_raises_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "coc2mqtt.db"
    async with SqliteJournal(path) as journal:
        with max_file_size(300_000):
            stored = await commit_until_it_fails(journal, "the disk reports an error: check its free space")
    await check_content(path, OLD, stored)
