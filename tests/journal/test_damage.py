"""A damaged file is put aside, and a new one begun."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import CannotOpenError, DamagedError, InUseError, JournalCounts, JournalError, SqliteJournal
from coc2mqtt.journal.database import Database
from tests.journal.damaging import (
    PAGE,
    ask,
    beside,
    change,
    content,
    lose_index_entries,
    names,
    overwrite,
    truncate,
    write,
)
from tests.journal.holder import holding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = 1_795_529_000.0  # 2026-11-24 14:03:20 UTC
ASIDE = "coc2mqtt.db.damaged-20261124T140320Z"
CLAN = Resource(Kind.CLAN, "#2PP")
SNAPSHOT = Snapshot({"name": "The Order", "members": list(range(5000))}, {"trouble": None}, 7.0)
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW, metadata={"note": "x" * 100})
WATCH, PLAYER = Watch(Kind.CLAN, "#2PP", 60.0), Watch(Kind.PLAYER, "#PYL", 90.0, include_fields=frozenset({"name"}))
SAID = (
    "the journal was damaged and is put aside, a new one is begun: events that waited are in the old one, every watch "
    "begins with a first look"
)
AGAIN = ", and watches that were made by commands must be made again"
STAY = ": move the file away, together with those beside it that end in -wal and -shm; the next start begins a new one"


def journal_in(path: Path, now: float = NOW) -> SqliteJournal:
    return SqliteJournal(path, clock=lambda: now)


async def begin_journal(path: Path) -> None:
    async with journal_in(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [EVENT] * 100)
        await journal.acknowledge([2])
        await journal.save_watch(WATCH)
        await journal.remove_watch(Kind.PLAYER, "#PYL")


async def kill_with_journal(path: Path) -> None:
    """Leave behind what a killed program does: its last commits are in the -wal alone."""
    async with holding(path, "commit") as holder:
        assert await holder.said() == "open"
        await holder.kill()
    assert beside(path, "-wal").stat().st_size > PAGE


def spoil_header(path: Path) -> None:
    overwrite(path, 0, 100)


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
    assert [(line["log_level"], line["event"], line["kept_as"]) for line in log] == [
        ("error", SAID + AGAIN, str(path.with_name(ASIDE)))
    ]
    assert log[0]["found"]
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
    assert log[0]["found"] == f"it is empty, but the {len(wal)} bytes beside it in -wal are not"


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
        error = await refusal(path, DamagedError, NOW + later)
        assert str(error) == (
            f"the journal {path} is damaged (file is not a database), for the second time within ten minutes (the "
            f"first is {ASIDE}): check the disk, or name a file on another one as journal.path"
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
    error = await refusal(path, DamagedError)
    assert str(error) == (
        f"the journal {path} is damaged (file is not a database) and cannot be put aside (permission denied){STAY}"
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
        ("coc2mqtt.yaml", swap_for_text, "it is no SQLite database: move it away"),
        ("journal", swap_for_text, "it is no SQLite database: move it away"),
        ("photo.jpg", lambda path: write(path, b"\xff\xd8\0" * 1000), "it is no SQLite database: move it away"),
        ("home-assistant_v2.db", another_programs, "it is damaged, and may be another program's: move it away"),
        ("old.db", nobodys, "it is damaged, and may be another program's: move it away"),
    ],
)
async def test_what_may_be_another_programs_is_refused_and_left_alone(
    tmp_path: Path, name: str, make: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / name
    make(path)
    before = content(path)
    error = await refusal(path, CannotOpenError)
    assert str(error).startswith(f"the journal {path} cannot be opened, {reason}, or name another file as")
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
    with pytest.raises(DamagedError) as caught:
        await late.open()
    async with journal_in(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert await late.put_aside(caught.value, now=NOW + 3600) is None
        with pytest.raises(InUseError):
            await late.open()
        assert len(await journal.pending()) == 1
    async with journal_in(path) as journal:
        assert len(await journal.pending()) == 1


FLIPS: dict[str, tuple[str, Callable[[SqliteJournal], Any]]] = {
    "a snapshot": (
        "UPDATE snapshot SET body = cast(substr(body, 1, 9) || x'00' || substr(body, 11) AS BLOB)",
        lambda j: j.snapshot(CLAN),
    ),
    "its time": ("UPDATE snapshot SET taken_at = 8", lambda j: j.snapshot(CLAN)),
    "an event": ("UPDATE event SET record = replace(record, 'note', 'nose')", lambda j: j.pending()),
    "an event's bytes": ("UPDATE event SET record = cast(x'22ff22' AS TEXT)", lambda j: j.pending()),
    "an event's id": ("UPDATE event SET id = replace(id, '4', '5')", lambda j: j.pending()),
    "a watch": ("UPDATE watch SET body = replace(body, '60.0', '70.0')", lambda j: j.watches()),
    "a kind": ("UPDATE snapshot SET kind = 'clam'", lambda j: j.resources()),
}


async def test_figures_that_are_damaged_are_figures_nevertheless(path: Path) -> None:
    await begin_journal(path)
    change(
        path,
        "UPDATE event SET timestamp = cast(x'ff' AS TEXT)",
        "UPDATE tally SET dropped = 'many'",
        "UPDATE sqlite_sequence SET seq = x'ff'",
    )
    async with journal_in(path) as journal:
        assert await journal.counts() == JournalCounts(99, 0.0, 0, 100)
        assert len(await journal.pending(limit=1000)) == 99


@pytest.mark.parametrize("what", FLIPS)
async def test_damaged_content_is_never_believed(path: Path, what: str) -> None:
    await begin_journal(path)
    statement, read = FLIPS[what]
    change(path, statement)
    async with journal_in(path) as journal:
        with pytest.raises(DamagedError):
            await read(journal)


async def test_a_journal_that_turns_out_to_be_damaged_begins_anew_and_keeps_what_it_knows(path: Path) -> None:
    await begin_journal(path)
    change(path, FLIPS["a snapshot"][0])
    async with journal_in(path) as journal:
        stored = await journal.watches()
        await journal.save_watch(PLAYER)
        await journal.commit(CLAN, None, [EVENT])
        with pytest.raises(DamagedError, match="snapshot of clan #2PP") as caught:
            await journal.snapshot(CLAN)
        with capture_logs() as log:
            await journal.start_afresh(caught.value)
        assert [line["event"] for line in log] == [SAID]
        assert await journal.snapshot(CLAN) is None
        assert [one.watch for one in await journal.watches()] == [stored[0].watch, PLAYER]
        # Numbers go on, because who sorts events by them would take the new ones for old.
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [102]
    async with journal_in(path) as journal:
        assert await journal.snapshot(CLAN) == SNAPSHOT
        assert [one.watch for one in await journal.watches()] == [stored[0].watch, PLAYER]
    # The old one can be looked into: what was only in its -wal went along.
    assert ask(path.with_name(ASIDE), "SELECT count(*), max(seq) FROM event") == [(101, 101)]


@pytest.mark.parametrize("step", ["put_aside", "open", "transact"])
async def test_bug_while_starting_afresh_leaves_a_journal_that_can_be_opened(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin_journal(path)
    async with journal_in(path) as journal:
        stored = await journal.watches()
        done, broken = getattr(journal._database, step), True

        async def break_after(*arguments: Any, **options: Any) -> Any:
            nonlocal broken
            result = await done(*arguments, **options)
            if broken:
                broken = False
                raise ZeroDivisionError
            return result

        def transact(work: Any) -> asyncio.Future[Any]:
            return asyncio.ensure_future(break_after(work))

        monkeypatch.setattr(journal._database, step, transact if step == "transact" else break_after)
        with pytest.raises(ZeroDivisionError):
            await journal.start_afresh(DamagedError("", found="a test"))
        for _ in range(2):  # the second time it is open
            await journal.ensure_open()
        assert await journal.watches() == stored
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [101]
    async with journal_in(path) as journal:
        assert await journal._database.read("SELECT count(*), max(seq) FROM sqlite_sequence") == [(1, 101)]


async def test_numbers_go_on_after_damage_at_the_start_where_they_can_be_read(path: Path) -> None:
    await begin_journal(path)
    lose_index_entries(path)
    async with journal_in(path) as journal:
        await journal.commit(CLAN, None, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [101]


async def test_after_a_second_damage_within_ten_minutes_the_journal_is_closed(path: Path) -> None:
    await begin_journal(path)
    spoil_header(path)
    async with journal_in(path) as journal:
        damage = DamagedError("", found="a test")
        with pytest.raises(DamagedError, match="for the second time within ten minutes"):
            await journal.start_afresh(damage)
        with pytest.raises(RuntimeError, match="not open"):
            await journal.counts()


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
