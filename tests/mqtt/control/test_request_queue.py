from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.session import Message
from coc2mqtt.mqtt.control.request_queue import RequestMetrics, RequestQueue

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Lines = list[MutableMapping[str, Any]]


def request(number: int, size: int = 10) -> Message:
    return Message(f"coc/bridge/request/{number}", bytes(size))


async def taken(queue: RequestQueue, count: int) -> list[str]:
    return [(await queue.get()).topic.rpartition("/")[2] for _ in range(count)]


@pytest.mark.looptime
async def test_requests_come_out_in_order_and_no_faster_than_fifty_a_second() -> None:
    queue = RequestQueue(RequestMetrics())
    for number in range(101):
        queue.put(request(number))
    begun = asyncio.get_running_loop().time()
    assert await taken(queue, 101) == [str(number) for number in range(101)]
    assert asyncio.get_running_loop().time() - begun == pytest.approx(2.0, abs=0.01)


@pytest.mark.looptime
async def test_a_request_after_a_pause_does_not_wait() -> None:
    queue = RequestQueue(RequestMetrics())
    queue.put(request(0))
    await queue.get()
    await asyncio.sleep(5)
    begun = asyncio.get_running_loop().time()
    asyncio.get_running_loop().call_later(1.0, queue.put, request(1))
    assert await taken(queue, 1) == ["1"]
    assert asyncio.get_running_loop().time() - begun == pytest.approx(1.0)


@pytest.mark.parametrize(("size", "fit"), [(10, 1000), (64 * 1024, 15)], ids=["small", "large"])
@pytest.mark.looptime
async def test_what_comes_too_fast_is_left_out_counted_and_said_once_for_each_flood(
    log_lines: Lines, size: int, fit: int
) -> None:
    figures = RequestMetrics()
    queue = RequestQueue(figures)
    for flood in (1, 2):
        for number in range(fit + 50):
            queue.put(request(number, size))
        assert figures.dropped == 50 * flood
        assert len(log_lines) == flood
        assert await taken(queue, fit) == [str(number) for number in range(fit)]
        waiting = asyncio.create_task(queue.get())  # it is empty: the flood is over
        await asyncio.sleep(1)
        queue.put(request(-1))
        assert (await waiting).topic == "coc/bridge/request/-1"
    assert log_lines[0]["log_level"] == "warning"


async def test_topics_and_properties_count_as_well() -> None:
    figures = RequestMetrics()
    queue = RequestQueue(figures)
    for _ in range(100):
        queue.put(Message("t" * 60_000, b"", response_topic="r" * 60_000, correlation_data=bytes(60_000)))
    assert figures.dropped == 95  # five of 180 kB are less than a MiB, six are more
