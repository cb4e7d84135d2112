"""Damage that is found in a journal that is open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.journal import CorruptJournalError, JournalCounts, SqliteJournal
from tests.support.damage import (
    ASIDE,
    CLAN,
    CORRUPT,
    EVENT,
    PLAYER,
    SNAPSHOT,
    ask,
    begin_journal,
    change,
    journal_in,
    spoil_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
        with pytest.raises(CorruptJournalError):
            await read(journal)


async def test_a_journal_that_turns_out_to_be_damaged_begins_anew_and_keeps_what_it_knows(path: Path) -> None:
    await begin_journal(path)
    change(path, FLIPS["a snapshot"][0])
    async with journal_in(path) as journal:
        stored = await journal.watches()
        await journal.save_watch(PLAYER)
        await journal.commit(CLAN, None, [EVENT])
        with pytest.raises(CorruptJournalError, match="snapshot of clan #2PP") as caught:
            await journal.snapshot(CLAN)
        with capture_logs() as log:
            await journal.recreate(caught.value)
        assert [line["event"] for line in log] == [CORRUPT]
        assert "are lost" not in log[0]["hint"]
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


@pytest.mark.parametrize("step", ["quarantine", "open", "transact"])
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
            await journal.recreate(CorruptJournalError("", reason="a test"))
        for _ in range(2):  # the second time it is open
            await journal.ensure_open()
        assert await journal.watches() == stored
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [101]
    async with journal_in(path) as journal:
        assert await journal._database.read("SELECT count(*), max(seq) FROM sqlite_sequence") == [(1, 101)]


async def test_after_a_second_damage_within_ten_minutes_the_journal_is_closed(path: Path) -> None:
    await begin_journal(path)
    spoil_header(path)
    async with journal_in(path) as journal:
        damage = CorruptJournalError("", reason="a test")
        with pytest.raises(CorruptJournalError, match="for the second time within ten minutes"):
            await journal.recreate(damage)
        with pytest.raises(RuntimeError, match="not open"):
            await journal.counts()
