from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.clash.rate_limiter import TokenRateLimiter, loop_time

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE = 1e-4  # simulated time counts in microseconds


async def go(pace: TokenRateLimiter, log: list[tuple[float, int]]) -> None:
    token = await pace.permit()
    log.append((loop_time(), token))


async def at_once(pace: TokenRateLimiter, count: int) -> list[tuple[float, int]]:
    """Ask for so many permits at the same time and return when and with which token each went."""
    start = loop_time()
    log: list[tuple[float, int]] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(go(pace, log))
    return [(when - start, token) for when, token in log]


def busiest_second(moments: Sequence[float]) -> int:
    return max(sum(start <= moment < start + 1 - TOLERANCE for moment in moments) for start in moments)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_not_positive_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        TokenRateLimiter(1, rate)


@pytest.mark.looptime
async def test_the_first_request_goes_at_once() -> None:
    assert await at_once(TokenRateLimiter(1, 0.01), 1) == [(0, 0)]


@pytest.mark.looptime
async def test_one_token_never_makes_more_requests_in_any_one_second_than_it_may() -> None:
    moments = [when for when, _ in await at_once(TokenRateLimiter(1, 25), 100)]
    assert busiest_second(moments) == 25
    assert moments[-1] == pytest.approx(99 / 25, abs=TOLERANCE)


@pytest.mark.looptime
async def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    pace = TokenRateLimiter(1, 10)
    await at_once(pace, 1)
    await asyncio.sleep(60)
    moments = [when for when, _ in await at_once(pace, 30)]
    assert moments[0] == 0
    assert all(later - earlier > 0.1 - TOLERANCE for earlier, later in pairwise(moments))


@pytest.mark.looptime
async def test_a_late_wake_up_does_not_bring_the_next_request_closer() -> None:
    now = 100.0
    pace = TokenRateLimiter(1, 10, clock=lambda: now)
    await pace.permit()
    now = 100.19
    await pace.permit()
    start = loop_time()
    waiting = asyncio.create_task(pace.permit())
    await asyncio.sleep(0.09)
    assert not waiting.done()
    now = 100.29
    await waiting
    assert loop_time() - start == pytest.approx(0.1, abs=TOLERANCE)


@pytest.mark.looptime
async def test_several_tokens_share_the_work_and_each_keeps_its_own_pace() -> None:
    log = await at_once(TokenRateLimiter(3, 10), 90)
    assert log[-1][0] == pytest.approx(2.9, abs=TOLERANCE)
    for token in range(3):
        moments = [when for when, by in log if by == token]
        assert len(moments) == 30
        assert busiest_second(moments) == 10


@pytest.mark.looptime
async def test_idle_tokens_take_turns() -> None:
    pace = TokenRateLimiter(3, 10)
    tokens = []
    for _ in range(6):
        tokens.append(await pace.permit())
        await asyncio.sleep(1)
    assert tokens == [0, 1, 2, 0, 1, 2]


@pytest.mark.looptime
async def test_permits_are_served_in_the_order_of_asking() -> None:
    pace = TokenRateLimiter(2, 10)
    served: list[int] = []

    async def ask(name: int) -> None:
        await pace.permit()
        served.append(name)

    async with asyncio.TaskGroup() as group:
        for name in range(50):
            group.create_task(ask(name))
            await asyncio.sleep(0.01)
    assert served == list(range(50))


@pytest.mark.looptime
async def test_a_paused_token_rests_while_the_others_go_on() -> None:
    pace = TokenRateLimiter(2, 10)
    pace.pause(0, 5)
    log = await at_once(pace, 60)
    assert [token for when, token in log if when < 5 - TOLERANCE] == [1] * 50
    assert {token for when, token in log if when >= 5 - TOLERANCE} == {0, 1}


@pytest.mark.looptime
async def test_a_pause_holds_for_those_who_wait_already() -> None:
    pace = TokenRateLimiter(1, 10)
    log: list[tuple[float, int]] = []
    start = loop_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(go(pace, log))
        await asyncio.sleep(0.15)
        pace.pause(0, 3)
    assert [when - start for when, _ in log] == pytest.approx([0, 0.1, 3.15, 3.25], abs=TOLERANCE)


@pytest.mark.looptime
async def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pace = TokenRateLimiter(1, 10)
    pace.pause(0, 5)
    pace.pause(0, 1)
    [(when, _)] = await at_once(pace, 1)
    assert when == pytest.approx(5, abs=TOLERANCE)


@pytest.mark.looptime
@pytest.mark.parametrize("cancelled", [1, 2, 5], ids=["the next one", "one in the middle", "the last one"])
async def test_a_cancelled_waiter_takes_no_slot_and_holds_up_nobody(cancelled: int) -> None:
    pace = TokenRateLimiter(1, 10)
    log: list[tuple[float, int]] = []
    start = loop_time()
    tasks = [asyncio.create_task(go(pace, log)) for _ in range(6)]
    await asyncio.sleep(0.05)
    tasks[cancelled].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results].index(True) == cancelled
    assert [when - start for when, _ in log] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=TOLERANCE)


@pytest.mark.looptime
async def test_the_pace_goes_on_after_all_waiters_were_cancelled() -> None:
    pace = TokenRateLimiter(1, 10)
    await pace.permit()
    tasks = [asyncio.create_task(pace.permit()) for _ in range(5)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    [(when, _)] = await at_once(pace, 1)
    assert when == pytest.approx(0.09, abs=TOLERANCE)
