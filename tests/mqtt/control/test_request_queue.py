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
async def test_queue_returns_requests_in_order_at_fifty_per_second() -> None:
    queue = RequestQueue(RequestMetrics())
    for number in range(101):
        queue.put(request(number))
    started = asyncio.get_running_loop().time()
    assert await taken(queue, 101) == [str(number) for number in range(101)]
    assert asyncio.get_running_loop().time() - started == pytest.approx(2.0, abs=0.01)


@pytest.mark.looptime
async def test_request_after_pause_is_returned_at_once() -> None:
    queue = RequestQueue(RequestMetrics())
    queue.put(request(0))
    await queue.get()
    await asyncio.sleep(5)
    started = asyncio.get_running_loop().time()
    asyncio.get_running_loop().call_later(1.0, queue.put, request(1))
    assert await taken(queue, 1) == ["1"]
    assert asyncio.get_running_loop().time() - started == pytest.approx(1.0)


@pytest.mark.parametrize(("size", "capacity"), [(10, 1000), (64 * 1024, 15)], ids=["small", "large"])
@pytest.mark.looptime
async def test_full_queue_drops_and_counts_requests_and_logs_once_per_flood(
    log_lines: Lines, size: int, capacity: int
) -> None:
    metrics = RequestMetrics()
    queue = RequestQueue(metrics)
    for flood in (1, 2):
        for number in range(capacity + 50):
            queue.put(request(number, size))
        assert metrics.dropped == 50 * flood
        assert len(log_lines) == flood
        assert await taken(queue, capacity) == [str(number) for number in range(capacity)]
        waiting = asyncio.create_task(queue.get())  # an empty queue ends the flood
        await asyncio.sleep(1)
        queue.put(request(-1))
        assert (await waiting).topic == "coc/bridge/request/-1"
    assert log_lines[0]["log_level"] == "warning"


async def test_size_limit_includes_topics_and_properties() -> None:
    metrics = RequestMetrics()
    queue = RequestQueue(metrics)
    for _ in range(100):
        queue.put(Message("t" * 60_000, b"", response_topic="r" * 60_000, correlation_data=bytes(60_000)))
    assert metrics.dropped == 95  # five requests of 180 kB fit into 1 MiB, six do not
