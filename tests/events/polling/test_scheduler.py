from __future__ import annotations

import asyncio
import itertools
import math
import random

import pytest

from coc2mqtt.events.polling.scheduler import NextPoll, Scheduler
from coc2mqtt.events.resource import API, Kind, Resource
from tests.support.simulation import Polls, running

pytestmark = pytest.mark.looptime

ONE, TWO, THREE = (Resource(Kind.CLAN, tag) for tag in ("#2PA", "#2PB", "#2PC"))


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(rng=random.Random(1))


@pytest.fixture
def one_by_one() -> Scheduler:
    return Scheduler(rng=random.Random(1), concurrency=1)


async def test_polls_do_not_drift_however_long_they_take(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE, duration=3))
    async with running(scheduler):
        await asyncio.sleep(1000)
    times = polls.times[ONE]
    assert len(times) == 100 or len(times) == 101
    assert all(0 <= time - 10 * number <= 0.25 for number, time in enumerate(times))


async def test_polls_of_many_clients_do_not_stay_in_step(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE))
    async with running(scheduler):
        await asyncio.sleep(20_500)
    late = [time - 1000 * number for number, time in enumerate(polls.times[ONE])]
    assert len(late) == 21
    assert 0.5 < max(late) <= 1.01
    assert len({round(one, 3) for one in late[1:]}) > 15


async def test_nothing_is_polled_before_its_cache_runs_out(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE, duration=1, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(300)
    times = polls.times[ONE]
    assert len(times) == 5
    assert all(61 <= later - earlier <= 61.3 for earlier, later in itertools.pairwise(times))


async def test_an_answer_can_want_the_next_poll_sooner_than_the_interval(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=1, next_poll=NextPoll(0, latest=20)))
    async with running(scheduler):
        await asyncio.sleep(100)
    assert polls.rounded(ONE)[:2] == [0, 21] or polls.rounded(ONE)[:2] == [0, 22]
    assert len(polls.times[ONE]) == 5


async def test_what_an_answer_wants_does_not_come_before_its_cache_runs_out(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=1, next_poll=NextPoll(60, latest=20)))
    async with running(scheduler):
        await asyncio.sleep(100)
    first, second = polls.times[ONE]
    assert 61 <= second - first <= 62


async def test_what_an_answer_wants_later_than_the_interval_changes_nothing(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE, next_poll=NextPoll(0, latest=500)))
    async with running(scheduler):
        await asyncio.sleep(35)
    assert polls.rounded(ONE) == [0, 10, 20, 30]


async def test_a_hanging_resource_delays_no_other(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE, duration=10_000))
    scheduler.add(TWO, 10, polls.record(TWO))
    async with running(scheduler):
        await asyncio.sleep(101)
    assert len(polls.times[ONE]) == 1
    assert len(polls.times[TWO]) == 11


async def test_a_resource_is_never_polled_twice_at_a_time(scheduler: Scheduler) -> None:
    polls = Polls()
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


async def test_what_is_removed_and_added_again_while_it_is_polled_goes_on_after_that_poll(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 100, polls.record(ONE, duration=50))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.remove(ONE)
        scheduler.add(ONE, 10, polls.record(ONE))
        await asyncio.sleep(75)
    assert polls.rounded(ONE) == [0, 50, 60, 70]


async def test_a_poll_that_takes_longer_than_the_interval_is_followed_by_one_and_not_by_all_it_missed(
    scheduler: Scheduler,
) -> None:
    polls = Polls()
    takes = iter([35.0])

    async def poll() -> NextPoll:
        return await polls.record(ONE, duration=next(takes, 0.0))()

    scheduler.add(ONE, 10, poll)
    async with running(scheduler):
        await asyncio.sleep(60)
    assert polls.rounded(ONE) == [0, 35, 45, 55]


async def test_so_many_polls_are_under_way_together_and_no_more() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), concurrency=7), Polls()
    resources = [Resource(Kind.CLAN, f"#{number}") for number in range(50)]
    for resource in resources:
        scheduler.add(resource, 100, polls.record(resource, duration=2))
    async with running(scheduler):
        await asyncio.sleep(60)
    assert polls.max_in_progress == 7
    assert all(len(polls.times[resource]) == 1 for resource in resources)


async def test_what_is_removed_is_polled_no_more_and_what_is_added_is_polled_at_once(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE))
    async with running(scheduler):
        await asyncio.sleep(25)
        scheduler.remove(ONE)
        scheduler.add(TWO, 10, polls.record(TWO))
        await asyncio.sleep(100)
    assert len(polls.times[ONE]) == 3
    assert polls.times[TWO][0] == pytest.approx(25, abs=0.1)


async def test_what_is_removed_while_it_is_polled_does_not_come_back(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE, duration=5))
    async with running(scheduler):
        await asyncio.sleep(3)
        scheduler.remove(ONE)
        await asyncio.sleep(100)
    assert polls.rounded(ONE) == [0]


async def test_while_it_holds_only_probes_go_on(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE))
    scheduler.add(API, 10, polls.record(API), probe=True)
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
    assert len(polls.times[ONE]) == 2, "once after the release, and not at once again"
    assert len(polls.times[TWO]) == 1


@pytest.mark.parametrize(("released", "next_poll"), [(104, 110), (107, 120), (12, 20)])
async def test_after_a_hold_polls_go_on_in_the_old_rhythm(scheduler: Scheduler, released: int, next_poll: int) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE))
    async with running(scheduler):
        await asyncio.sleep(5)
        scheduler.pause()
        await asyncio.sleep(released - 5)
        scheduler.resume()
        await asyncio.sleep(20)
    assert polls.rounded(ONE)[:3] == [0, released, next_poll]


async def test_after_a_release_the_longest_overdue_comes_first(one_by_one: Scheduler) -> None:
    polls = Polls()
    async with running(one_by_one):
        await asyncio.sleep(0)
        for resource, interval in ((ONE, 90), (TWO, 50), (THREE, 70)):
            one_by_one.add(resource, interval, polls.record(resource))
        await asyncio.sleep(1)
        one_by_one.pause()
        await asyncio.sleep(200)
        one_by_one.poll_now(ONE)
        one_by_one.resume()
        await asyncio.sleep(1)
    assert polls.order == [ONE, TWO, THREE, TWO, THREE, ONE]


async def test_a_probe_waits_for_nobody_who_is_overdue(one_by_one: Scheduler) -> None:
    polls = Polls()
    one_by_one.add(ONE, 1000, polls.record(ONE, duration=100))
    async with running(one_by_one):
        await asyncio.sleep(10)
        one_by_one.add(TWO, 1000, polls.record(TWO))
        await asyncio.sleep(10)
        one_by_one.add(API, 1000, polls.record(API), probe=True)
        await asyncio.sleep(100)
    assert polls.order == [ONE, API, TWO]


async def test_a_shorter_interval_holds_from_now_on(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.add(ONE, 10, polls.record(ONE))
        await asyncio.sleep(50)
    assert polls.rounded(ONE) == [0, 11, 21, 31, 41]


async def test_a_new_interval_leaves_the_last_answers_cache_alone(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, next_poll=NextPoll(100)))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.add(ONE, 10, polls.record(ONE))
        await asyncio.sleep(115)
    assert polls.rounded(ONE) == [0, 100, 110]
    assert polls.times[ONE][1] >= 100.1


async def test_a_new_interval_holds_for_a_poll_that_is_under_way(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.add(ONE, 10, polls.record(ONE))
        await asyncio.sleep(20)
    assert polls.rounded(ONE) == [0, 10, 20]


async def test_what_becomes_a_probe_is_polled_as_one_and_only_as_one(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE, duration=0))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.add(ONE, 10, polls.record(ONE, duration=0), probe=True)
        await asyncio.sleep(20)
        scheduler.pause()
        await asyncio.sleep(10)
    assert polls.rounded(ONE) == [0, 10, 20, 30]


@pytest.mark.parametrize("interval", [0, -1, math.inf, math.nan])
async def test_an_interval_that_is_none_is_refused(scheduler: Scheduler, interval: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        scheduler.add(ONE, interval, Polls().record(ONE))


async def test_run_again_it_polls_what_was_cut_off_and_leaves_the_rest_its_time(scheduler: Scheduler) -> None:
    polls = Polls()
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


async def test_run_again_it_polls_what_was_cut_off_before_it_had_begun(scheduler: Scheduler) -> None:
    polls = Polls()

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


async def test_the_failure_of_a_poll_is_not_hidden(scheduler: Scheduler) -> None:
    async def poll() -> NextPoll:
        raise OSError("the disk is full")

    scheduler.add(ONE, 10, poll)
    with pytest.raises(ExceptionGroup) as caught:
        await scheduler.run()
    assert caught.group_contains(OSError)
