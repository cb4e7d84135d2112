"""The caches: they agree with the file, and their size is limited."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.journal import CorruptJournalError, JournalError, SqliteJournal
from coc2mqtt.journal.cache import PendingCache, SnapshotCache
from coc2mqtt.journal.codec import decode_event_row, decode_snapshot_row
from coc2mqtt.journal.protocol import JournalEntry

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
_PENDING = """
    SELECT seq, id, kind, record, checksum FROM event WHERE delivered_at IS NULL AND seq > ? ORDER BY seq LIMIT ?
"""


class RandomWork:
    """Random calls on a journal with tiny caches, whose answers are compared with the file."""

    def __init__(self, path: Path, seed: int) -> None:
        self._rng = random.Random(seed)
        self._path = path
        self.now = NOW

    def journal(self) -> SqliteJournal:
        started = self.now
        journal = SqliteJournal(
            self._path,
            max_pending=12,
            max_pending_age=timedelta(days=7),
            clock=lambda: self.now,
            uptime=lambda: self.now - started,
            batch_window=0,
        )
        journal._outbox._cache = PendingCache(max_size=5)
        journal._snapshot_cache = SnapshotCache(max_size=2)
        return journal

    async def step(self, journal: SqliteJournal) -> None:
        """Make one call, or several concurrent calls. Sometimes they fail."""
        calls = [self._call(journal) for _ in range(self._rng.choice((1, 1, 3)))]
        if self._rng.random() < 0.1:
            await journal._database.read(
                "CREATE TEMP TRIGGER fail BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            await asyncio.gather(*calls, return_exceptions=True)
            await journal._database.read("DROP TRIGGER fail")
        else:
            await asyncio.gather(*calls)

    def _call(self, journal: SqliteJournal) -> Work:
        rng, resource = self._rng, self._rng.choice(RESOURCES)
        metadata = {"note": rng.choice((0.1, "é", None, [1, (2, {"a": True})]))}
        event = Event(EventType.CLAN_UPDATED, resource.tag, timestamp=self.now, metadata=metadata)
        events = [event] * rng.choice((0, 1, 2, 4))
        choices: list[tuple[int, Callable[[], Work]]] = [
            (6, lambda: journal.commit(resource, Snapshot({"n": rng.random()}, taken_at=self.now), events)),
            (3, lambda: journal.commit(resource, None, events)),
            (6, lambda: self._acknowledge(journal)),
            (1, lambda: journal.delete_snapshot(resource)),
            (1, lambda: journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0), reset_snapshots=[resource])),
            (1, lambda: journal.prune(self.now)),
            (1, self._wait),
        ]
        ((_, call),) = rng.choices(choices, [weight for weight, _ in choices])
        return call()

    async def _acknowledge(self, journal: SqliteJournal) -> None:
        entries = await journal.pending(limit=self._rng.choice((1, 4, 100)))
        await journal.acknowledge(entry.seq for entry in entries if self._rng.random() < 0.8)

    async def _wait(self) -> None:
        self.now += self._rng.choice((60.0, DAY, 3 * DAY))

    async def compare(self, journal: SqliteJournal) -> None:
        """Compare all answers of the journal with the file."""
        ((last_seq,),) = await journal._database.read("SELECT coalesce(max(seq), 0) FROM event")
        for after in range(max(0, last_seq - 15), last_seq + 1):
            for limit in (2, 100):
                returned = await journal.pending(after=after, limit=limit)
                stored = await journal._database.read(_PENDING, (after, limit))
                assert returned == [decode_event_row(*row) for row in stored]
            await self._compare_wait(journal, after, expected=bool(returned))
        counts = await journal.counts()
        assert [(counts.pending, counts.oldest_pending, counts.dropped)] == await journal._database.read(_COUNTS)
        assert counts.last_seq == max(last_seq, *await self._last_given_seq(journal))
        for resource in RESOURCES:
            rows = await journal._database.read(
                "SELECT body, taken_at, checksum FROM snapshot WHERE kind = ? AND tag = ?", resource
            )
            snapshot = decode_snapshot_row(resource, *rows[0]) if rows else None
            assert await journal.snapshot(resource) == snapshot

    async def _last_given_seq(self, journal: SqliteJournal) -> list[int]:
        return [seq for (seq,) in await journal._database.read("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")]

    async def _compare_wait(self, journal: SqliteJournal, after: int, *, expected: bool) -> None:
        waiting = asyncio.create_task(journal.wait_pending(after))
        await asyncio.sleep(0)
        await journal._database.read("SELECT 1")  # executed after the query of wait_pending
        await asyncio.sleep(0)
        assert waiting.done() is expected
        waiting.cancel()
        await asyncio.wait({waiting})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_caches_agree_with_the_file_during_random_work(path: Path, seed: int) -> None:
    work = RandomWork(path, seed)
    for _ in range(4):
        async with work.journal() as journal:
            for _ in range(20):
                await work.step(journal)
                await work.compare(journal)
        work.now += DAY


async def test_recreate_clears_the_caches(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, Snapshot({"name": "old"}), [EVENT] * 3)
        await journal.recreate(CorruptJournalError("", reason="a test"))
        assert await journal.snapshot(CLAN) is None
        assert await journal.pending() == []
        await journal.commit(CLAN, None, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [4]


async def test_failed_writes_do_not_change_the_caches(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, Snapshot({"name": "old"}), [EVENT])
        await journal._database.read("PRAGMA query_only = ON")
        for write in (journal.commit(CLAN, Snapshot({"name": "new"}), [EVENT]), journal.acknowledge([1])):
            with pytest.raises(JournalError):
                await write
        assert await journal.snapshot(CLAN) == Snapshot({"name": "old"})
        assert [entry.seq for entry in await journal.pending()] == [1]


async def test_impossible_last_seq_of_a_corrupt_file_is_ignored(path: Path) -> None:
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, None, [EVENT])
        await journal._database.read("UPDATE sqlite_sequence SET seq = 9223372036854775807")
    async with SqliteJournal(path, clock=lambda: NOW) as journal:
        await journal.commit(CLAN, None, [EVENT])
        assert [entry.seq for entry in await journal.pending()] == [1, 2]


def test_pending_cache_evicts_the_oldest_events_at_its_limit() -> None:
    cache = PendingCache(max_size=10)
    record = EventRecord.of(EVENT)
    for seq in range(1, 1001):
        cache.add([JournalEntry(seq, "", Kind.CLAN, record)])
        cache.remove([seq] if seq % 3 == 0 else [])
        assert len(cache.read(0, 1000, pending=0) or []) <= 10
    assert cache.read(0, 5, pending=667) is None
    cached = cache.read(0, 100, pending=0)
    assert cached is not None
    assert [one.seq for one in cached] == [seq for seq in range(cached[0].seq, 1001) if seq % 3]


def test_snapshot_cache_keeps_the_last_committed_snapshots() -> None:
    cache = SnapshotCache(max_size=2)
    for number in (0, 1, 0, 2):
        cache.put(RESOURCES[number], Snapshot({"number": number}))
    assert [cache.get(resource) is not None for resource in RESOURCES] == [True, False, True, False]
