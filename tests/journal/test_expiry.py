"""What has waited too long for delivery is dropped, and nothing else, whatever happens to the clock."""

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
MANY = "too many undelivered events: dropped the oldest ones"
LATE = "undelivered events expired and were dropped"


class Time:
    """The clock, which anybody can set, and the time that really goes by."""

    def __init__(self) -> None:
        self.clock, self.uptime = NOW, 0.0

    def go_by(self, seconds: float) -> None:
        self.clock += seconds
        self.uptime += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def opened(path: Path, time: Time, *, max_pending: int = 1000) -> SqliteJournal:
    # Each run has an uptime of its own.
    begun = time.uptime
    return SqliteJournal(
        path,
        max_pending=max_pending,
        max_pending_age=timedelta(days=7),
        clock=lambda: time.clock,
        uptime=lambda: time.uptime - begun,
    )


async def see(journal: SqliteJournal, time: Time, *numbers: int) -> None:
    """Commit events with the clock's time as their timestamp, as the engine does."""
    events = [Event(EventType.CLAN_UPDATED, "#2PP", timestamp=time.clock, metadata={"n": n}) for n in numbers]
    await journal.commit(CLAN, None, events)


async def waiting(journal: SqliteJournal) -> list[int]:
    return [entry.record.metadata["n"] for entry in await journal.pending(limit=10_000)]


async def test_what_waited_too_long_while_nothing_ran_is_dropped_before_anybody_reads_it(
    path: Path, time: Time
) -> None:
    async with opened(path, time) as journal:
        await see(journal, time, 1, 2)
        time.go_by(3 * DAY)
        await see(journal, time, 3)
    time.go_by(5 * DAY)
    with capture_logs() as log:
        async with opened(path, time) as journal:
            counts = await journal.counts()
            assert (counts.pending, counts.dropped, counts.last_seq) == (1, 2, 3)
            assert await waiting(journal) == [3]
            await asyncio.wait_for(journal.wait_pending(0), LONG_ENOUGH)
    assert [(line["log_level"], line["event"], line["max_pending_age"]) for line in log] == [
        ("warning", LATE, "7 days, 0:00:00")
    ]


@pytest.mark.parametrize("how", ["commit", "prune", "pending"])
async def test_what_waits_too_long_in_a_run_is_dropped_give_or_take_a_little(path: Path, time: Time, how: str) -> None:
    async with opened(path, time) as journal:
        await see(journal, time, 1)
        for _ in range(24 * 7 - 1):
            time.go_by(3600)
            await journal.prune(time.clock)
        time.go_by(3599)
        assert await waiting(journal) == [1]
        assert (await journal.counts()).pending == 1
        time.go_by(7 * DAY / 168 + 1)
        if how == "commit":
            await see(journal, time, 2)
        elif how == "prune":
            await journal.prune(time.clock)
        assert await waiting(journal) == ([2] if how == "commit" else [])
        assert (await journal.counts()).dropped == 1


async def test_nothing_that_still_may_wait_is_dropped(path: Path, time: Time) -> None:
    async with opened(path, time) as journal:
        for day in range(20):
            await see(journal, time, day)
            time.go_by(DAY)
        assert await waiting(journal) == list(range(14, 20))
        assert (await journal.counts()).dropped == 14


async def test_a_clock_that_is_set_to_the_present_in_a_run_makes_nothing_old(path: Path, time: Time) -> None:
    present, time.clock = time.clock, 17.0  # 1970: no battery, no network yet
    async with opened(path, time) as journal:
        await see(journal, time, 1)
        time.go_by(5)
        time.clock = present
        await see(journal, time, 2)
        await journal.prune(time.clock)
        assert await waiting(journal) == [1, 2]
        time.go_by(6.9 * DAY)
        await journal.prune(time.clock)
        assert await waiting(journal) == [1, 2]
        time.go_by(0.3 * DAY)
        assert await waiting(journal) == []


async def test_events_of_before_the_clock_was_set_are_not_taken_for_old_ones_after_a_restart(
    path: Path, time: Time
) -> None:
    present, time.clock = time.clock, 17.0
    async with opened(path, time) as journal:
        await see(journal, time, 1)
    time.clock = present
    async with opened(path, time) as journal:
        await see(journal, time, 2)
        assert await waiting(journal) == [1, 2]
        # By now they have waited for that long, whenever it was.
        time.go_by(7 * DAY)
        assert await waiting(journal) == []


@pytest.mark.parametrize("leap", [-30 * DAY, -NOW, 30 * DAY, 40 * 365 * DAY])
async def test_a_clock_that_is_wrong_for_a_while_drops_nothing(path: Path, time: Time, leap: float) -> None:
    async with opened(path, time) as journal:
        await see(journal, time, 1)
    async with opened(path, time) as journal:
        await see(journal, time, 2)
        time.clock += leap
        await see(journal, time, 3)
        await journal.prune(time.clock)
        assert await waiting(journal) == [1, 2, 3]
        time.clock -= leap
        await see(journal, time, 4)
        await journal.prune(time.clock)
        assert await waiting(journal) == [1, 2, 3, 4]


async def test_a_clock_that_begins_in_the_past_keeps_what_came_before(path: Path, time: Time) -> None:
    async with opened(path, time) as journal:
        await see(journal, time, 1)
    time.clock -= 60 * DAY
    async with opened(path, time) as journal:
        await see(journal, time, 2)
        assert await waiting(journal) == [1, 2]
    time.clock += 60 * DAY
    async with opened(path, time) as journal:
        # The second was seen after the first, so it is no older, whatever its timestamp says.
        assert await waiting(journal) == [1, 2]


async def test_each_outage_is_told_once_for_each_reason(path: Path, time: Time) -> None:
    async with opened(path, time, max_pending=2) as journal:
        for _ in range(2):
            with capture_logs() as log:
                for number in range(6):
                    await see(journal, time, number)
                for _ in range(3):
                    time.go_by(7.2 * DAY)
                    await journal.prune(time.clock)
                    await see(journal, time, 7, 8)
            assert [line["event"] for line in log] == [MANY, LATE]
            await journal.acknowledge(entry.seq for entry in await journal.pending())


def test_no_more_is_remembered_of_a_long_run_than_of_a_short_one() -> None:
    time = Time()
    age = PendingExpiry(7 * DAY, uptime=lambda: time.uptime)
    age.start_run(time.clock, 0)
    for number in range(20_000):
        time.go_by(60)
        age.record_commit(number)
        age.bounds(time.clock)
    assert len(age._commits) <= 7 * 24 + 2
