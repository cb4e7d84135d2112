"""Corruption that is detected when the journal is opened: the file is quarantined and a new one is started."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from coc2mqtt.journal import CannotOpenError, CorruptJournalError, InUseError, JournalError, SqliteJournal
from coc2mqtt.journal.database import Database
from tests.support.journal_files import (
    CLAN,
    CORRUPT_LOG,
    EVENT,
    NOW,
    PAGE_BYTES,
    QUARANTINED,
    SNAPSHOT,
    create_journal,
    execute,
    file_names,
    journal_at,
    overwrite,
    overwrite_header,
    read_bytes,
    remove_index_entries,
    sibling,
    truncate,
    write_bytes,
)
from tests.support.journal_holder import holding_journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WATCHES_LOST = "watches added by commands are lost: add them again"
MOVE_AWAY = ": move the file away, together with its -wal and -shm files; the next start creates a new journal"
NOT_A_DATABASE = "it is not a SQLite database: move it away"
MAYBE_OTHER_PROGRAM = "it is corrupt and may belong to another program: move it away"


async def commit_and_kill(path: Path) -> None:
    """Leave the files of a killed program, whose last commits are only in the -wal file."""
    async with holding_journal(path, "commit") as holder:
        assert await holder.outcome() == "open"
        await holder.kill()
    assert sibling(path, "-wal").stat().st_size > PAGE_BYTES


def overwrite_first_page(path: Path) -> None:
    """Overwrite the first page except the header."""
    overwrite(path, 100, PAGE_BYTES)


def overwrite_other_pages(path: Path) -> None:
    overwrite(path, PAGE_BYTES * 3, PAGE_BYTES * 6)


def overwrite_with_zeros(path: Path) -> None:
    overwrite(path, 0, path.stat().st_size, by=b"\0")


def truncate_to_half(path: Path) -> None:
    truncate(path, path.stat().st_size // 2)


def replace_with_text(path: Path) -> None:
    text = b"Nov 24 14:03:12 pi kernel: EXT4-fs error\n" * 500
    write_bytes(path, text[: 4 * PAGE_BYTES])  # a possible length of a journal


def link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def is_link_to(path: Path, target: Path) -> bool:
    return path.readlink() == target


async def is_new(journal: SqliteJournal) -> bool:
    await journal.commit(CLAN, None, [EVENT])
    pending = await journal.pending()
    return (await journal.snapshot(CLAN), await journal.watches(), len(pending)) == (None, [], 1)


async def open_error(path: Path, kind: type[JournalError], now: float = NOW) -> JournalError:
    with pytest.raises(kind) as caught:
        async with journal_at(path, now):
            pass
    return caught.value


@pytest.mark.parametrize(
    "damage",
    [
        overwrite_header,
        overwrite_first_page,
        overwrite_other_pages,
        overwrite_with_zeros,
        truncate_to_half,
        replace_with_text,
        remove_index_entries,
    ],
)
async def test_open_corrupt_file_quarantines_it_and_starts_a_new_one(
    path: Path, damage: Callable[[Path], None]
) -> None:
    await create_journal(path)
    damage(path)
    before = read_bytes(path)
    with capture_logs() as log:
        async with journal_at(path) as journal:
            assert await is_new(journal)
    assert read_bytes(path.with_name(QUARANTINED)) == before
    assert set(file_names(path.parent)) - {f"{QUARANTINED}-wal"} == {"coc2mqtt.db", QUARANTINED}
    assert [(line["log_level"], line["event"], line["path"]) for line in log] == [
        ("error", CORRUPT_LOG, str(path.with_name(QUARANTINED)))
    ]
    assert log[0]["hint"].endswith(WATCHES_LOST)
    assert log[0]["reason"]
    with capture_logs() as log:
        async with journal_at(path) as journal:
            assert len(await journal.pending()) == 1
    assert log == []


@pytest.mark.parametrize(
    "damage", [lambda path: truncate(path, 0), lambda path: path.unlink()], ids=["empty", "missing"]
)
@pytest.mark.process
async def test_wal_of_a_lost_file_is_quarantined_and_logged(path: Path, damage: Callable[[Path], None]) -> None:
    await commit_and_kill(path)
    wal = read_bytes(sibling(path, "-wal"))
    damage(path)
    with capture_logs() as log:
        async with journal_at(path) as journal:
            assert await is_new(journal)
    assert read_bytes(path.with_name(f"{QUARANTINED}-wal")) == wal
    assert log[0]["reason"] == f"the file is missing or empty, but its -wal file has {len(wal)} bytes"


@pytest.mark.process
async def test_corrupt_file_of_a_killed_program_is_quarantined_with_its_wal(path: Path) -> None:
    await commit_and_kill(path)
    overwrite_header(path)
    before = read_bytes(path), read_bytes(sibling(path, "-wal"))
    async with journal_at(path) as journal:
        assert await is_new(journal)
    quarantined = path.with_name(QUARANTINED), path.with_name(f"{QUARANTINED}-wal")
    assert tuple(map(read_bytes, quarantined)) == before


async def test_symlink_to_a_corrupt_file_stays_and_its_target_is_quarantined(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    await create_journal(folder / path.name)
    link(path, folder / path.name)
    overwrite_other_pages(path)
    async with journal_at(path) as journal:
        assert await is_new(journal)
    assert QUARANTINED in file_names(folder)
    assert is_link_to(path, folder / path.name)


async def test_second_corruption_within_ten_minutes_raises_and_changes_nothing(path: Path) -> None:
    await create_journal(path)
    overwrite_header(path)
    async with journal_at(path):
        pass
    overwrite_header(path)
    before = {name: read_bytes(path.with_name(name)) for name in file_names(path.parent)}
    # -599: the clock was set back.
    for later in (0, 599, -599):
        error = await open_error(path, CorruptJournalError, NOW + later)
        assert str(error) == (
            f"the journal {path} is corrupt (file is not a database), for the second time within ten minutes (the "
            f"first file is now {QUARANTINED}): check the disk, or set journal.path to a file on another disk"
        )
        assert {name: read_bytes(path.with_name(name)) for name in file_names(path.parent)} == before


async def test_second_corruption_after_ten_minutes_is_quarantined_as_well(path: Path) -> None:
    await create_journal(path)
    for now in (NOW, NOW + 600):
        overwrite_header(path)
        async with journal_at(path, now) as journal:
            assert await is_new(journal)
    assert {"coc2mqtt.db", QUARANTINED, "coc2mqtt.db.damaged-20261124T141320Z"} <= set(file_names(path.parent))


async def test_corrupt_file_that_cannot_be_renamed_raises(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await create_journal(path)
    overwrite_header(path)
    before = read_bytes(path)

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(self), None, str(target))

    monkeypatch.setattr(type(path), "rename", refuse)
    error = await open_error(path, CorruptJournalError)
    assert str(error) == (
        f"the journal {path} is corrupt (file is not a database) and cannot be renamed (permission denied){MOVE_AWAY}"
    )
    assert read_bytes(path) == before


def create_corrupt_database_of_another_program(path: Path) -> None:
    execute(path, "PRAGMA application_id = 7", "CREATE TABLE states (entity_id)")
    overwrite_first_page(path)


def create_corrupt_database_without_application_id(path: Path) -> None:
    execute(path, "CREATE TABLE states (entity_id)")
    overwrite_first_page(path)


@pytest.mark.parametrize(
    ("name", "create", "reason"),
    [
        ("coc2mqtt.yaml", replace_with_text, NOT_A_DATABASE),
        ("journal", replace_with_text, NOT_A_DATABASE),
        ("photo.jpg", lambda path: write_bytes(path, b"\xff\xd8\0" * 1000), NOT_A_DATABASE),
        ("home-assistant_v2.db", create_corrupt_database_of_another_program, MAYBE_OTHER_PROGRAM),
        ("old.db", create_corrupt_database_without_application_id, MAYBE_OTHER_PROGRAM),
    ],
)
async def test_file_that_may_belong_to_another_program_is_rejected_unchanged(
    tmp_path: Path, name: str, create: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / name
    create(path)
    before = read_bytes(path)
    error = await open_error(path, CannotOpenError)
    assert str(error).startswith(
        f"cannot open the journal {path} because {reason}, or set journal.path to another file"
    )
    assert (read_bytes(path), file_names(tmp_path)) == (before, [name])


async def test_corrupt_journal_without_extension_is_recognized_by_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    await create_journal(path)
    overwrite_header(path)
    async with journal_at(path) as journal:
        assert await is_new(journal)


@pytest.mark.process
async def test_two_programs_with_the_same_corrupt_file_quarantine_it_once(path: Path) -> None:
    await create_journal(path)
    overwrite_header(path)
    before = read_bytes(path)
    async with holding_journal(path, "commit") as one, holding_journal(path, "commit") as other:
        outcomes = await asyncio.gather(one.outcome(), other.outcome())
        (quarantined,) = [name for name in file_names(path.parent) if "damaged" in name and not name.endswith("-wal")]
        assert read_bytes(path.with_name(quarantined)) == before
    assert sorted(outcomes) == ["InUseError", "open"]
    async with journal_at(path) as journal:
        assert len(await journal.pending()) == 1


async def test_late_quarantine_leaves_the_new_file_of_another_program_alone(path: Path) -> None:
    await create_journal(path)
    overwrite_header(path)
    late = Database(path, random.Random(1))
    with pytest.raises(CorruptJournalError) as caught:
        await late.open()
    async with journal_at(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert await late.quarantine(caught.value, now=NOW + 3600) is None
        with pytest.raises(InUseError):
            await late.open()
        assert len(await journal.pending()) == 1
    async with journal_at(path) as journal:
        assert len(await journal.pending()) == 1


async def test_new_file_continues_the_numbers_of_the_corrupt_one(path: Path) -> None:
    await create_journal(path)
    remove_index_entries(path)
    async with journal_at(path) as journal:
        await journal.commit(CLAN, None, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [101]


async def test_file_corrupted_anywhere_never_returns_wrong_data(path: Path, tmp_path: Path) -> None:
    """Overwrites random bytes a hundred times: the journal returns the original data, or nothing, or raises."""
    await create_journal(path)
    original = read_bytes(path)
    async with journal_at(path) as journal:
        written = await journal.snapshot(CLAN), await journal.watches(), await journal.pending(limit=1000)
    rng = random.Random(1)
    detected = 0
    for number in range(100):
        corrupt = tmp_path / str(number) / path.name
        corrupt.parent.mkdir()
        write_bytes(corrupt, original)
        first = rng.randrange(len(original))
        last = min(len(original), first + rng.choice([1, 8, 512, PAGE_BYTES]))
        overwrite(corrupt, first, last, by=rng.randbytes(1))
        try:
            with capture_logs() as log:
                async with journal_at(corrupt) as journal:
                    read = await journal.snapshot(CLAN), await journal.watches(), await journal.pending(limit=1000)
        except JournalError:
            detected += 1
        else:
            assert read == ((None, [], []) if log else written)
            detected += bool(log)
    assert 20 < detected < 100
