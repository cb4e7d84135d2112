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
def sequential() -> Scheduler:
    return Scheduler(rng=random.Random(1), concurrency=1)


async def test_poll_now_waits_for_neither_interval_nor_cache(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(500)))
    async with running(scheduler):
        await asyncio.sleep(50)
        assert scheduler.poll_now(ONE)
        await asyncio.sleep(50)
    assert polls.rounded(ONE) == [0, 50]


async def test_poll_now_during_a_poll_polls_again_right_afterwards(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(500)))
    async with running(scheduler):
        await asyncio.sleep(1)
        assert scheduler.poll_now(ONE)
        assert scheduler.poll_now(ONE)
        await asyncio.sleep(100)
    assert polls.times[ONE] == pytest.approx([0, 5], abs=0.01)


async def test_poll_when_fresh_waits_for_the_cache_but_not_the_interval(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(10)
        assert scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(100)
    assert polls.times[ONE] == pytest.approx([0, 65], abs=0.01)
    assert polls.times[ONE][1] >= 65


async def test_poll_when_fresh_after_the_cache_expired_polls_at_once(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.record(ONE, duration=5, next_poll=NextPoll(60)))
    async with running(scheduler):
        await asyncio.sleep(100)
        assert scheduler.poll_when_fresh(ONE)
        await asyncio.sleep(100)
    assert polls.rounded(ONE) == [0, 100]


async def test_poll_when_fresh_during_a_poll_waits_for_the_new_cache_entry(
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


async def test_poll_when_fresh_does_not_delay_a_requested_poll(scheduler: Scheduler) -> None:
    polls = Polls()
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


async def test_overdue_resource_keeps_its_place_when_a_poll_is_requested(sequential: Scheduler) -> None:
    polls = Polls()
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


async def test_poll_requests_do_not_accumulate(scheduler: Scheduler) -> None:
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
