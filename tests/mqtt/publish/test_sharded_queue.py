from __future__ import annotations

import asyncio

import pytest

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.mqtt.publish.sharded_queue import ShardedQueue
from tests.support.recording_session import running

pytestmark = pytest.mark.looptime

CLAN, WAR = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
MANY = [Resource(Kind.CLAN, f"#{letter}{other}") for letter in "0289PYLQGRJCUV" for other in "0289PYLQGRJCUV"]


class Slow:
    """Takes a second for each resource, and notes what was dealt with, when, and whether whole."""

    def __init__(self) -> None:
        self.done: list[tuple[Resource, bool]] = []

    async def __call__(self, resource: Resource, whole: bool) -> None:
        await asyncio.sleep(1)
        self.done.append((resource, whole))


async def test_many_are_dealt_with_side_by_side() -> None:
    lanes, work = ShardedQueue(), Slow()
    start = asyncio.get_running_loop().time()
    for resource in MANY:
        lanes.put(resource)
    async with running(lanes.run(work)):
        await lanes.idle()
    assert sorted(resource for resource, _ in work.done) == sorted(MANY)
    assert asyncio.get_running_loop().time() - start < len(MANY) / 4


async def test_those_of_one_tag_come_one_after_another_in_order() -> None:
    lanes, work = ShardedQueue(), Slow()
    start = asyncio.get_running_loop().time()
    for resource in (WAR, CLAN, WAR):
        lanes.put(resource)
    async with running(lanes.run(work)):
        await lanes.idle()
    assert work.done == [(WAR, True), (CLAN, True)]
    assert asyncio.get_running_loop().time() - start == pytest.approx(2)


@pytest.mark.parametrize("order", [(True, False), (False, True)])
async def test_who_is_to_be_dealt_with_whole_once_is(order: tuple[bool, bool]) -> None:
    lanes, work = ShardedQueue(), Slow()
    for whole in order:
        lanes.put(CLAN, whole=whole)
    lanes.put(WAR, whole=False)
    async with running(lanes.run(work)):
        await lanes.idle()
    assert work.done == [(CLAN, True), (WAR, False)]


async def test_what_was_not_done_waits_for_the_next_run() -> None:
    lanes, work = ShardedQueue(), Slow()
    lanes.put(CLAN, whole=False)
    lanes.put(WAR)
    async with running(lanes.run(work)):
        await asyncio.sleep(0.5)
    assert CLAN in lanes
    async with running(lanes.run(work)):
        await lanes.idle()
    assert work.done == [(WAR, True), (CLAN, False)]


async def test_one_that_is_put_in_while_it_is_dealt_with_is_dealt_with_again() -> None:
    lanes, work = ShardedQueue(), Slow()
    lanes.put(CLAN)
    async with running(lanes.run(work)):
        await asyncio.sleep(0.5)
        lanes.put(CLAN)
        await lanes.idle()
    assert len(work.done) == 2
