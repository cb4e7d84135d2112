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
from tests.support.simulation import Polls, running, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping
    from typing import Any

ONE, TWO = Resource(Kind.CLAN, "#2PA"), Resource(Kind.CLAN, "#2PB")


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as captured:
        yield captured


def levels(lines: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["log_level"] for line in lines]


class Crowd:
    """Watches of which so many per second can be polled, one after the other, a tenth of a second each."""

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

    def thin_out(self, left: int) -> None:
        for resource, _ in self.resources[left:]:
            self.scheduler.remove(resource)


@pytest.mark.looptime
async def test_overdue_is_who_waits_for_a_turn_and_not_who_is_polled() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
    for resource in (ONE, TWO):
        scheduler.add(resource, 10, polls.record(resource, duration=100))
    async with running(scheduler):
        await asyncio.sleep(5)
        assert scheduler.overdue == 1
        assert scheduler.overdue_seconds == pytest.approx(5, abs=0.1)
        await asyncio.sleep(100)
        assert scheduler.overdue == 1
        scheduler.remove(ONE)
        assert scheduler.overdue == 0
        assert scheduler.overdue_seconds == 0


@pytest.mark.looptime
async def test_what_is_polled_is_not_overdue_even_if_it_is_given_another_interval() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
    scheduler.add(ONE, 10, polls.record(ONE, duration=100))
    async with running(scheduler):
        await asyncio.sleep(5)
        scheduler.add(ONE, 5, polls.record(ONE))
        await asyncio.sleep(50)
        assert scheduler.overdue == 0


@pytest.mark.looptime
async def test_what_is_held_back_is_not_overdue_and_its_wait_counts_from_the_release() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
    scheduler.add(API, 1000, polls.record(API, duration=500), probe=True)
    scheduler.add(ONE, 10, polls.record(ONE))
    scheduler.pause()
    async with running(scheduler):
        await asyncio.sleep(100)
        assert (scheduler.overdue, scheduler.overdue_seconds) == (0, 0)
        scheduler.resume()
        await asyncio.sleep(7)
        assert (scheduler.overdue, scheduler.overdue_seconds) == (1, 7)


@pytest.mark.looptime
async def test_nothing_is_overdue_while_nothing_runs() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1)), Polls()
    scheduler.add(ONE, 10, polls.record(ONE))
    await asyncio.sleep(100)
    assert (scheduler.overdue, scheduler.overdue_seconds) == (0, 0)
    async with running(scheduler):
        await asyncio.sleep(1)
    await asyncio.sleep(100)
    assert (scheduler.overdue, scheduler.overdue_seconds) == (0, 0)


@pytest.mark.looptime
async def test_the_load_is_the_share_of_the_pace_that_all_intervals_ask_for() -> None:
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
async def test_without_a_pace_there_is_no_load() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1)), Polls()
    scheduler.add(ONE, 10, polls.record(ONE))
    assert scheduler.load == 0


def test_overload_is_said_once_with_its_figures_and_so_is_its_end(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        crowd = Crowd({20: 300})
        async with running(crowd.scheduler):
            await asyncio.sleep(600)
            assert levels(lines) == ["warning"]
            assert lines[0]["load"] == 1.5
            assert lines[0]["overdue"] > 150
            assert lines[0]["event"] == "polling is falling behind"
            assert "longer intervals" in lines[0]["hint"]
            crowd.thin_out(100)
            await asyncio.sleep(600)
            assert levels(lines) == ["warning", "info"]

    simulate(scenario())


def test_the_overload_that_is_said_counts_the_resource_that_shows_it(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
        scheduler.add(ONE, 1000, polls.record(ONE, duration=100))
        scheduler.add(TWO, 10, polls.record(TWO))
        async with running(scheduler):
            await asyncio.sleep(101)
        assert [line.get("overdue") for line in lines] == [1, None]

    simulate(scenario())


@pytest.mark.slow
def test_overload_that_comes_back_is_said_again(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        crowd = Crowd({20: 300})
        async with running(crowd.scheduler):
            await asyncio.sleep(600)
            crowd.thin_out(100)
            await asyncio.sleep(600)
            for resource, interval in crowd.resources:
                crowd.scheduler.add(resource, interval, crowd.polls.record(resource, duration=0.1))
            await asyncio.sleep(600)
        assert levels(lines) == ["warning", "info", "warning"]

    simulate(scenario())


def hold(crowd: Crowd) -> None:
    crowd.scheduler.pause()
    asyncio.get_running_loop().call_later(3600, crowd.scheduler.resume)


def suspend(_: Crowd) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    loop.now += 3600


@pytest.mark.parametrize("interrupt", [hold, suspend])
def test_the_backlog_of_a_hold_or_of_a_suspended_machine_is_no_overload(
    lines: list[MutableMapping[str, Any]], interrupt: Callable[[Crowd], None]
) -> None:
    async def scenario() -> None:
        # After the interruption it takes longer to go through all than the shorter interval.
        crowd = Crowd({20: 50, 300: 1200})
        async with running(crowd.scheduler):
            await asyncio.sleep(300)
            interrupt(crowd)
            await asyncio.sleep(3902 - asyncio.get_running_loop().time())
            assert crowd.scheduler.overdue > 500
            assert 1 <= crowd.scheduler.overdue_seconds <= 5
            await asyncio.sleep(120)
            assert crowd.scheduler.overdue_seconds > 20
            await asyncio.sleep(900)
            assert crowd.scheduler.overdue_seconds < 1
        assert lines == []

    simulate(scenario())


def test_the_pause_before_it_is_run_again_is_no_overload(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        crowd = Crowd({20: 100})
        async with running(crowd.scheduler):
            await asyncio.sleep(100)
        await asyncio.sleep(3600)
        async with running(crowd.scheduler):
            await asyncio.sleep(100)
        assert lines == []

    simulate(scenario())


@pytest.mark.slow
def test_overload_that_a_hold_interrupts_is_said_in_the_end(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        crowd = Crowd({20: 300})
        async with running(crowd.scheduler):
            await asyncio.sleep(10)
            hold(crowd)
            await asyncio.sleep(9000)
        assert levels(lines) == ["warning"]

    simulate(scenario())


def test_a_hold_is_no_end_of_overload(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        crowd = Crowd({20: 300})
        async with running(crowd.scheduler):
            await asyncio.sleep(600)
            crowd.scheduler.pause()
            await asyncio.sleep(600)
        assert levels(lines) == ["warning"]

    simulate(scenario())


def test_a_probe_that_comes_late_during_a_hold_is_no_overload(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
        scheduler.add(API, 10, polls.record(API), probe=True)
        async with running(scheduler):
            await asyncio.sleep(5)
            scheduler.add(ONE, 1000, polls.record(ONE, duration=100))
            await asyncio.sleep(1)
            scheduler.pause()
            await asyncio.sleep(200)
        assert polls.rounded(API)[:2] == [0, 105]
        assert lines == []

    simulate(scenario())


def test_a_resource_that_is_slow_itself_is_no_overload(lines: list[MutableMapping[str, Any]]) -> None:
    async def scenario() -> None:
        scheduler, polls = Scheduler(rng=random.Random(1), rate=10), Polls()
        scheduler.add(ONE, 10, polls.record(ONE, duration=35))
        async with running(scheduler):
            await asyncio.sleep(1000)
        assert len(polls.times[ONE]) == 29
        assert lines == []

    simulate(scenario())


@pytest.mark.usefixtures("lines")
def test_in_overload_equal_resources_are_served_equally() -> None:
    async def scenario() -> None:
        crowd = Crowd({20: 300})
        async with running(crowd.scheduler):
            await asyncio.sleep(1200)
        for times in crowd.polls.times.values():
            # 300 of them, ten a second: everyone's turn comes every 30 s.
            gaps = [later - earlier for earlier, later in itertools.pairwise(times[20:])]
            assert 29 < min(gaps) <= max(gaps) < 31

    simulate(scenario())


@pytest.mark.usefixtures("lines")
def test_when_overload_ends_everything_is_on_time_again() -> None:
    async def scenario() -> None:
        crowd = Crowd({20: 300})
        async with running(crowd.scheduler):
            await asyncio.sleep(600)
            crowd.thin_out(100)
            await asyncio.sleep(200)
            crowd.polls.times.clear()
            await asyncio.sleep(200)
        assert len(crowd.polls.times) == 100
        for times in crowd.polls.times.values():
            assert all(19 < later - earlier < 21 for earlier, later in itertools.pairwise(times))
            assert times[-1] > 1000 - 21

    simulate(scenario())
