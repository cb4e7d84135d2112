from __future__ import annotations

import asyncio
from operator import attrgetter

import pytest

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.mqtt.publish.sharded_queue import ShardedQueue
from tests.support.recording_session import running

pytestmark = pytest.mark.looptime

CLAN, WAR = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
MANY = [Resource(Kind.CLAN, f"#{first}{second}") for first in "0289PYLQGRJCUV" for second in "0289PYLQGRJCUV"]


class SlowWork:
    """Takes a second for each item and records when it was done."""

    def __init__(self) -> None:
        self.done: list[Resource] = []

    async def __call__(self, resource: Resource) -> None:
        await asyncio.sleep(1)
        self.done.append(resource)


def new_queue(*, max_per_shard: int = 0) -> ShardedQueue[Resource]:
    return ShardedQueue(8, tag_of=attrgetter("tag"), max_per_shard=max_per_shard)


async def test_items_of_different_tags_run_concurrently() -> None:
    queue, work = new_queue(), SlowWork()
    start = asyncio.get_running_loop().time()
    for resource in MANY:
        queue.put_nowait(resource)
    async with running(queue.run(work)):
        await queue.wait_idle()
    assert sorted(work.done) == sorted(MANY)
    assert asyncio.get_running_loop().time() - start < len(MANY) / 4


async def test_items_of_one_tag_run_one_after_another_in_order() -> None:
    queue, work = new_queue(), SlowWork()
    start = asyncio.get_running_loop().time()
    for resource in (WAR, CLAN, WAR):
        queue.put_nowait(resource)
    async with running(queue.run(work)):
        await queue.wait_idle()
    assert work.done == [WAR, CLAN, WAR]
    assert asyncio.get_running_loop().time() - start == pytest.approx(3)


async def test_waiting_items_stay_for_the_next_run() -> None:
    queue, work = new_queue(), SlowWork()
    queue.put_nowait(CLAN)
    queue.put_nowait(WAR)
    async with running(queue.run(work)):
        await asyncio.sleep(0.5)
    async with running(queue.run(work)):
        await queue.wait_idle()
    assert work.done == [WAR], "the one that was worked on is dropped"


async def test_item_that_is_added_by_its_failing_work_is_done_in_the_next_run() -> None:
    queue, work = new_queue(), SlowWork()

    async def add_and_fail(resource: Resource) -> None:
        queue.put_nowait(resource)
        raise OSError

    queue.put_nowait(CLAN)
    with pytest.raises(ExceptionGroup):
        await queue.run(add_and_fail)
    async with running(queue.run(work)):
        await queue.wait_idle()
    assert work.done == [CLAN]


async def test_item_added_while_it_is_worked_on_is_done_again() -> None:
    queue, work = new_queue(), SlowWork()
    queue.put_nowait(CLAN)
    async with running(queue.run(work)):
        await asyncio.sleep(0.5)
        queue.put_nowait(CLAN)
        await queue.wait_idle()
    assert work.done == [CLAN, CLAN]


async def test_put_to_a_full_shard_waits_until_it_has_room() -> None:
    queue, work = new_queue(max_per_shard=2), SlowWork()
    for _ in range(2):
        await queue.put(CLAN)
    with pytest.raises(asyncio.QueueFull):
        queue.put_nowait(WAR)
    waiting = asyncio.create_task(queue.put(WAR))
    await asyncio.sleep(10)
    assert not waiting.done()
    async with running(queue.run(work)):
        await waiting
        await queue.wait_idle()
    assert work.done == [CLAN, CLAN, WAR]


async def test_queue_without_items_is_idle() -> None:
    await asyncio.wait_for(new_queue().wait_idle(), 1)
