"""Rebuilding of the bridge after a bug, in simulated time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal import WriteFailedError
from coc2mqtt.supervisor import TooManyFailuresError, supervise

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

pytestmark = pytest.mark.looptime


class Work:
    """Fails after each of ``times`` (seconds after each start), then runs until it is stopped."""

    def __init__(self, stop: asyncio.Event, times: list[float], error: Exception | None = None) -> None:
        self._stop = stop
        self._times = iter(times)
        self._error = error or KeyError("a bug")
        self.started_at: list[float] = []

    async def __call__(self) -> None:
        self.started_at.append(now())
        seconds = next(self._times, None)
        if seconds is None:
            await self._stop.wait()
            return
        await asyncio.sleep(seconds)
        raise self._error

    @property
    def delays(self) -> list[float]:
        return [after - before for before, after in pairwise(self.started_at)]


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


def now() -> float:
    return asyncio.get_running_loop().time()


async def stop_after(seconds: float, stop: asyncio.Event) -> None:
    await asyncio.sleep(seconds)
    stop.set()


async def test_bridge_that_fails_at_once_is_rebuilt_after_1_to_60_s(stop: asyncio.Event) -> None:
    work, errors = Work(stop, [0.0] * 9), InternalErrors(uptime=now)
    async with asyncio.TaskGroup() as group:
        group.create_task(stop_after(500, stop))
        await supervise(work, stop, errors)
    assert work.delays == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    assert errors.count == 9


async def test_tenth_failure_within_ten_minutes_is_raised(stop: asyncio.Event) -> None:
    work = Work(stop, [10.0] * 20)
    with pytest.raises(TooManyFailuresError, match="the bridge failed 10 times within 10 minutes"):
        await supervise(work, stop, InternalErrors(uptime=now))
    assert len(work.started_at) == 10
    assert now() == pytest.approx(243 + 10 * 10.0)


async def test_rare_failures_never_stop_the_bridge(stop: asyncio.Event) -> None:
    work, errors = Work(stop, [300.0] * 30), InternalErrors(uptime=now)
    async with asyncio.TaskGroup() as group:
        group.create_task(stop_after(100_000, stop))
        await supervise(work, stop, errors)
    assert errors.count == 30
    # With one or two failures within ten minutes the delay does not grow.
    assert max(work.delays) == pytest.approx(302)


async def test_delay_after_ten_minutes_without_a_failure_is_one_second_again(stop: asyncio.Event) -> None:
    work = Work(stop, [0.0, 0.0, 0.0, 600.0])
    async with asyncio.TaskGroup() as group:
        group.create_task(stop_after(1000, stop))
        await supervise(work, stop, InternalErrors(uptime=now))
    assert work.delays == pytest.approx([1, 2, 4, 601])


async def test_stop_during_the_delay_returns_at_once(stop: asyncio.Event) -> None:
    work = Work(stop, [0.0] * 8)
    async with asyncio.TaskGroup() as group:
        group.create_task(stop_after(70, stop))
        await supervise(work, stop, InternalErrors(uptime=now))
        assert now() == pytest.approx(70)
    assert len(work.started_at) == 7


async def test_failure_while_stopping_is_reported_without_a_restart(stop: asyncio.Event) -> None:
    stop.set()
    work, errors = Work(stop, [0.0]), InternalErrors(uptime=now)
    await supervise(work, stop, errors)
    assert (len(work.started_at), errors.count) == (1, 1)


async def test_journal_error_is_raised_at_once(stop: asyncio.Event, lines: list[MutableMapping[str, Any]]) -> None:
    error = WriteFailedError("the disk is full")
    work, errors = Work(stop, [0.0], error), InternalErrors(expected=(WriteFailedError,), uptime=now)
    with pytest.raises(WriteFailedError) as raised:
        await supervise(work, stop, errors)
    assert raised.value is error
    assert (errors.count, lines) == (0, [])


async def test_expected_error_that_no_part_handled_is_a_bug(stop: asyncio.Event) -> None:
    errors = InternalErrors(expected=(LookupError,), uptime=now)
    async with asyncio.TaskGroup() as group:
        group.create_task(stop_after(60, stop))
        await supervise(Work(stop, [0.0], LookupError("denied")), stop, errors, unhandled=(LookupError,))
    assert errors.count == 1


async def test_cancellation_is_raised_at_once(stop: asyncio.Event) -> None:
    errors = InternalErrors(uptime=now)
    task = asyncio.create_task(supervise(Work(stop, []), stop, errors))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert errors.count == 0


async def test_each_rebuild_is_logged_with_its_delay(
    stop: asyncio.Event, lines: list[MutableMapping[str, Any]]
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(stop_after(60, stop))
        await supervise(Work(stop, [0.0, 0.0]), stop, InternalErrors(uptime=now))
    assert [(line["event"], line.get("delay_seconds"), line.get("count")) for line in lines] == [
        ("internal error", None, None),
        ("bridge failed, rebuilding it", 1.0, None),
        ("internal error again", None, 2),
        ("bridge failed, rebuilding it", 2.0, None),
    ]
