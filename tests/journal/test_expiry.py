"""Expiry of pending events, with clocks that are set back and forward."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.journal.expiry import PendingExpiry
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0
DAY = 86400.0
CLAN = Resource(Kind.CLAN, "#2PP")
TOO_MANY_LOG = "too many undelivered events: dropped the oldest ones"
EXPIRED_LOG = "undelivered events expired and were dropped"


class Clocks:
    """A wall clock, which can be set, and the uptime."""

    def __init__(self) -> None:
        self.wall, self.uptime = NOW, 0.0

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def journal_at(path: Path, clocks: Clocks, *, max_pending: int = 1000) -> SqliteJournal:
    # The uptime starts at 0 in each run.
    started = clocks.uptime
    return SqliteJournal(
        path,
        max_pending=max_pending,
        max_pending_age=timedelta(days=7),
        clock=lambda: clocks.wall,
        uptime=lambda: clocks.uptime - started,
    )


async def commit_events(journal: SqliteJournal, clocks: Clocks, *numbers: int) -> None:
    """Commit events with the wall clock as their timestamp, as the engine does."""
    events = [Event(EventType.CLAN_UPDATED, "#2PP", timestamp=clocks.wall, metadata={"n": n}) for n in numbers]
    await journal.commit(CLAN, None, events)


async def pending_numbers(journal: SqliteJournal) -> list[int]:
    return [entry.record.metadata["n"] for entry in await journal.pending(limit=10_000)]


async def test_open_drops_events_that_expired_while_nothing_ran(path: Path, clocks: Clocks) -> None:
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 1, 2)
        clocks.advance(3 * DAY)
        await commit_events(journal, clocks, 3)
    clocks.advance(5 * DAY)
    with capture_logs() as log:
        async with journal_at(path, clocks) as journal:
            counts = await journal.counts()
            assert (counts.pending, counts.dropped, counts.last_seq) == (1, 2, 3)
            assert await pending_numbers(journal) == [3]
            await asyncio.wait_for(journal.wait_pending(0), LONG_ENOUGH)
    assert [(line["log_level"], line["event"], line["max_pending_age"]) for line in log] == [
        ("warning", EXPIRED_LOG, "7 days, 0:00:00")
    ]


@pytest.mark.parametrize("how", ["commit", "prune", "pending"])
async def test_event_of_this_run_expires_at_most_1_168th_late(path: Path, clocks: Clocks, how: str) -> None:
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 1)
        for _ in range(24 * 7 - 1):
            clocks.advance(3600)
            await journal.prune(clocks.wall)
        clocks.advance(3599)
        assert await pending_numbers(journal) == [1]
        assert (await journal.counts()).pending == 1
        clocks.advance(7 * DAY / 168 + 1)
        if how == "commit":
            await commit_events(journal, clocks, 2)
        elif how == "prune":
            await journal.prune(clocks.wall)
        assert await pending_numbers(journal) == ([2] if how == "commit" else [])
        assert (await journal.counts()).dropped == 1


async def test_only_expired_events_are_dropped(path: Path, clocks: Clocks) -> None:
    async with journal_at(path, clocks) as journal:
        for day in range(20):
            await commit_events(journal, clocks, day)
            clocks.advance(DAY)
        assert await pending_numbers(journal) == list(range(14, 20))
        assert (await journal.counts()).dropped == 14


async def test_clock_set_forward_during_a_run_expires_nothing(path: Path, clocks: Clocks) -> None:
    present, clocks.wall = clocks.wall, 17.0  # 1970: no hardware clock, not yet synchronized
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 1)
        clocks.advance(5)
        clocks.wall = present
        await commit_events(journal, clocks, 2)
        await journal.prune(clocks.wall)
        assert await pending_numbers(journal) == [1, 2]
        clocks.advance(6.9 * DAY)
        await journal.prune(clocks.wall)
        assert await pending_numbers(journal) == [1, 2]
        clocks.advance(0.3 * DAY)
        assert await pending_numbers(journal) == []


async def test_events_with_an_unset_clock_do_not_expire_after_a_restart(path: Path, clocks: Clocks) -> None:
    present, clocks.wall = clocks.wall, 17.0
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 1)
    clocks.wall = present
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 2)
        assert await pending_numbers(journal) == [1, 2]
        # By now they have been pending for a week of uptime.
        clocks.advance(7 * DAY)
        assert await pending_numbers(journal) == []


@pytest.mark.parametrize("leap", [-30 * DAY, -NOW, 30 * DAY, 40 * 365 * DAY])
async def test_temporarily_wrong_clock_drops_nothing(path: Path, clocks: Clocks, leap: float) -> None:
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 1)
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 2)
        clocks.wall += leap
        await commit_events(journal, clocks, 3)
        await journal.prune(clocks.wall)
        assert await pending_numbers(journal) == [1, 2, 3]
        clocks.wall -= leap
        await commit_events(journal, clocks, 4)
        await journal.prune(clocks.wall)
        assert await pending_numbers(journal) == [1, 2, 3, 4]


async def test_clock_behind_at_start_keeps_earlier_events(path: Path, clocks: Clocks) -> None:
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 1)
    clocks.wall -= 60 * DAY
    async with journal_at(path, clocks) as journal:
        await commit_events(journal, clocks, 2)
        assert await pending_numbers(journal) == [1, 2]
    clocks.wall += 60 * DAY
    async with journal_at(path, clocks) as journal:
        # The second event is younger than the first, whatever its timestamp is.
        assert await pending_numbers(journal) == [1, 2]


async def test_first_drop_of_each_kind_is_logged_in_each_outage(path: Path, clocks: Clocks) -> None:
    async with journal_at(path, clocks, max_pending=2) as journal:
        for _ in range(2):
            with capture_logs() as log:
                for number in range(6):
                    await commit_events(journal, clocks, number)
                for _ in range(3):
                    clocks.advance(7.2 * DAY)
                    await journal.prune(clocks.wall)
                    await commit_events(journal, clocks, 7, 8)
            assert [line["event"] for line in log] == [TOO_MANY_LOG, EXPIRED_LOG]
            await journal.acknowledge(entry.seq for entry in await journal.pending())


def test_recorded_commit_times_are_bounded() -> None:
    clocks = Clocks()
    expiry = PendingExpiry(7 * DAY, uptime=lambda: clocks.uptime)
    expiry.start_run(clocks.wall, 0)
    for number in range(20_000):
        clocks.advance(60)
        expiry.record_commit(number)
        expiry.bounds(clocks.wall)
    assert len(expiry._commits) <= 7 * 24 + 2
