from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.polling.due_queue import DueQueue
from coc2mqtt.events.resource import Kind, Resource

ONE, TWO, THREE = (Resource(Kind.CLAN, tag) for tag in ("#2PA", "#2PB", "#2PC"))

# A resource and its new time, None to drop it; no resource to take the first one out.
STEPS = st.lists(st.tuples(st.sampled_from([ONE, TWO, THREE, None]), st.none() | st.integers(0, 5)), max_size=60)


@given(STEPS)
def test_the_earliest_comes_first_whatever_was_put_moved_and_dropped(
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


def test_those_of_the_same_time_come_in_the_order_in_which_they_were_put() -> None:
    queue = DueQueue()
    for resource in (THREE, ONE, TWO):
        queue.put(resource, 7)
    assert [queue.pop() for _ in range(3)] == [THREE, ONE, TWO]


def test_nothing_can_be_taken_where_nothing_is() -> None:
    queue = DueQueue()
    queue.put(ONE, 7)
    queue.remove(ONE)
    with pytest.raises(LookupError):
        queue.pop()


def test_outdated_turns_do_not_pile_up() -> None:
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
