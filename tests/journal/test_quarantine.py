"""A damaged file is put aside, and a new one begun."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from coc2mqtt.journal import CannotOpenError, CorruptJournalError, InUseError, JournalError, SqliteJournal
from coc2mqtt.journal.database import Database
from tests.support.damage import (
    ASIDE,
    CLAN,
    CORRUPT,
    EVENT,
    NOW,
    PAGE,
    SNAPSHOT,
    begin_journal,
    beside,
    change,
    content,
    journal_in,
    lose_index_entries,
    names,
    overwrite,
    spoil_header,
    truncate,
    write,
)
from tests.support.journal_holder import holding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WATCHES_LOST = "watches added by commands are lost: add them again"
STAY = ": move the file away, together with its -wal and -shm files; the next start creates a new journal"


async def kill_with_journal(path: Path) -> None:
    """Leave behind what a killed program does: its last commits are in the -wal alone."""
    async with holding(path, "commit") as holder:
        assert await holder.said() == "open"
        await holder.kill()
    assert beside(path, "-wal").stat().st_size > PAGE


def spoil_first_page(path: Path) -> None:
    overwrite(path, 100, PAGE)


def spoil_other_pages(path: Path) -> None:
    overwrite(path, PAGE * 3, PAGE * 6)


def zero(path: Path) -> None:
    overwrite(path, 0, path.stat().st_size, by=b"\0")


def halve(path: Path) -> None:
    truncate(path, path.stat().st_size // 2)


def point(path: Path, target: Path) -> None:
    path.symlink_to(target)


def points(path: Path, target: Path) -> bool:
    return path.readlink() == target


def swap_for_text(path: Path) -> None:
    text = b"Nov 24 14:03:12 pi kernel: EXT4-fs error\n" * 500
    write(path, text[: 4 * PAGE])  # as long as a journal can be


async def is_new(journal: SqliteJournal) -> bool:
    await journal.commit(CLAN, None, [EVENT])
    pending = await journal.pending()
    return (await journal.snapshot(CLAN), await journal.watches(), len(pending)) == (None, [], 1)


async def refusal(path: Path, kind: type[JournalError], now: float = NOW) -> JournalError:
    with pytest.raises(kind) as caught:
        async with journal_in(path, now):
            pass
    return caught.value


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_header,
        spoil_first_page,
        spoil_other_pages,
        zero,
        halve,
        swap_for_text,
        lose_index_entries,
    ],
)
async def test_a_file_found_damaged_at_the_start_is_kept_and_a_new_one_begun(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    await begin_journal(path)
    spoil(path)
    before = content(path)
    with capture_logs() as log:
        async with journal_in(path) as journal:
            assert await is_new(journal)
    assert content(path.with_name(ASIDE)) == before
    assert set(names(path.parent)) - {f"{ASIDE}-wal"} == {"coc2mqtt.db", ASIDE}
    assert [(line["log_level"], line["event"], line["path"]) for line in log] == [
        ("error", CORRUPT, str(path.with_name(ASIDE)))
    ]
    assert log[0]["hint"].endswith(WATCHES_LOST)
    assert log[0]["reason"]
    with capture_logs() as log:
        async with journal_in(path) as journal:
            assert len(await journal.pending()) == 1
    assert log == []


@pytest.mark.parametrize("spoil", [lambda path: truncate(path, 0), lambda path: path.unlink()], ids=["empty", "gone"])
@pytest.mark.process
async def test_what_is_beside_a_lost_file_is_kept_and_not_deleted_in_silence(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    await kill_with_journal(path)
    wal = content(beside(path, "-wal"))
    spoil(path)
    with capture_logs() as log:
        async with journal_in(path) as journal:
            assert await is_new(journal)
    assert content(path.with_name(f"{ASIDE}-wal")) == wal
    assert log[0]["reason"] == f"the file is missing or empty, but its -wal file has {len(wal)} bytes"


@pytest.mark.process
async def test_a_file_that_was_never_closed_is_kept_with_what_is_beside_it(path: Path) -> None:
    await kill_with_journal(path)
    spoil_header(path)
    before = content(path), content(beside(path, "-wal"))
    async with journal_in(path) as journal:
        assert await is_new(journal)
    assert (content(path.with_name(ASIDE)), content(path.with_name(f"{ASIDE}-wal"))) == before


async def test_a_pointer_to_a_damaged_file_stays_and_the_file_is_kept_where_it_is(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    await begin_journal(folder / path.name)
    point(path, folder / path.name)
    spoil_other_pages(path)
    async with journal_in(path) as journal:
        assert await is_new(journal)
    assert ASIDE in names(folder)
    assert points(path, folder / path.name)


async def test_a_second_damage_within_ten_minutes_is_an_error_and_everything_stays(path: Path) -> None:
    await begin_journal(path)
    spoil_header(path)
    async with journal_in(path):
        pass
    spoil_header(path)
    before = {name: content(path.with_name(name)) for name in names(path.parent)}
    # Whatever the clock did meanwhile.
    for later in (0, 599, -599):
        error = await refusal(path, CorruptJournalError, NOW + later)
        assert str(error) == (
            f"the journal {path} is corrupt (file is not a database), for the second time within ten minutes (the "
            f"first file is now {ASIDE}): check the disk, or set journal.path to a file on another disk"
        )
        assert {name: content(path.with_name(name)) for name in names(path.parent)} == before
    async with journal_in(path, NOW + 600) as journal:
        assert await is_new(journal)
    assert {"coc2mqtt.db", ASIDE, "coc2mqtt.db.damaged-20261124T141320Z"} <= set(names(path.parent))


async def test_a_file_that_cannot_be_put_aside_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await begin_journal(path)
    spoil_header(path)
    before = content(path)

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(self), None, str(target))

    monkeypatch.setattr(type(path), "rename", refuse)
    error = await refusal(path, CorruptJournalError)
    assert str(error) == (
        f"the journal {path} is corrupt (file is not a database) and cannot be renamed (permission denied){STAY}"
    )
    assert content(path) == before


def another_programs(path: Path) -> None:
    change(path, "PRAGMA application_id = 7", "CREATE TABLE states (entity_id)")
    spoil_first_page_but_the_header(path)


def nobodys(path: Path) -> None:
    change(path, "CREATE TABLE states (entity_id)")
    spoil_first_page_but_the_header(path)


def spoil_first_page_but_the_header(path: Path) -> None:
    overwrite(path, 100, PAGE)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("coc2mqtt.yaml", swap_for_text, "it is not a SQLite database: move it away"),
        ("journal", swap_for_text, "it is not a SQLite database: move it away"),
        ("photo.jpg", lambda path: write(path, b"\xff\xd8\0" * 1000), "it is not a SQLite database: move it away"),
        ("home-assistant_v2.db", another_programs, "it is corrupt and may belong to another program: move it away"),
        ("old.db", nobodys, "it is corrupt and may belong to another program: move it away"),
    ],
)
async def test_what_may_be_another_programs_is_refused_and_left_alone(
    tmp_path: Path, name: str, make: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / name
    make(path)
    before = content(path)
    error = await refusal(path, CannotOpenError)
    assert str(error).startswith(
        f"cannot open the journal {path} because {reason}, or set journal.path to another file"
    )
    assert (content(path), names(tmp_path)) == (before, [name])


async def test_a_journal_of_any_name_is_known_by_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    await begin_journal(path)
    spoil_header(path)
    async with journal_in(path) as journal:
        assert await is_new(journal)


@pytest.mark.process
async def test_of_two_that_find_the_same_damage_one_begins_anew_and_takes_nothing_from_the_other(path: Path) -> None:
    await begin_journal(path)
    spoil_header(path)
    before = content(path)
    async with holding(path, "commit") as one, holding(path, "commit") as other:
        said = await asyncio.gather(one.said(), other.said())
        (aside,) = [name for name in names(path.parent) if "damaged" in name and not name.endswith("-wal")]
        assert content(path.with_name(aside)) == before
    assert sorted(said) == ["InUseError", "open"]
    async with journal_in(path) as journal:
        assert len(await journal.pending()) == 1


async def test_who_comes_too_late_to_put_a_damaged_file_aside_leaves_the_new_one_alone(path: Path) -> None:
    await begin_journal(path)
    spoil_header(path)
    late = Database(path, random.Random(1))
    with pytest.raises(CorruptJournalError) as caught:
        await late.open()
    async with journal_in(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert await late.quarantine(caught.value, now=NOW + 3600) is None
        with pytest.raises(InUseError):
            await late.open()
        assert len(await journal.pending()) == 1
    async with journal_in(path) as journal:
        assert len(await journal.pending()) == 1


async def test_numbers_go_on_after_damage_at_the_start_where_they_can_be_read(path: Path) -> None:
    await begin_journal(path)
    lose_index_entries(path)
    async with journal_in(path) as journal:
        await journal.commit(CLAN, None, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [101]


async def test_nothing_but_what_was_written_comes_out_of_a_file_damaged_anywhere(path: Path, tmp_path: Path) -> None:
    """A hundred times some bytes anywhere in the file or beside it: all is as it was, is gone, or is told."""
    await begin_journal(path)
    whole = content(path)
    async with journal_in(path) as journal:
        written = await journal.snapshot(CLAN), await journal.watches(), await journal.pending(limit=1000)
    rng = random.Random(1)
    told = 0
    for number in range(100):
        spoiled = tmp_path / str(number) / path.name
        spoiled.parent.mkdir()
        write(spoiled, whole)
        first = rng.randrange(len(whole))
        overwrite(spoiled, first, min(len(whole), first + rng.choice([1, 8, 512, PAGE])), by=rng.randbytes(1))
        try:
            with capture_logs() as log:
                async with journal_in(spoiled) as journal:
                    read = await journal.snapshot(CLAN), await journal.watches(), await journal.pending(limit=1000)
        except JournalError:
            told += 1
        else:
            assert read == ((None, [], []) if log else written)
            told += bool(log)
    assert 20 < told < 100
