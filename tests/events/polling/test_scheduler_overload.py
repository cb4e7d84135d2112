from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.polling.scheduler import Scheduler
from coc2mqtt.events.resource import API, Kind, Resource
from tests.support.simulated_loop import SimulatedLoop
from tests.support.simulation import ONE, TWO, Polls, running, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping
    from typing import Any


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as captured:
        yield captured


def levels(lines: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["log_level"] for line in lines]


class LoadTest:
    """Watches (numbers by interval) that are polled one after the other, each poll taking 0.1 s."""

    def __init__(self, intervals: dict[int, int]) -> None:
        self.scheduler = Scheduler(rng=random.Random(1), rate=10, concurrency=1)
        self.polls = Polls()
        self.resources = [
            (Resource(Kind.CLAN, f"#{interval}/{number}"), interval)
            for interval, count in intervals.items()
            for number in range(count)
        ]
        for resource, interval in self.resources:
            self.scheduler.add(resource, interval, self.polls.record(resource, duration=0.1))

    def keep_only(self, count: int) -> None:
        for resource, _ in self.resources[count:]:
            self.scheduler.remove(resource)


@pytest.mark.looptime
async def test_overdue_counts_waiting_resources_but_not_those_being_polled(sequential: Scheduler, polls: Polls) -> None:
    for resource in (ONE, TWO):
        sequential.add(resource, 10, polls.record(resource, duration=100))
    async with running(sequential):
        await asyncio.sleep(5)
        assert sequential.overdue == 1
        assert sequential.overdue_seconds == pytest.approx(5, abs=0.1)
        await asyncio.sleep(100)
        assert sequential.overdue == 1
        sequential.remove(ONE)
        assert sequential.overdue == 0
        assert sequential.overdue_seconds == 0


@pytest.mark.looptime
async def test_resource_being_polled_is_not_overdue_with_a_new_interval(sequential: Scheduler, polls: Polls) -> None:
    sequential.add(ONE, 10, polls.record(ONE, duration=100))
    async with running(sequential):
        await asyncio.sleep(5)
        sequential.add(ONE, 5, polls.record(ONE))
        await asyncio.sleep(50)
        assert sequential.overdue == 0


@pytest.mark.looptime
async def test_overdue_time_of_a_paused_resource_counts_from_the_resume(sequential: Scheduler, polls: Polls) -> None:
    sequential.add(API, 1000, polls.record(API, duration=500), entry_type="probe")
    sequential.add(ONE, 10, polls.record(ONE))
    sequential.pause()
    async with running(sequential):
        await asyncio.sleep(100)
        assert (sequential.overdue, sequential.overdue_seconds) == (0, 0)
        sequential.resume()
        await asyncio.sleep(7)
        assert (sequential.overdue, sequential.overdue_seconds) == (1, 7)


@pytest.mark.looptime
async def test_stopped_scheduler_has_nothing_overdue(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE))
    await asyncio.sleep(100)
    assert (scheduler.overdue, scheduler.overdue_seconds) == (0, 0)
    async with running(scheduler):
        await asyncio.sleep(1)
    await asyncio.sleep(100)
    assert (scheduler.overdue, scheduler.overdue_seconds) == (0, 0)


@pytest.mark.looptime
async def test_load_is_the_required_share_of_the_rate() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), rate=2), Polls()
    assert scheduler.load == 0
    scheduler.add(ONE, 10, polls.record(ONE))
    scheduler.add(TWO, 1, polls.record(TWO))
    assert scheduler.load == pytest.approx(0.55)
    scheduler.add(TWO, 2, polls.record(TWO))
    assert scheduler.load == pytest.approx(0.3)
    scheduler.remove(ONE)
    assert scheduler.load == pytest.approx(0.25)


@pytest.mark.looptime
async def test_load_without_a_rate_limit_is_zero(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE))
    assert scheduler.load == 0


def test_overload_and_its_end_are_logged_once(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        load_test = LoadTest({20: 300})
        async with running(load_test.scheduler):
            await asyncio.sleep(600)
            assert levels(lines) == ["warning"]
            assert lines[0]["load"] == 1.5
            assert lines[0]["overdue"] > 150
            assert lines[0]["event"] == "polling is falling behind"
            assert "longer intervals" in lines[0]["hint"]
            load_test.keep_only(100)
            await asyncio.sleep(600)
            assert levels(lines) == ["warning", "info"]

    simulate(scenario())


def test_logged_overload_counts_the_late_resource_itself(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
        scheduler.add(ONE, 1000, polls.record(ONE, duration=100))
        scheduler.add(TWO, 10, polls.record(TWO))
        async with running(scheduler):
            await asyncio.sleep(101)
        assert [line.get("overdue") for line in lines] == [1, None]

    simulate(scenario())


@pytest.mark.slow
def test_second_overload_is_logged_again(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        load_test = LoadTest({20: 300})
        async with running(load_test.scheduler):
            await asyncio.sleep(600)
            load_test.keep_only(100)
            await asyncio.sleep(600)
            for resource, interval in load_test.resources:
                load_test.scheduler.add(resource, interval, load_test.polls.record(resource, duration=0.1))
            await asyncio.sleep(600)
        assert levels(lines) == ["warning", "info", "warning"]

    simulate(scenario())


def pause(load_test: LoadTest) -> None:
    load_test.scheduler.pause()
    asyncio.get_running_loop().call_later(3600, load_test.scheduler.resume)


def suspend(_: LoadTest) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    loop.now += 3600


@pytest.mark.parametrize("interrupt", [pause, suspend])
def test_backlog_after_a_pause_or_suspend_is_not_logged_as_overload(
    lines: list[MutableMapping[str, Any]], interrupt: Callable[[LoadTest], None]
) -> None:
    async def scenario() -> None:
        # Clearing the backlog of the interruption takes longer than the shorter interval.
        load_test = LoadTest({20: 50, 300: 1200})
        async with running(load_test.scheduler):
            await asyncio.sleep(300)
            interrupt(load_test)
            await asyncio.sleep(3902 - asyncio.get_running_loop().time())
            assert load_test.scheduler.overdue > 500
            assert 1 <= load_test.scheduler.overdue_seconds <= 5
            await asyncio.sleep(120)
            assert load_test.scheduler.overdue_seconds > 20
            await asyncio.sleep(900)
            assert load_test.scheduler.overdue_seconds < 1
        assert lines == []

    simulate(scenario())


def test_time_between_two_runs_is_not_logged_as_overload(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        load_test = LoadTest({20: 100})
        async with running(load_test.scheduler):
            await asyncio.sleep(100)
        await asyncio.sleep(3600)
        async with running(load_test.scheduler):
            await asyncio.sleep(100)
        assert lines == []

    simulate(scenario())


@pytest.mark.slow
def test_overload_interrupted_by_a_pause_is_logged_eventually(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        load_test = LoadTest({20: 300})
        async with running(load_test.scheduler):
            await asyncio.sleep(10)
            pause(load_test)
            await asyncio.sleep(9000)
        assert levels(lines) == ["warning"]

    simulate(scenario())


def test_pause_during_overload_is_not_logged_as_its_end(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        load_test = LoadTest({20: 300})
        async with running(load_test.scheduler):
            await asyncio.sleep(600)
            load_test.scheduler.pause()
            await asyncio.sleep(600)
        assert levels(lines) == ["warning"]

    simulate(scenario())


def test_late_probe_during_a_pause_is_not_logged_as_overload(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
        scheduler.add(API, 10, polls.record(API), entry_type="probe")
        async with running(scheduler):
            await asyncio.sleep(5)
            scheduler.add(ONE, 1000, polls.record(ONE, duration=100))
            await asyncio.sleep(1)
            scheduler.pause()
            await asyncio.sleep(200)
        assert polls.rounded(API)[:2] == [0, 105]
        assert lines == []

    simulate(scenario())


def test_slow_resource_is_not_logged_as_overload(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        scheduler, polls = Scheduler(rng=random.Random(1), rate=10), Polls()
        scheduler.add(ONE, 10, polls.record(ONE, duration=35))
        async with running(scheduler):
            await asyncio.sleep(1000)
        assert len(polls.times[ONE]) == 29
        assert lines == []

    simulate(scenario())


@pytest.mark.usefixtures("lines")
def test_overloaded_scheduler_polls_equal_resources_equally() -> None:
    async def scenario() -> None:
        load_test = LoadTest({20: 300})
        async with running(load_test.scheduler):
            await asyncio.sleep(1200)
        for times in load_test.polls.times.values():
            # 300 resources at ten polls per second: each is polled every 30 s.
            gaps = [later - earlier for earlier, later in itertools.pairwise(times[20:])]
            assert 29 < min(gaps) <= max(gaps) < 31

    simulate(scenario())


@pytest.mark.usefixtures("lines")
def test_polls_are_on_time_after_an_overload() -> None:
    async def scenario() -> None:
        load_test = LoadTest({20: 300})
        async with running(load_test.scheduler):
            await asyncio.sleep(600)
            load_test.keep_only(100)
            await asyncio.sleep(200)
            load_test.polls.times.clear()
            await asyncio.sleep(200)
        assert len(load_test.polls.times) == 100
        for times in load_test.polls.times.values():
            assert all(19 < later - earlier < 21 for earlier, later in itertools.pairwise(times))
            assert times[-1] > 1000 - 21

    simulate(scenario())
