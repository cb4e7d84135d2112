"""When a transaction begins, in simulated time."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from coc2mqtt.journal.group_commit import GroupCommitter
from coc2mqtt.journal.outbox import Outbox
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coc2mqtt.journal.database import Database

pytestmark = pytest.mark.looptime
TAKES = 0.25


class Slow:
    """A database whose transactions take a quarter of a second; it remembers when they began, and what was in them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.begun: list[tuple[float, list[str]]] = []
        self.written: list[str] = []

    def transact(self, work: Callable[[sqlite3.Connection], None]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.written = []
        work(self._connection)
        self.begun.append((round(loop.time(), 6), self.written))
        loop.call_later(TAKES, future.set_result, None)
        return future


@pytest.fixture
def slow() -> Iterator[Slow]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield Slow(connection)


@pytest.fixture
def writer(slow: Slow) -> GroupCommitter:
    return GroupCommitter(cast("Database", slow), Outbox(10, timedelta(days=7), uptime=lambda: 0.0), now=lambda: 0.0)


async def ask(writer: GroupCommitter, slow: Slow, *wishes: tuple[float, str, float]) -> None:
    """Ask for writes: at which time, which, and within how many seconds."""
    loop = asyncio.get_running_loop()

    async def one(at: float, name: str, within: float) -> None:
        await asyncio.sleep(at - loop.time())
        await writer.write(lambda *_: slow.written.append(name), window=within)

    await asyncio.gather(*(one(*wish) for wish in wishes))


async def test_a_write_waits_no_longer_for_others_than_it_says(slow: Slow, writer: GroupCommitter) -> None:
    await ask(writer, slow, (1.0, "a", 0.05))
    assert slow.begun == [(1.05, ["a"])]


async def test_others_that_come_do_not_have_the_first_wait_longer(slow: Slow, writer: GroupCommitter) -> None:
    await ask(writer, slow, *((1.0 + number / 100, str(number), 0.05) for number in range(5)))
    assert slow.begun == [(1.05, ["0", "1", "2", "3", "4"])]


async def test_one_that_does_not_wait_takes_along_all_that_wait_in_their_order(
    slow: Slow, writer: GroupCommitter
) -> None:
    await ask(writer, slow, (1.0, "a", 0.05), (1.01, "b", 0.05), (1.02, "now", 0.0))
    assert slow.begun == [(1.02, ["a", "b", "now"])]


async def test_one_that_can_wait_for_long_does_not_hold_up_one_that_cannot(slow: Slow, writer: GroupCommitter) -> None:
    await ask(writer, slow, (1.0, "long", 0.05), (1.01, "short", 0.01))
    assert slow.begun == [(1.02, ["long", "short"])]


async def test_what_comes_during_a_transaction_waits_for_its_end_and_no_longer_than_it_says(
    slow: Slow, writer: GroupCommitter
) -> None:
    await ask(writer, slow, (1.0, "a", 0.0), (1.1, "b", 0.05), (1.2, "c", 0.02), (1.24, "d", 0.03), (1.26, "e", 0.03))
    # The one that is due last of those that are there when the first transaction ends goes along.
    assert slow.begun == [(1.0, ["a"]), (1.25, ["b", "c", "d"]), (1.5, ["e"])]


async def test_what_is_not_due_when_a_transaction_ends_goes_on_waiting(slow: Slow, writer: GroupCommitter) -> None:
    await ask(writer, slow, (1.0, "a", 0.0), (1.24, "b", 0.05), (1.27, "c", 0.05))
    assert slow.begun == [(1.0, ["a"]), (1.29, ["b", "c"])]


async def test_a_full_transaction_begins_at_once(slow: Slow, writer: GroupCommitter) -> None:
    await ask(writer, slow, *((1.0, str(number), 0.05) for number in range(130)))
    assert [(at, len(written)) for at, written in slow.begun] == [(1.0, 128), (1.25, 2)]


async def test_who_was_cancelled_is_left_out_and_holds_up_nobody(slow: Slow, writer: GroupCommitter) -> None:
    hasty = asyncio.create_task(ask(writer, slow, (1.0, "hasty", 0.01)))
    patient = asyncio.create_task(ask(writer, slow, (1.0, "patient", 0.05)))
    await asyncio.sleep(1.005)
    hasty.cancel()
    await asyncio.wait({hasty, patient})
    assert hasty.cancelled()
    assert slow.begun[0][0] <= 1.05
    assert [written for _, written in slow.begun] == [["patient"]]


async def test_who_cannot_be_told_that_it_is_stored_leaves_nobody_waiting(writer: GroupCommitter, slow: Slow) -> None:
    def fail() -> None:
        raise BrokenPipeError("the log is gone")

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    async with asyncio.timeout(LONG_ENOUGH):
        await writer.write(lambda *_: slow.written.append("a"), on_stored=fail)
        await writer.write(lambda *_: slow.written.append("b"))
    assert [str(one) for one in complaints] == ["the log is gone"]


async def test_stored_callback_that_raises_leaves_no_other_write_waiting(writer: GroupCommitter, slow: Slow) -> None:
    told: list[str] = []

    def fail() -> None:
        raise BrokenPipeError("the log is gone")

    async def one(stored: Callable[[], None]) -> None:
        await writer.write(lambda *_: None, on_stored=stored, window=0.1)

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))
    async with asyncio.timeout(LONG_ENOUGH):
        await asyncio.gather(
            *(one(partial(told.append, name)) for name in "ab"),
            *(one(fail) for _ in range(2)),
            *(one(partial(told.append, name)) for name in "cd"),
            # In the next transaction, which nothing but the end of the first one starts.
            ask(writer, slow, (0.2, "next", 0.05)),
        )
    assert told == ["a", "b", "c", "d"]
    assert [written for _, written in slow.begun] == [[], ["next"]]
    assert [str(one) for one in complaints] == ["the log is gone"]


async def test_clock_that_raises_fails_the_writes_and_the_next_ones_succeed(slow: Slow) -> None:
    broken = True

    def clock() -> float:
        if broken:
            raise ZeroDivisionError("no time")
        return 0.0

    writer = GroupCommitter(cast("Database", slow), Outbox(10, timedelta(days=7), uptime=lambda: 0.0), now=clock)
    async with asyncio.timeout(LONG_ENOUGH):
        wishes = ask(writer, slow, *((1.0, name, 0.1) for name in "abc"))
        with pytest.raises(ZeroDivisionError, match="no time"):
            await wishes
        broken = False
        await ask(writer, slow, (2.0, "d", 0.1))
    assert [written for _, written in slow.begun] == [["d"]]
