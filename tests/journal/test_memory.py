"""What is answered from memory is what the file holds, and there is never much of it."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import CorruptJournalError, JournalError, SqliteJournal
from coc2mqtt.journal.outbox import PendingCache
from coc2mqtt.journal.rows import EventRow, decode_snapshot_row
from coc2mqtt.journal.snapshot_cache import SnapshotCache

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Work = Coroutine[object, object, object]

NOW = 1_800_000_000.0
DAY = 86400.0
RESOURCES = [Resource(Kind.CLAN, f"#C{number}") for number in range(4)]
CLAN = RESOURCES[0]
EVENT = Event(EventType.CLAN_UPDATED, "#C0", timestamp=NOW, metadata={"note": "x" * 100})
_COUNTS = """
    SELECT
        (SELECT count(*) FROM event WHERE delivered_at IS NULL),
        (SELECT timestamp FROM event WHERE delivered_at IS NULL ORDER BY seq LIMIT 1),
        (SELECT dropped FROM tally)
"""
_PENDING = "SELECT seq, id FROM event WHERE delivered_at IS NULL AND seq > ? ORDER BY seq LIMIT ?"


class Life:
    """Random work on a journal that keeps next to nothing in memory, looked at from both sides."""

    def __init__(self, path: Path, seed: int) -> None:
        self._rng = random.Random(seed)
        self._path = path
        self.now = NOW

    def journal(self) -> SqliteJournal:
        begun = self.now
        journal = SqliteJournal(
            self._path,
            max_pending=12,
            max_pending_age=timedelta(days=7),
            clock=lambda: self.now,
            uptime=lambda: self.now - begun,
            batch_window=0,
        )
        journal._outbox._cache = PendingCache(max_events=5)
        journal._snapshot_cache = SnapshotCache(max_size=2)
        return journal

    async def work(self, journal: SqliteJournal) -> None:
        """Do something, or several things at once."""
        things = [self._thing(journal) for _ in range(self._rng.choice((1, 1, 3)))]
        if self._rng.random() < 0.1:
            await journal._database.read(
                "CREATE TEMP TRIGGER fail BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            await asyncio.gather(*things, return_exceptions=True)
            await journal._database.read("DROP TRIGGER fail")
        else:
            await asyncio.gather(*things)

    def _thing(self, journal: SqliteJournal) -> Work:
        rng, resource = self._rng, self._rng.choice(RESOURCES)
        events = [Event(EventType.CLAN_UPDATED, resource.tag, timestamp=self.now)] * rng.choice((0, 1, 2, 4))
        things: list[tuple[int, Callable[[], Work]]] = [
            (6, lambda: journal.commit(resource, Snapshot({"n": rng.random()}, taken_at=self.now), events)),
            (3, lambda: journal.commit(resource, None, events)),
            (6, lambda: self._acknowledge(journal)),
            (1, lambda: journal.delete_snapshot(resource)),
            (1, lambda: journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0), reset_snapshots=[resource])),
            (1, lambda: journal.prune(self.now)),
            (1, self._wait),
        ]
        ((_, call),) = rng.choices(things, [weight for weight, _ in things])
        return call()

    async def _acknowledge(self, journal: SqliteJournal) -> None:
        entries = await journal.pending(limit=self._rng.choice((1, 4, 100)))
        await journal.acknowledge(entry.seq for entry in entries if self._rng.random() < 0.8)

    async def _wait(self) -> None:
        self.now += self._rng.choice((60.0, DAY, 3 * DAY))

    async def compare(self, journal: SqliteJournal) -> None:
        """Look at everything from both sides."""
        ((last_seq,),) = await journal._database.read("SELECT coalesce(max(seq), 0) FROM event")
        for after in range(max(0, last_seq - 15), last_seq + 1):
            for limit in (2, 100):
                told = [(entry.seq, entry.id) for entry in await journal.pending(after=after, limit=limit)]
                assert told == await journal._database.read(_PENDING, (after, limit))
            await self._compare_waiting(journal, after, there=bool(told))
        counts = await journal.counts()
        assert [(counts.pending, counts.oldest_pending, counts.dropped)] == await journal._database.read(_COUNTS)
        assert counts.last_seq == max(last_seq, *await self._ever(journal))
        for resource in RESOURCES:
            rows = await journal._database.read(
                "SELECT body, taken_at, checksum FROM snapshot WHERE kind = ? AND tag = ?", resource
            )
            stored = decode_snapshot_row(resource, *rows[0]) if rows else None
            assert await journal.snapshot(resource) == stored

    async def _ever(self, journal: SqliteJournal) -> list[int]:
        return [seq for (seq,) in await journal._database.read("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")]

    async def _compare_waiting(self, journal: SqliteJournal, after: int, *, there: bool) -> None:
        waiting = asyncio.create_task(journal.wait_pending(after))
        await asyncio.sleep(0)
        await journal._database.read("SELECT 1")  # after what it may have asked the file
        await asyncio.sleep(0)
        assert waiting.done() is there
        waiting.cancel()
        await asyncio.wait({waiting})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_memory_and_file_say_the_same(path: Path, seed: int) -> None:
    life = Life(path, seed)
    for _ in range(4):
        async with life.journal() as journal:
            for _ in range(20):
                await life.work(journal)
                await life.compare(journal)
        life.now += DAY


async def test_after_damage_nothing_of_before_is_told(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, Snapshot({"name": "old"}), [EVENT] * 3)
        await journal.recreate(CorruptJournalError("", reason="a test"))
        assert await journal.snapshot(CLAN) is None
        assert await journal.pending() == []
        await journal.commit(CLAN, None, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [4]


async def test_nothing_that_failed_is_remembered(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, Snapshot({"name": "old"}), [EVENT])
        await journal._database.read("PRAGMA query_only = ON")
        for write in (journal.commit(CLAN, Snapshot({"name": "new"}), [EVENT]), journal.acknowledge([1])):
            with pytest.raises(JournalError):
                await write
        assert await journal.snapshot(CLAN) == Snapshot({"name": "old"})
        assert [entry.seq for entry in await journal.pending()] == [1]


async def test_numbers_that_only_a_damaged_file_can_name_are_not_gone_on_with(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, None, [EVENT])
        await journal._database.read("UPDATE sqlite_sequence SET seq = 9223372036854775807")
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, None, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [1, 2]


def row(seq: int, size: int) -> EventRow:
    return EventRow(seq, "", "clan", "x" * size, 0)


@pytest.mark.parametrize(("most", "characters"), [(10, 1_000_000), (1_000_000, 1000)])
def test_no_more_is_held_than_may_be_however_much_is_added(most: int, characters: int) -> None:
    tail = PendingCache(max_events=most, max_characters=characters)
    for seq in range(1, 1001):
        tail.add([row(seq, 100)])
        tail.remove([seq] if seq % 3 == 0 else [])
        assert len(tail.read(0, 1000, pending=0) or []) <= 10
    assert tail.read(0, 5, pending=667) is None
    held = tail.read(0, 100, pending=0)
    assert held is not None
    assert [one.seq for one in held] == [seq for seq in range(held[0].seq, 1001) if seq % 3]


def test_one_that_is_too_large_is_not_held() -> None:
    tail = PendingCache(max_characters=1000)
    tail.add([row(1, 100), row(2, 5000), row(3, 100)])
    assert tail.read(0, 10, pending=3) is None
    assert tail.read(2, 10, pending=3) == [row(3, 100)]


def test_no_more_snapshots_are_held_than_may_be_and_those_that_were_committed_last() -> None:
    recent = SnapshotCache(max_size=2)
    for number in (0, 1, 0, 2):
        recent.put(RESOURCES[number], Snapshot({"number": number}))
    assert [recent.get(resource) is not None for resource in RESOURCES] == [True, False, True, False]
