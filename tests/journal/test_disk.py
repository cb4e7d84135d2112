"""A disk that gets full, fails, or may only be read: told in one sentence, and nothing is lost."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import CannotOpenError, SqliteJournal, WriteFailedError
from tests.support.damage import ask, beside, names
from tests.support.disks import Disk, ext4, tmpfs
from tests.support.journal_holder import holding

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


async def refusal(path: Path) -> CannotOpenError:
    with pytest.raises(CannotOpenError) as caught:
        async with SqliteJournal(path):
            pass
    return caught.value


async def commit_until_it_fails(journal: SqliteJournal, reason: str) -> int:
    """Return how many events were stored."""
    committed = 0
    with pytest.raises(WriteFailedError, match=reason):  # noqa: PT012 - it cannot be known which of them fails
        while True:
            await journal.commit(CLAN, OLD, [EVENT] * 7)
            committed += 1
    assert committed
    return committed * 7


def size(path: Path) -> int:
    return path.stat().st_size


async def is_whole(path: Path, snapshot: Snapshot | None, pending: int) -> None:
    async with SqliteJournal(path) as journal:
        assert await journal.snapshot(CLAN) == snapshot
        assert (await journal.counts()).pending == pending
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]


async def test_a_commit_that_fills_the_disk_in_the_middle_stores_nothing(path: Path, disk: Disk) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, OLD, [EVENT])
        disk.fill(but=40_000)
        with pytest.raises(WriteFailedError) as caught:
            await journal.commit(CLAN, NEW, [EVENT] * 100)
        assert str(caught.value) == f"cannot write the journal {path} because {FULL}"
        assert await journal.snapshot(CLAN) == OLD
        assert len(await journal.pending()) == 1
        disk.free()
        await journal.commit(CLAN, NEW, [EVENT] * 100)
    await is_whole(path, NEW, 101)


async def test_what_was_delivered_is_delivered_again_when_the_disk_was_too_full_to_note_it(
    path: Path, disk: Disk
) -> None:
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
    await is_whole(path, OLD, 1)


async def test_what_is_written_ahead_is_kept_when_there_is_no_room_to_write_it_back(path: Path, disk: Disk) -> None:
    async with SqliteJournal(path) as journal:
        # The larger part of it is in -wal then, and there is no room for the file to grow by as much.
        disk.fill(but=700_000)
        stored = await commit_until_it_fails(journal, "the disk is full")
        assert size(beside(path, "-wal")) > size(path)
    assert "coc2mqtt.db-wal" in names(path.parent)  # it was no use trying at the end
    disk.free()
    await is_whole(path, OLD, stored)


@pytest.mark.process
async def test_a_full_disk_is_told_at_the_start_and_harms_nothing(path: Path, disk: Disk) -> None:
    async with holding(path, "commit") as holder:
        assert await holder.said() == "open"
        await holder.kill()
    for _ in range(2):
        disk.fill()  # again, because closing the file made some room
        error = await refusal(path)
        assert str(error) == f"cannot open the journal {path} because {FULL}"
    disk.free()
    await is_whole(path, Snapshot({"name": "The Order"}), 1)


@pytest.mark.parametrize("room", [0, 4096, 8192, 16384, 32768])
async def test_a_new_file_for_which_there_is_no_room_is_begun_when_there_is(path: Path, disk: Disk, room: int) -> None:
    disk.fill(but=room)
    assert "the disk is full" in str(await refusal(path))
    disk.free()
    await is_whole(path, None, 0)


async def test_a_disk_that_may_only_be_read_is_told_at_the_start(path: Path, disk: Disk) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, OLD, [EVENT])
    disk.set_read_only()
    for which in (path, path.with_name("new.db")):
        error = await refusal(which)
        assert str(error).startswith(f"cannot open the journal {which} because {READ_ONLY}, {OTHER_FILE} (")
    disk.set_writable()
    await is_whole(path, OLD, 1)


async def test_a_disk_on_which_the_kernel_gives_up_writing_loses_nothing(tmp_path: Path) -> None:
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
        await is_whole(path, OLD, 1)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_may_not_grow_any_more_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "coc2mqtt.db"
    async with SqliteJournal(path) as journal:
        with no_file_larger_than(300_000):
            stored = await commit_until_it_fails(journal, "the disk reports an error: check its free space")
    await is_whole(path, OLD, stored)
