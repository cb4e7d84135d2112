from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.events.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.looptime

ONE, TWO = Resource(Kind.CLAN, "#2PA"), Resource(Kind.CLAN, "#2PB")


class Polls:
    """Records when each resource is polled; a poll takes ``takes`` and says ``not_before`` (seconds)."""

    def __init__(self) -> None:
        self.times: dict[Resource, list[float]] = {}
        self.under_way = 0
        self.most_under_way = 0

    def of(self, resource: Resource, *, takes: float = 0.1, not_before: float = 0.0) -> Callable[[], Awaitable[float]]:
        async def poll() -> float:
            self.times.setdefault(resource, []).append(asyncio.get_running_loop().time())
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            await asyncio.sleep(takes)
            self.under_way -= 1
            return not_before

        return poll


@contextlib.asynccontextmanager
async def running(scheduler: Scheduler):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a fixture in one line
    async with asyncio.TaskGroup() as group:
        task = group.create_task(scheduler.run())
        yield
        task.cancel()


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(rng=random.Random(1))


async def test_polls_do_not_drift_however_long_they_take(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.of(ONE, takes=3))
    async with running(scheduler):
        await asyncio.sleep(1000)
    times = polls.times[ONE]
    assert len(times) == 100 or len(times) == 101
    assert all(0 <= time - 10 * number <= 0.25 for number, time in enumerate(times))


async def test_nothing_is_polled_before_its_cache_runs_out(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.of(ONE, takes=1, not_before=60))
    async with running(scheduler):
        await asyncio.sleep(300)
    times = polls.times[ONE]
    assert all(61 <= later - earlier <= 62 for earlier, later in itertools.pairwise(times))


async def test_a_hanging_resource_delays_no_other(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.of(ONE, takes=10_000))
    scheduler.add(TWO, 10, polls.of(TWO))
    async with running(scheduler):
        await asyncio.sleep(101)
    assert len(polls.times[ONE]) == 1
    assert len(polls.times[TWO]) == 11


async def test_a_resource_is_never_polled_twice_at_a_time(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1, polls.of(ONE, takes=5))
    async with running(scheduler):
        for _ in range(20):
            scheduler.poll_now(ONE)
            scheduler.remove(ONE)
            scheduler.add(ONE, 1, polls.of(ONE, takes=5))
            await asyncio.sleep(1)
    assert polls.most_under_way == 1
    assert len(polls.times[ONE]) >= 3


async def test_so_many_polls_are_under_way_together_and_no_more() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), concurrency=7), Polls()
    resources = [Resource(Kind.CLAN, f"#{number}") for number in range(50)]
    for resource in resources:
        scheduler.add(resource, 100, polls.of(resource, takes=2))
    async with running(scheduler):
        await asyncio.sleep(60)
    assert polls.most_under_way == 7
    assert all(len(polls.times[resource]) == 1 for resource in resources)


async def test_resources_do_not_all_start_at_once(scheduler: Scheduler) -> None:
    polls = Polls()
    resources = [Resource(Kind.CLAN, f"#{number}") for number in range(100)]
    for resource in resources:
        scheduler.add(resource, 60, polls.of(resource))
    async with running(scheduler):
        await asyncio.sleep(10)
    starts = sorted(times[0] for times in polls.times.values())
    assert starts[0] < 0.1
    assert starts[-1] == pytest.approx(99 * 0.02, abs=0.05)


async def test_what_is_removed_is_polled_no_more_and_what_is_added_is_polled_at_once(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.of(ONE))
    async with running(scheduler):
        await asyncio.sleep(25)
        scheduler.remove(ONE)
        scheduler.add(TWO, 10, polls.of(TWO))
        await asyncio.sleep(100)
    assert len(polls.times[ONE]) == 3
    assert polls.times[TWO][0] == pytest.approx(25, abs=0.1)


async def test_polling_now_does_not_wait_for_the_interval(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.of(ONE, takes=5))
    async with running(scheduler):
        await asyncio.sleep(1)
        assert scheduler.poll_now(ONE)
        await asyncio.sleep(99)
        assert scheduler.poll_now(ONE)
        await asyncio.sleep(10)
    assert [round(time) for time in polls.times[ONE]] == [0, 5, 100]
    assert not scheduler.poll_now(TWO)


async def test_while_it_holds_only_probes_go_on(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 10, polls.of(ONE))
    scheduler.add(API, 10, polls.of(API), probe=True)
    async with running(scheduler):
        await asyncio.sleep(5)
        scheduler.hold()
        await asyncio.sleep(100)
        assert len(polls.times[ONE]) == 1
        assert len(polls.times[API]) == 11
        scheduler.release()
        await asyncio.sleep(9)
    assert len(polls.times[ONE]) == 2, "once after the release, and not at once again"


async def test_a_new_interval_holds_from_now_on(scheduler: Scheduler) -> None:
    polls = Polls()
    scheduler.add(ONE, 1000, polls.of(ONE))
    async with running(scheduler):
        await asyncio.sleep(1)
        scheduler.add(ONE, 10, polls.of(ONE))
        await asyncio.sleep(50)
    assert [round(time) for time in polls.times[ONE]] == [0, 11, 21, 31, 41]


async def test_overdue_counts_what_waits_for_its_turn() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), concurrency=1), Polls()
    for resource in (ONE, TWO):
        scheduler.add(resource, 10, polls.of(resource, takes=100))
    async with running(scheduler):
        await asyncio.sleep(50)
        assert scheduler.overdue == 1


async def test_the_failure_of_a_poll_is_not_hidden(scheduler: Scheduler) -> None:
    async def poll() -> float:
        raise OSError("the disk is full")

    scheduler.add(ONE, 10, poll)
    with pytest.raises(ExceptionGroup) as caught:
        await scheduler.run()
    assert caught.group_contains(OSError)
