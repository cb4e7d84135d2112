from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.clash.rate_limiter import RateLimitedError, TokenRateLimiter, loop_time

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE_S = 1e-4  # simulated time has a resolution of microseconds


async def acquire(limiter: TokenRateLimiter, log: list[tuple[float, int]]) -> None:
    token = await limiter.acquire()
    log.append((loop_time(), token))


async def acquire_concurrently(limiter: TokenRateLimiter, count: int) -> list[tuple[float, int]]:
    """Acquire ``count`` slots concurrently and return the time and the token of each, in order."""
    start = loop_time()
    log: list[tuple[float, int]] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(acquire(limiter, log))
    return [(time - start, token) for time, token in log]


def most_in_one_second(times: Sequence[float]) -> int:
    return max(sum(start <= time < start + 1 - TOLERANCE_S for time in times) for start in times)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_rate_that_is_not_positive_is_rejected(rate: float) -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        TokenRateLimiter(1, rate)


@pytest.mark.looptime
async def test_first_slot_is_immediate() -> None:
    assert await acquire_concurrently(TokenRateLimiter(1, 0.01), 1) == [(0, 0)]


@pytest.mark.looptime
async def test_token_never_exceeds_its_rate_in_any_second() -> None:
    times = [time for time, _ in await acquire_concurrently(TokenRateLimiter(1, 25), 100)]
    assert most_in_one_second(times) == 25
    assert times[-1] == pytest.approx(99 / 25, abs=TOLERANCE_S)


@pytest.mark.looptime
async def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    limiter = TokenRateLimiter(1, 10)
    await acquire_concurrently(limiter, 1)
    await asyncio.sleep(60)
    times = [time for time, _ in await acquire_concurrently(limiter, 30)]
    assert times[0] == 0
    assert all(later - earlier > 0.1 - TOLERANCE_S for earlier, later in pairwise(times))


@pytest.mark.looptime
async def test_late_wake_up_keeps_the_distance_to_the_next_slot() -> None:
    now = 100.0
    limiter = TokenRateLimiter(1, 10, clock=lambda: now)
    await limiter.acquire()
    now = 100.19
    await limiter.acquire()
    start = loop_time()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0.09)
    assert not waiting.done()
    now = 100.29
    await waiting
    assert loop_time() - start == pytest.approx(0.1, abs=TOLERANCE_S)


@pytest.mark.looptime
async def test_each_of_several_tokens_keeps_its_own_rate() -> None:
    log = await acquire_concurrently(TokenRateLimiter(3, 10), 90)
    assert log[-1][0] == pytest.approx(2.9, abs=TOLERANCE_S)
    for token in range(3):
        times = [time for time, used in log if used == token]
        assert len(times) == 30
        assert most_in_one_second(times) == 10


@pytest.mark.looptime
async def test_idle_tokens_are_used_in_turn() -> None:
    limiter = TokenRateLimiter(3, 10)
    tokens = []
    for _ in range(6):
        tokens.append(await limiter.acquire())
        await asyncio.sleep(1)
    assert tokens == [0, 1, 2, 0, 1, 2]


@pytest.mark.looptime
async def test_callers_are_served_in_order() -> None:
    limiter = TokenRateLimiter(2, 10)
    served: list[int] = []

    async def call(number: int) -> None:
        await limiter.acquire()
        served.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(call(number))
            await asyncio.sleep(0.01)
    assert served == list(range(50))


@pytest.mark.looptime
async def test_paused_token_gets_no_slots_while_others_continue() -> None:
    limiter = TokenRateLimiter(2, 10)
    limiter.pause(0, 5)
    log = await acquire_concurrently(limiter, 60)
    assert [token for time, token in log if time < 5 - TOLERANCE_S] == [1] * 50
    assert {token for time, token in log if time >= 5 - TOLERANCE_S} == {0, 1}


@pytest.mark.looptime
async def test_pause_delays_callers_that_already_wait() -> None:
    limiter = TokenRateLimiter(1, 10)
    log: list[tuple[float, int]] = []
    start = loop_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(acquire(limiter, log))
        await asyncio.sleep(0.15)
        limiter.pause(0, 3)
    assert [time - start for time, _ in log] == pytest.approx([0, 0.1, 3.15, 3.25], abs=TOLERANCE_S)


@pytest.mark.looptime
async def test_shorter_pause_does_not_end_a_longer_one() -> None:
    limiter = TokenRateLimiter(1, 10)
    limiter.pause(0, 5)
    limiter.pause(0, 1)
    [(time, _)] = await acquire_concurrently(limiter, 1)
    assert time == pytest.approx(5, abs=TOLERANCE_S)


@pytest.mark.looptime
async def test_pause_of_all_tokens_beyond_the_maximum_raises() -> None:
    limiter = TokenRateLimiter(2, 10)
    limiter.pause(0, 5)
    assert await limiter.acquire(lambda: 1) == 1
    limiter.pause(1, 3)
    with pytest.raises(RateLimitedError):
        await limiter.acquire(lambda: 1)
    assert (limiter.all_paused_for, limiter.next_slot_in) == pytest.approx((3, 3), abs=TOLERANCE_S)


@pytest.mark.looptime
@pytest.mark.parametrize("cancelled", [1, 2, 5], ids=["next", "middle", "last"])
async def test_cancelled_caller_uses_no_slot(cancelled: int) -> None:
    limiter = TokenRateLimiter(1, 10)
    log: list[tuple[float, int]] = []
    start = loop_time()
    tasks = [asyncio.create_task(acquire(limiter, log)) for _ in range(6)]
    await asyncio.sleep(0.05)
    tasks[cancelled].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results].index(True) == cancelled
    assert [time - start for time, _ in log] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=TOLERANCE_S)


@pytest.mark.looptime
async def test_slots_continue_after_all_callers_were_cancelled() -> None:
    limiter = TokenRateLimiter(1, 10)
    await limiter.acquire()
    tasks = [asyncio.create_task(limiter.acquire()) for _ in range(5)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    [(time, _)] = await acquire_concurrently(limiter, 1)
    assert time == pytest.approx(0.09, abs=TOLERANCE_S)
