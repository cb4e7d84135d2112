"""Properties of SqliteJournal that are not in the contract of every journal."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
import structlog

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.summary import summarize
from coc2mqtt.journal import SqliteJournal, WriteFailedError
from coc2mqtt.translations import language_of

if TYPE_CHECKING:
    from pathlib import Path

CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)
OLD, NEW = Snapshot({"name": "old"}), Snapshot({"name": "new"})
# Read here, because tests may not read files in an event loop.
_GERMAN = language_of("de")


@pytest.mark.parametrize("table", ["snapshot", "event", "tally"])
async def test_commit_that_fails_in_any_table_stores_nothing(path: Path, table: str) -> None:
    async with SqliteJournal(path, max_pending=1) as journal:
        await journal.commit(CLAN, OLD, [EVENT])
        before = await journal.pending(), await journal.counts()
        for change in ("INSERT", "UPDATE"):
            await journal._database.read(
                f"CREATE TRIGGER fail_{change} AFTER {change} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        with pytest.raises(WriteFailedError, match="no"):
            await journal.commit(CLAN, NEW, [EVENT])
        assert await journal.snapshot(CLAN) == OLD
        assert (await journal.pending(), await journal.counts()) == before

        for change in ("INSERT", "UPDATE"):
            await journal._database.read(f"DROP TRIGGER fail_{change}")
        await journal.commit(CLAN, NEW, [EVENT])
        assert await journal.snapshot(CLAN) == NEW
        assert (await journal.counts()).last_seq == 2


async def test_commits_are_synced_to_disk_to_survive_a_power_cut(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        assert await journal._database.read("PRAGMA journal_mode") == [("wal",)]
        assert await journal._database.read("PRAGMA synchronous") == [(2,)]  # FULL


async def test_snapshots_are_stored_compressed(path: Path) -> None:
    clan = {"memberList": [{"tag": f"#{number}", "role": "member", "name": "Kristen"} for number in range(1000)]}
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, Snapshot(clan), [])
        assert await journal.snapshot(CLAN) == Snapshot(clan)
        ((size,),) = await journal._database.read("SELECT length(body) FROM snapshot")
        assert size < 10_000


async def test_event_ids_come_from_the_given_rng(path: Path, tmp_path: Path) -> None:
    ids = []
    for file in (path, tmp_path / "other.db"):
        rng = random.Random(1)
        async with SqliteJournal(file, rng=rng) as journal:
            await journal.commit(API, None, [EVENT, EVENT])
            ids.append([entry.id for entry in await journal.pending()])
    assert ids[0] == ids[1]
    assert ids[0][0] != ids[0][1]


async def test_first_drop_of_an_outage_is_logged(path: Path) -> None:
    async with SqliteJournal(path, max_pending=2) as journal:
        with structlog.testing.capture_logs() as log:
            for _ in range(5):
                await journal.commit(CLAN, None, [EVENT])
        assert [line["log_level"] for line in log] == ["warning"]

        await journal.acknowledge([4, 5])
        with structlog.testing.capture_logs() as log:
            for _ in range(4):
                await journal.commit(CLAN, None, [EVENT])
        assert len(log) == 1


async def test_event_keeps_the_summary_of_the_language_in_which_it_was_recorded(path: Path) -> None:
    joined = Event(EventType.MEMBER_JOINED, "#2PP", timestamp=1.0, metadata={"member_name": "Ann"}, name="The Order")
    async with SqliteJournal(path, describe=partial(summarize, language=_GERMAN)) as journal:
        await journal.commit(CLAN, NEW, [joined])
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, NEW, [joined])
        summaries = [entry.record.summary for entry in await journal.pending()]
    assert summaries == ["Ann ist The Order beigetreten", "Ann joined The Order"]
