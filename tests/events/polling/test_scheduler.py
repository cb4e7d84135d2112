from __future__ import annotations

import asyncio
import itertools
import math
import random

import pytest

from coc2mqtt.events.polling.scheduler import NextPoll, Scheduler
from coc2mqtt.events.resource import API, Kind, Resource
from tests.support.simulation import ONE, THREE, TWO, Polls, running

pytestmark = pytest.mark.looptime


async def test_slow_polls_do_not_drift(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE, duration=3))
    async with running(scheduler):
        await asyncio.sleep(1000)
    times = polls.times[ONE]
    assert len(times) == 100 or len(times) == 101
    assert all(0 <= time - 10 * number <= 0.25 for number, time in enumerate(times))


async def test_polls_of_many_clients_do_not_stay_in_step(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 1000, polls.record(ONE))
    async with running(scheduler):
        await asyncio.sleep(20_500)
    delays = [time - 1000 * number for number, time in enumerate(polls.times[ONE])]
    assert len(delays) == 21
    assert 0.5 < max(delays) <= 1.01
    assert len({round(one, 3) for one in delays[1:]}) > 15


async def test_resource_is_not_polled_before_its_cache_entry_expires(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE, duration=1, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(300)
    times = polls.times[ONE]
    assert len(times) == 5
    assert all(61 <= later - earlier <= 61.3 for earlier, later in itertools.pairwise(times))


async def test_latest_before_the_interval_makes_the_next_poll_earlier(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 1000, polls.record(ONE, duration=1, next_poll=NextPoll(0, latest=20)))
    async with running(scheduler):
        await asyncio.sleep(100)
    assert polls.rounded(ONE)[:2] == [0, 21] or polls.rounded(ONE)[:2] == [0, 22]
    assert len(polls.times[ONE]) == 5


async def test_latest_does_not_poll_before_the_cache_entry_expires(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 1000, polls.record(ONE, duration=1, next_poll=NextPoll(60, latest=20)))
    async with running(scheduler):
        await asyncio.sleep(100)
    first, second = polls.times[ONE]
    assert 61 <= second - first <= 62


async def test_latest_after_the_interval_has_no_effect(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE, next_poll=NextPoll(0, latest=500)))
    async with running(scheduler):
        await asyncio.sleep(35)
    assert polls.rounded(ONE) == [0, 10, 20, 30]


async def test_hanging_resource_does_not_delay_others(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE, duration=10_000))
    scheduler.add(TWO, 10, polls.record(TWO))
    async with running(scheduler):
        await asyncio.sleep(101)
    assert len(polls.times[ONE]) == 1
    assert len(polls.times[TWO]) == 11


async def test_polls_of_a_resource_never_overlap(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 1, polls.record(ONE, duration=5))
    async with running(scheduler):
        for _ in range(20):
            scheduler.poll_now(ONE)
            scheduler.poll_when_fresh(ONE)
            scheduler.remove(ONE)
            scheduler.add(ONE, 1, polls.record(ONE, duration=5))
            scheduler.poll_now(ONE)
            await asyncio.sleep(1)
    assert polls.max_in_progress == 1
    assert polls.rounded(ONE) == [0, 5, 10, 15]


async def test_resource_added_again_during_its_poll_is_polled_after_that_poll(
    scheduler: Scheduler, polls: Polls
) -> None:
    scheduler.add(ONE, 100, polls.record(ONE, duration=50))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.remove(ONE)
        scheduler.add(ONE, 10, polls.record(ONE))
        await asyncio.sleep(75)
    assert polls.rounded(ONE) == [0, 50, 60, 70]


async def test_slow_poll_is_followed_by_one_poll_not_by_all_missed_ones(scheduler: Scheduler, polls: Polls) -> None:
    takes = iter([35.0])

    async def poll() -> NextPoll:
        return await polls.record(ONE, duration=next(takes, 0.0))()

    scheduler.add(ONE, 10, poll)
    async with running(scheduler):
        await asyncio.sleep(60)
    assert polls.rounded(ONE) == [0, 35, 45, 55]


async def test_concurrent_polls_are_limited() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), concurrency=7), Polls()
    resources = [Resource(Kind.CLAN, f"#{number}") for number in range(50)]
    for resource in resources:
        scheduler.add(resource, 100, polls.record(resource, duration=2))
    async with running(scheduler):
        await asyncio.sleep(60)
    assert polls.max_in_progress == 7
    assert all(len(polls.times[resource]) == 1 for resource in resources)


async def test_added_resource_is_polled_at_once_and_removed_one_no_more(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE))
    async with running(scheduler):
        await asyncio.sleep(25)
        scheduler.remove(ONE)
        scheduler.add(TWO, 10, polls.record(TWO))
        await asyncio.sleep(100)
    assert len(polls.times[ONE]) == 3
    assert polls.times[TWO][0] == pytest.approx(25, abs=0.1)


async def test_resource_removed_during_its_poll_is_not_polled_again(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE, duration=5))
    async with running(scheduler):
        await asyncio.sleep(3)
        scheduler.remove(ONE)
        await asyncio.sleep(100)
    assert polls.rounded(ONE) == [0]


async def test_paused_scheduler_polls_only_probes(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE))
    scheduler.add(API, 10, polls.record(API), entry_type="probe")
    async with running(scheduler):
        await asyncio.sleep(5)
        scheduler.pause()
        await asyncio.sleep(30)
        scheduler.poll_now(ONE)
        scheduler.add(TWO, 10, polls.record(TWO))
        await asyncio.sleep(70)
        assert len(polls.times[ONE]) == 1
        assert len(polls.times[API]) == 11
        assert TWO not in polls.times
        scheduler.resume()
        await asyncio.sleep(4)
    assert len(polls.times[ONE]) == 2, "once after the resume, and not immediately again"
    assert len(polls.times[TWO]) == 1


@pytest.mark.parametrize(("resumed", "next_poll"), [(104, 110), (107, 120), (12, 20)])
async def test_polls_after_a_pause_keep_the_old_rhythm(
    scheduler: Scheduler, polls: Polls, resumed: int, next_poll: int
) -> None:
    scheduler.add(ONE, 10, polls.record(ONE))
    async with running(scheduler):
        await asyncio.sleep(5)
        scheduler.pause()
        await asyncio.sleep(resumed - 5)
        scheduler.resume()
        await asyncio.sleep(20)
    assert polls.rounded(ONE)[:3] == [0, resumed, next_poll]


async def test_longest_overdue_resource_is_polled_first_after_a_pause(sequential: Scheduler, polls: Polls) -> None:
    async with running(sequential):
        await asyncio.sleep(0)
        for resource, interval in ((ONE, 90), (TWO, 50), (THREE, 70)):
            sequential.add(resource, interval, polls.record(resource))
        await asyncio.sleep(1)
        sequential.pause()
        await asyncio.sleep(200)
        sequential.poll_now(ONE)
        sequential.resume()
        await asyncio.sleep(1)
    assert polls.order == [ONE, TWO, THREE, TWO, THREE, ONE]


async def test_probe_is_polled_before_overdue_resources(sequential: Scheduler, polls: Polls) -> None:
    sequential.add(ONE, 1000, polls.record(ONE, duration=100))
    async with running(sequential):
        await asyncio.sleep(10)
        sequential.add(TWO, 1000, polls.record(TWO))
        await asyncio.sleep(10)
        sequential.add(API, 1000, polls.record(API), entry_type="probe")
        await asyncio.sleep(100)
    assert polls.order == [ONE, API, TWO]


@pytest.mark.parametrize(
    ("duration", "cached", "polled"),
    [
        pytest.param(0.1, 0, [0, 11, 21, 31, 41], id="immediately"),
        pytest.param(0.1, 100, [0, 100, 110], id="after the cache of the last response"),
        pytest.param(5, 0, [0, 10, 20], id="to a poll in progress"),
    ],
)
async def test_shorter_interval_applies(
    scheduler: Scheduler, polls: Polls, duration: float, cached: float, polled: list[int]
) -> None:
    scheduler.add(ONE, 1000, polls.record(ONE, duration=duration, next_poll=NextPoll(cached)))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.add(ONE, 10, polls.record(ONE))
        await asyncio.sleep(polled[-1] + 8)
    assert polls.rounded(ONE) == polled
    assert polls.times[ONE][1] >= duration + cached


async def test_resource_that_becomes_a_probe_is_polled_only_as_a_probe(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE, duration=0))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.add(ONE, 10, polls.record(ONE, duration=0), entry_type="probe")
        await asyncio.sleep(20)
        scheduler.pause()
        await asyncio.sleep(10)
    assert polls.rounded(ONE) == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("requested", "requests", "polled"),
    [
        pytest.param(50, 1, 50, id="without waiting for interval or cache"),
        pytest.param(1, 2, 5, id="right after a poll in progress"),
    ],
)
async def test_poll_now_polls_once(
    scheduler: Scheduler, polls: Polls, requested: float, requests: int, polled: float
) -> None:
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(500)))
    async with running(scheduler):
        await asyncio.sleep(requested)
        for _ in range(requests):
            assert scheduler.poll_now(ONE)
        await asyncio.sleep(100)
    assert polls.times[ONE] == pytest.approx([0, polled], abs=0.01)


@pytest.mark.parametrize(
    ("requested", "polled"),
    [
        pytest.param(10, 65, id="while the response is cached"),
        pytest.param(100, 100, id="after the cache expired"),
        pytest.param(1, 65, id="during a poll"),
    ],
)
async def test_poll_when_fresh_waits_for_the_cache_but_not_the_interval(
    scheduler: Scheduler, polls: Polls, requested: float, polled: float
) -> None:
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(requested)
        assert scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(150)
    assert polls.times[ONE] == pytest.approx([0, polled], abs=0.01)
    assert polls.times[ONE][1] >= polled


async def test_poll_when_fresh_does_not_delay_a_requested_poll(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 10, polls.record(ONE, next_poll=NextPoll(100)))
    async with running(scheduler):
        await asyncio.sleep(5)
        scheduler.poll_now(ONE)
        scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(5)
    assert polls.rounded(ONE) == [0, 5]


async def test_request_for_an_unknown_resource_returns_false(scheduler: Scheduler) -> None:
    assert not scheduler.poll_now(ONE)
    assert not scheduler.poll_when_fresh(ONE)
    scheduler.remove(ONE)


async def test_overdue_resource_keeps_its_place_when_a_poll_is_requested(sequential: Scheduler, polls: Polls) -> None:
    sequential.add(ONE, 1000, polls.record(ONE, duration=100))
    async with running(sequential):
        await asyncio.sleep(10)
        sequential.add(TWO, 1000, polls.record(TWO))
        await asyncio.sleep(10)
        sequential.add(THREE, 1000, polls.record(THREE))
        await asyncio.sleep(10)
        sequential.poll_now(TWO)
        sequential.poll_when_fresh(TWO)
        await asyncio.sleep(100)
    assert polls.order == [ONE, TWO, THREE]


async def test_poll_requests_do_not_accumulate(scheduler: Scheduler, polls: Polls) -> None:
    scheduler.add(ONE, 1000, polls.record(ONE))
    scheduler.add(TWO, 1000, polls.record(TWO, duration=0, next_poll=NextPoll(0, latest=900)))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.pause()
        for number in range(10_000):
            scheduler.poll_when_fresh(ONE)
            scheduler.poll_now(ONE)
            scheduler.add(TWO, 900 - number / 100, polls.record(TWO))
        assert len(scheduler._queues["regular"]._heap) < 100
        scheduler.resume()
        await asyncio.sleep(10)
    assert polls.rounded(ONE) == [0, 1]


@pytest.mark.parametrize("interval", [0, -1, math.inf, math.nan])
async def test_invalid_interval_raises_value_error(scheduler: Scheduler, interval: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        scheduler.add(ONE, interval, Polls().record(ONE))


async def test_second_run_repeats_the_cancelled_poll_and_keeps_other_due_times(
    scheduler: Scheduler, polls: Polls
) -> None:
    async with running(scheduler):
        scheduler.add(ONE, 100, polls.record(ONE, duration=30))
        scheduler.add(TWO, 100, polls.record(TWO))
        await asyncio.sleep(20)
        scheduler.poll_now(ONE)
    assert polls.in_progress == 0
    await asyncio.sleep(20)
    async with running(scheduler):
        await asyncio.sleep(100)
    assert polls.rounded(ONE) == [0, 40, 100] or polls.rounded(ONE) == [0, 40, 101]
    assert polls.rounded(TWO) == [0, 100] or polls.rounded(TWO) == [0, 101]


async def test_second_run_polls_a_resource_whose_poll_had_not_started(scheduler: Scheduler, polls: Polls) -> None:
    async def fail() -> NextPoll:
        await asyncio.sleep(5)
        scheduler.poll_now(TWO)
        raise OSError("the disk is full")

    scheduler.add(ONE, 1000, fail)
    scheduler.add(TWO, 1000, polls.record(TWO))
    with pytest.raises(ExceptionGroup):
        await scheduler.run()
    scheduler.remove(ONE)
    async with running(scheduler):
        await asyncio.sleep(1)
    assert polls.rounded(TWO) == [0, 5]


async def test_exception_of_a_poll_is_raised(scheduler: Scheduler) -> None:
    async def poll() -> NextPoll:
        raise OSError("the disk is full")

    scheduler.add(ONE, 10, poll)
    with pytest.raises(ExceptionGroup) as caught:
        await scheduler.run()
    assert caught.group_contains(OSError)
