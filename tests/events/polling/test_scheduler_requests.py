from __future__ import annotations

import asyncio
import random

import pytest

from coc2mqtt.events.polling.scheduler import NextPoll, Scheduler
from coc2mqtt.events.resource import Kind, Resource
from tests.support.simulation import Polls, running

pytestmark = pytest.mark.looptime

ONE, TWO, THREE = (Resource(Kind.CLAN, tag) for tag in ("#2PA", "#2PB", "#2PC"))


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(rng=random.Random(1))


@pytest.fixture
def one_by_one() -> Scheduler:
    return Scheduler(rng=random.Random(1), concurrency=1)


async def test_polling_now_waits_for_neither_the_interval_nor_the_cache(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(500)))
    async with running(scheduler):
        await asyncio.sleep(50)
        assert scheduler.poll_now(ONE)
        await asyncio.sleep(50)
    assert polls.rounded(ONE) == [0, 50]


async def test_polling_now_while_it_is_polled_polls_once_more_right_after(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(500)))
    async with running(scheduler):
        await asyncio.sleep(1)
        assert scheduler.poll_now(ONE)
        assert scheduler.poll_now(ONE)
        await asyncio.sleep(100)
    assert polls.times[ONE] == pytest.approx([0, 5], abs=0.01)


async def test_looking_again_waits_for_the_cache_and_not_for_the_interval(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(10)
        assert scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(100)
    assert polls.times[ONE] == pytest.approx([0, 65], abs=0.01)
    assert polls.times[ONE][1] >= 65


async def test_looking_again_after_the_cache_has_run_out_polls_at_once(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(100)
        assert scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(100)
    assert polls.rounded(ONE) == [0, 100]


async def test_looking_again_while_it_is_polled_waits_for_the_cache_of_the_answer_under_way(
    scheduler: Scheduler,
) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(1)
        assert scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(150)
    assert polls.times[ONE] == pytest.approx([0, 65], abs=0.01)
    assert polls.times[ONE][1] >= 65


async def test_looking_again_makes_no_poll_later_than_it_would_be(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.record(ONE, next_poll=NextPoll(100)))
    async with running(scheduler):
        await asyncio.sleep(5)
        scheduler.poll_now(ONE)
        scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(5)
    assert polls.rounded(ONE) == [0, 5]


async def test_nobody_can_wish_for_what_is_not_known(scheduler: Scheduler) -> None:
    assert not scheduler.poll_now(ONE)
    assert not scheduler.poll_when_fresh(ONE)
    scheduler.remove(ONE)


async def test_one_that_is_overdue_keeps_its_place_when_it_is_wished_for(one_by_one: Scheduler) -> None:
    polls = Polls()
    one_by_one.add(ONE, 1000, polls.record(ONE, duration=100))
    async with running(one_by_one):
        await asyncio.sleep(10)
        one_by_one.add(TWO, 1000, polls.record(TWO))
        await asyncio.sleep(10)
        one_by_one.add(THREE, 1000, polls.record(THREE))
        await asyncio.sleep(10)
        one_by_one.poll_now(TWO)
        one_by_one.poll_when_fresh(TWO)
        await asyncio.sleep(100)
    assert polls.order == [ONE, TWO, THREE]


async def test_wishes_do_not_pile_up(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE))
    scheduler.add(TWO, 1000, polls.record(TWO, duration=0, next_poll=NextPoll(0, latest=900)))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.pause()
        for number in range(10_000):
            scheduler.poll_when_fresh(ONE)
            scheduler.poll_now(ONE)
            scheduler.add(TWO, 900 - number / 100, polls.record(TWO))
        assert len(scheduler._regular._heap) < 100
        scheduler.resume()
        await asyncio.sleep(10)
    assert polls.rounded(ONE) == [0, 1]
