"""The size of the file and of its -wal file."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import SqliteJournal
from tests.support.journal_files import sibling

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NOW = 1_800_000_000.0
CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW, metadata={"note": "x" * 160, "other": "y" * 160})
MB = 1_000_000


def sizes(path: Path) -> tuple[int, int]:
    """Return the sizes of the file and of its -wal file."""
    return path.stat().st_size, sibling(path, "-wal").stat().st_size


async def simulate_outage(journal: SqliteJournal) -> None:
    """Commit 20,000 events, then acknowledge all of them."""
    for _ in range(40):
        await journal.commit(CLAN, None, [EVENT] * 500)
    while entries := await journal.pending(limit=1000):
        await journal.acknowledge(entry.seq for entry in entries)


async def test_prune_shrinks_the_file_after_an_outage(path: Path) -> None:
    async with SqliteJournal(path, keep_delivered=timedelta(hours=1), clock=lambda: NOW) as journal:
        await simulate_outage(journal)
        grown, _ = sizes(path)
        assert grown > 11 * MB
        assert await journal.prune(NOW + 3601) == 20_000
        file, wal = sizes(path)
        assert file < 5 * MB
        assert wal < 1 * MB
        await journal.commit(CLAN, Snapshot({}), [EVENT])
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        assert await journal.snapshot(CLAN) == Snapshot({})
        assert len(await journal.pending()) == 1


async def test_second_outage_of_the_same_size_needs_no_more_space(path: Path) -> None:
    async with SqliteJournal(path, keep_delivered=timedelta(0), clock=lambda: NOW) as journal:
        grown = []
        for _ in range(2):
            await simulate_outage(journal)
            grown.append(sizes(path)[0])
            await journal.prune(NOW + 1)
        assert max(grown) < 1.1 * grown[0]


async def test_wal_stays_small_however_much_is_committed(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        for number in range(100):
            # Random, so that it cannot be compressed.
            await journal.commit(CLAN, Snapshot({"number": number, "noise": os.urandom(100_000).hex()}), [])
        file, wal = sizes(path)
    assert file < 1 * MB
    assert wal < 5 * MB


async def test_wal_is_truncated_after_a_large_commit(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, None, [EVENT] * 30_000)
        assert sizes(path)[1] > 15 * MB
        for _ in range(2):
            await journal.commit(CLAN, None, [EVENT])
        assert sizes(path)[1] < 5 * MB
