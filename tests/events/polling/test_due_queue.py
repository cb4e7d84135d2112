from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.polling.due_queue import DueQueue
from tests.support.simulation import ONE, THREE, TWO

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Resource

# A resource and its new due time (None removes it), or no resource to pop the first one.
STEPS = st.lists(st.tuples(st.sampled_from([ONE, TWO, THREE, None]), st.none() | st.integers(0, 5)), max_size=60)


@given(STEPS)
def test_queue_returns_the_earliest_resource_after_any_operations(
    steps: list[tuple[Resource | None, int | None]],
) -> None:
    queue = DueQueue()
    times: dict[Resource, int] = {}
    for resource, time in steps:
        if resource is None:
            if times:
                earliest = min(times.values())
                assert times.pop(queue.pop()) == earliest
        elif time is None:
            queue.remove(resource)
            times.pop(resource, None)
        else:
            queue.put(resource, time)
            times[resource] = time
        assert queue.next_due == min(times.values(), default=math.inf)
        assert queue.count_before(3) == sum(time < 3 for time in times.values())


def test_resources_due_at_the_same_time_keep_insertion_order() -> None:
    queue = DueQueue()
    for resource in (THREE, ONE, TWO):
        queue.put(resource, 7)
    assert [queue.pop() for _ in range(3)] == [THREE, ONE, TWO]


def test_pop_of_an_empty_queue_raises_lookup_error() -> None:
    queue = DueQueue()
    queue.put(ONE, 7)
    queue.remove(ONE)
    with pytest.raises(LookupError):
        queue.pop()


def test_outdated_entries_do_not_accumulate() -> None:
    queue = DueQueue()
    queue.put(TWO, -1)
    for time in range(10_000):
        queue.put(ONE, time)
    for time in range(10_000):
        queue.put(THREE, time)
        queue.remove(THREE)
    assert len(queue._heap) < 100
    assert [queue.pop() for _ in range(2)] == [TWO, ONE]
    assert queue.next_due == math.inf
