from __future__ import annotations

import asyncio
import itertools
import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.polling.due_queue import start_offset, start_window
from coc2mqtt.events.polling.scheduler import Scheduler
from coc2mqtt.events.resource import API, Kind, Resource
from tests.support.simulation import Polls, running

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERVALS = st.lists(st.floats(1, 100_000), max_size=50)


def peak_rate(intervals: Iterable[float], window: float) -> float:
    """Return the polls per second if all waves coincide."""
    return sum(1 / min(interval, window) for interval in intervals)


@pytest.mark.parametrize(
    ("intervals", "rate", "window"),
    [
        ([], 10, 0),
        ([60], 10, 0.1),
        ([60] * 100, 10, 10),
        ([1, 60, 60], 2, 2),
        ([60, 1, 60], 2, 2),
        ([60] * 600, 10, 60),
        ([60] * 601, 10, math.inf),
        ([1, 1], 1, math.inf),
    ],
)
def test_start_window_is_as_short_as_the_rate_allows(intervals: list[float], rate: float, window: float) -> None:
    assert start_window(intervals, rate) == pytest.approx(window)


@given(INTERVALS.filter(bool), st.floats(0.001, 1000))
def test_start_window_is_the_shortest_that_stays_below_the_rate(intervals: list[float], rate: float) -> None:
    window = start_window(intervals, rate)
    if window == math.inf:
        assert peak_rate(intervals, window) > rate * (1 - 1e-9)
    else:
        assert peak_rate(intervals, window) <= rate * (1 + 1e-9)
        assert peak_rate(intervals, window * (1 - 1e-6)) > rate


@given(st.integers(0, 100_000), st.integers(2, 300))
def test_start_offsets_of_consecutive_resources_are_spread_evenly(first: int, count: int) -> None:
    offsets = sorted(start_offset(number, 60, 1) for number in range(first, first + count))
    gaps = [later - earlier for earlier, later in zip([0.0, *offsets], [*offsets, 1.0], strict=True)]
    assert max(gaps) < 3 / count


@given(st.integers(0, 100_000), st.floats(1, 1000), st.floats(0, 1000))
def test_start_offset_is_within_window_and_interval(number: int, interval: float, window: float) -> None:
    assert 0 <= start_offset(number, interval, window) <= min(interval, window)


def test_polls_of_the_first_hours_never_exceed_the_rate_in_any_second() -> None:
    intervals = [(30, 60, 120, 700)[number % 4] for number in range(2000)]
    window = start_window(intervals, 45)
    assert window < 300
    seconds = [0] * 7200
    for number, interval in enumerate(intervals):
        for wave in range(7200 // interval):
            seconds[int(start_offset(number, interval, window)) + wave * interval] += 1
    assert max(seconds) <= 50


@pytest.mark.looptime
async def test_few_watches_start_within_half_a_second() -> None:
    polls = await first_polls([60] * 10, rate=25, seconds=0.5)
    assert len(polls.times) == 10


@pytest.mark.looptime
async def test_many_watches_start_evenly_within_the_rate_limit() -> None:
    polls = await first_polls([60] * 400, rate=10, seconds=60)
    starts = sorted(times[0] for times in polls.times.values())
    assert len(starts) == 400
    assert starts[-1] == pytest.approx(400 / 9, abs=0.2)
    assert all(later - earlier < 0.3 for earlier, later in itertools.pairwise(starts))


@pytest.mark.looptime
async def test_watches_without_a_rate_limit_start_without_a_burst() -> None:
    polls = await first_polls([60] * 100, rate=math.inf, seconds=10)
    starts = sorted(times[0] for times in polls.times.values())
    assert starts[0] < 0.1
    assert starts[-1] == pytest.approx(100 * 0.02, abs=0.05)


@pytest.mark.looptime
async def test_watches_above_the_rate_limit_start_within_their_intervals() -> None:
    polls = await first_polls([10, 100] * 100, rate=5, seconds=101)
    short = [polls.times[Resource(Kind.CLAN, f"#{number}")][0] for number in range(0, 200, 2)]
    long = [polls.times[Resource(Kind.CLAN, f"#{number}")][0] for number in range(1, 200, 2)]
    assert 9 < max(short) < 10
    assert 95 < max(long) < 100


@pytest.mark.looptime
async def test_probe_starts_at_once_despite_many_watches() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), rate=1), Polls()
    for number in range(100):
        resource = Resource(Kind.CLAN, f"#{number}")
        scheduler.add(resource, 1000, polls.record(resource))
    scheduler.add(API, 1000, polls.record(API), entry_type="probe")
    async with running(scheduler):
        await asyncio.sleep(1)
    assert polls.times[API] == [0]


@pytest.mark.looptime
async def test_resource_added_later_does_not_wait_for_the_start_window() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), rate=1), Polls()
    added_later = [Resource(Kind.PLAYER, f"#{number}") for number in range(5)]
    async with running(scheduler):
        await asyncio.sleep(20)
        for resource in added_later:
            scheduler.add(resource, 1000, polls.record(resource))
        await asyncio.sleep(1)
    assert [polls.times[resource] for resource in added_later] == [[20]] * 5


async def first_polls(intervals: list[float], *, rate: float, seconds: float) -> Polls:
    scheduler, polls = Scheduler(rng=random.Random(1), rate=rate), Polls()
    for number, interval in enumerate(intervals):
        resource = Resource(Kind.CLAN, f"#{number}")
        scheduler.add(resource, interval, polls.record(resource))
    async with running(scheduler):
        await asyncio.sleep(seconds)
    return polls
