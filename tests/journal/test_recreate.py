"""Corruption that is detected while the journal is open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.journal import CorruptJournalError, JournalCounts, SqliteJournal
from tests.support.journal_files import (
    CLAN,
    CORRUPT_LOG,
    EVENT,
    PLAYER,
    QUARANTINED,
    SNAPSHOT,
    create_journal,
    execute,
    journal_at,
    overwrite_header,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Each with a statement that corrupts a row and a call that reads it.
CORRUPTIONS: dict[str, tuple[str, Callable[[SqliteJournal], Any]]] = {
    "snapshot": (
        "UPDATE snapshot SET body = cast(substr(body, 1, 9) || x'00' || substr(body, 11) AS BLOB)",
        lambda journal: journal.snapshot(CLAN),
    ),
    "snapshot time": ("UPDATE snapshot SET taken_at = 8", lambda journal: journal.snapshot(CLAN)),
    "event": ("UPDATE event SET record = replace(record, 'note', 'nose')", lambda journal: journal.pending()),
    "event bytes": ("UPDATE event SET record = cast(x'22ff22' AS TEXT)", lambda journal: journal.pending()),
    "event id": ("UPDATE event SET id = replace(id, '4', '5')", lambda journal: journal.pending()),
    "watch": ("UPDATE watch SET body = replace(body, '60.0', '70.0')", lambda journal: journal.watches()),
    "kind": ("UPDATE snapshot SET kind = 'clam'", lambda journal: journal.resources()),
}


async def test_corrupt_columns_without_a_checksum_are_read_as_numbers(path: Path) -> None:
    await create_journal(path)
    execute(
        path,
        "UPDATE event SET timestamp = cast(x'ff' AS TEXT)",
        "UPDATE tally SET dropped = 'many'",
        "UPDATE sqlite_sequence SET seq = x'ff'",
    )
    async with journal_at(path) as journal:
        assert await journal.counts() == JournalCounts(99, 0.0, 0, 100)
        assert len(await journal.pending(limit=1000)) == 99


@pytest.mark.parametrize("row", CORRUPTIONS)
async def test_reading_a_corrupt_row_raises(path: Path, row: str) -> None:
    await create_journal(path)
    statement, read = CORRUPTIONS[row]
    execute(path, statement)
    async with journal_at(path) as journal:
        with pytest.raises(CorruptJournalError):
            await read(journal)


async def test_recreate_keeps_watches_and_numbers_and_quarantines_the_file(path: Path) -> None:
    await create_journal(path)
    execute(path, CORRUPTIONS["snapshot"][0])
    async with journal_at(path) as journal:
        stored = await journal.watches()
        await journal.save_watch(PLAYER)
        await journal.commit(CLAN, None, [EVENT])
        with pytest.raises(CorruptJournalError, match="snapshot of clan #2PP") as caught:
            await journal.snapshot(CLAN)
        with capture_logs() as log:
            await journal.recreate(caught.value)
        assert [line["event"] for line in log] == [CORRUPT_LOG]
        assert "are lost" not in log[0]["hint"]
        assert await journal.snapshot(CLAN) is None
        assert [one.watch for one in await journal.watches()] == [stored[0].watch, PLAYER]
        # Subscribers that sort by seq would take reused numbers for old events.
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [102]
    async with journal_at(path) as journal:
        assert await journal.snapshot(CLAN) == SNAPSHOT
        assert [one.watch for one in await journal.watches()] == [stored[0].watch, PLAYER]
    # The quarantined file is complete, with its -wal file.
    assert query(path.with_name(QUARANTINED), "SELECT count(*), max(seq) FROM event") == [(101, 101)]


@pytest.mark.parametrize("step", ["quarantine", "open", "transact"])
async def test_ensure_open_after_a_bug_in_recreate_opens_the_journal(
    path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_journal(path)
    async with journal_at(path) as journal:
        stored = await journal.watches()
        original, broken = getattr(journal._database, step), True

        async def raise_once_after(*arguments: Any, **options: Any) -> Any:
            nonlocal broken
            result = await original(*arguments, **options)
            if broken:
                broken = False
                raise ZeroDivisionError
            return result

        def transact(work: Any) -> asyncio.Future[Any]:
            return asyncio.ensure_future(raise_once_after(work))

        monkeypatch.setattr(journal._database, step, transact if step == "transact" else raise_once_after)
        with pytest.raises(ZeroDivisionError):
            await journal.recreate(CorruptJournalError("", reason="a test"))
        for _ in range(2):  # the second time it is already open
            await journal.ensure_open()
        assert await journal.watches() == stored
        await journal.commit(CLAN, SNAPSHOT, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [101]
    async with journal_at(path) as journal:
        assert await journal._database.read("SELECT count(*), max(seq) FROM sqlite_sequence") == [(1, 101)]


async def test_recreate_within_ten_minutes_of_another_raises_and_closes_the_journal(path: Path) -> None:
    await create_journal(path)
    overwrite_header(path)
    async with journal_at(path) as journal:
        with pytest.raises(CorruptJournalError, match="for the second time within ten minutes"):
            await journal.recreate(CorruptJournalError("", reason="a test"))
        with pytest.raises(RuntimeError, match="not open"):
            await journal.counts()
