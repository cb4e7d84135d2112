"""When transactions start, and how failures are reported, in simulated time."""

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
TRANSACTION_S = 0.25


class SlowDatabase:
    """A database whose transactions take 0.25 s. ``transactions`` has the start time and the writes of each."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.transactions: list[tuple[float, list[str]]] = []
        self.written: list[str] = []

    def transact(self, work: Callable[[sqlite3.Connection], None]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.written = []
        work(self._connection)
        self.transactions.append((round(loop.time(), 6), self.written))
        loop.call_later(TRANSACTION_S, future.set_result, None)
        return future


@pytest.fixture
def database() -> Iterator[SlowDatabase]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield SlowDatabase(connection)


@pytest.fixture
def committer(database: SlowDatabase) -> GroupCommitter:
    return GroupCommitter(
        cast("Database", database), Outbox(10, timedelta(days=7), uptime=lambda: 0.0), now=lambda: 0.0
    )


async def write_all(committer: GroupCommitter, database: SlowDatabase, *writes: tuple[float, str, float]) -> None:
    """Make writes, each given by the time of the call, its name and its window in seconds."""
    loop = asyncio.get_running_loop()

    async def write(at: float, name: str, window: float) -> None:
        await asyncio.sleep(at - loop.time())
        await committer.write(lambda *_: database.written.append(name), window=window)

    await asyncio.gather(*(write(*arguments) for arguments in writes))


async def test_write_waits_for_its_window(database: SlowDatabase, committer: GroupCommitter) -> None:
    await write_all(committer, database, (1.0, "a", 0.05))
    assert database.transactions == [(1.05, ["a"])]


async def test_later_writes_do_not_extend_the_first_window(database: SlowDatabase, committer: GroupCommitter) -> None:
    await write_all(committer, database, *((1.0 + number / 100, str(number), 0.05) for number in range(5)))
    assert database.transactions == [(1.05, ["0", "1", "2", "3", "4"])]


async def test_write_without_a_window_starts_the_transaction_of_all_waiting_ones(
    database: SlowDatabase, committer: GroupCommitter
) -> None:
    await write_all(committer, database, (1.0, "a", 0.05), (1.01, "b", 0.05), (1.02, "now", 0.0))
    assert database.transactions == [(1.02, ["a", "b", "now"])]


async def test_shorter_window_of_a_later_write_counts(database: SlowDatabase, committer: GroupCommitter) -> None:
    await write_all(committer, database, (1.0, "long", 0.05), (1.01, "short", 0.01))
    assert database.transactions == [(1.02, ["long", "short"])]


async def test_write_during_a_transaction_starts_when_it_ends_if_its_window_is_over(
    database: SlowDatabase, committer: GroupCommitter
) -> None:
    await write_all(
        committer, database, (1.0, "a", 0.0), (1.1, "b", 0.05), (1.2, "c", 0.02), (1.24, "d", 0.03), (1.26, "e", 0.03)
    )
    # When the first transaction ends, the window of d is not over, but d joins the transaction of b and c.
    assert database.transactions == [(1.0, ["a"]), (1.25, ["b", "c", "d"]), (1.5, ["e"])]


async def test_write_during_a_transaction_waits_until_its_window_is_over(
    database: SlowDatabase, committer: GroupCommitter
) -> None:
    await write_all(committer, database, (1.0, "a", 0.0), (1.24, "b", 0.05), (1.27, "c", 0.05))
    assert database.transactions == [(1.0, ["a"]), (1.29, ["b", "c"])]


async def test_full_batch_starts_without_waiting(database: SlowDatabase, committer: GroupCommitter) -> None:
    await write_all(committer, database, *((1.0, str(number), 0.05) for number in range(130)))
    assert [(at, len(written)) for at, written in database.transactions] == [(1.0, 128), (1.25, 2)]


async def test_cancelled_write_is_not_executed_and_delays_no_other(
    database: SlowDatabase, committer: GroupCommitter
) -> None:
    short = asyncio.create_task(write_all(committer, database, (1.0, "short", 0.01)))
    long = asyncio.create_task(write_all(committer, database, (1.0, "long", 0.05)))
    await asyncio.sleep(1.005)
    short.cancel()
    await asyncio.wait({short, long})
    assert short.cancelled()
    assert database.transactions[0][0] <= 1.05
    assert [written for _, written in database.transactions] == [["long"]]


async def test_on_stored_that_raises_is_reported_and_later_writes_succeed(
    committer: GroupCommitter, database: SlowDatabase
) -> None:
    def fail() -> None:
        raise BrokenPipeError("the log is gone")

    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context["exception"]))
    async with asyncio.timeout(LONG_ENOUGH):
        await committer.write(lambda *_: database.written.append("a"), on_stored=fail)
        await committer.write(lambda *_: database.written.append("b"))
    assert [str(one) for one in unhandled] == ["the log is gone"]


async def test_on_stored_that_raises_does_not_affect_other_writes_of_the_batch(
    committer: GroupCommitter, database: SlowDatabase
) -> None:
    stored: list[str] = []

    def fail() -> None:
        raise BrokenPipeError("the log is gone")

    async def write(on_stored: Callable[[], None]) -> None:
        await committer.write(lambda *_: None, on_stored=on_stored, window=0.1)

    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context["exception"]))
    async with asyncio.timeout(LONG_ENOUGH):
        await asyncio.gather(
            *(write(partial(stored.append, name)) for name in "ab"),
            *(write(fail) for _ in range(2)),
            *(write(partial(stored.append, name)) for name in "cd"),
            # Executed in the next transaction, which only the end of the first one starts.
            write_all(committer, database, (0.2, "next", 0.05)),
        )
    assert stored == ["a", "b", "c", "d"]
    assert [written for _, written in database.transactions] == [[], ["next"]]
    assert [str(one) for one in unhandled] == ["the log is gone"]


async def test_clock_that_raises_fails_the_writes_and_later_ones_succeed(database: SlowDatabase) -> None:
    broken = True

    def now() -> float:
        if broken:
            raise ZeroDivisionError("no time")
        return 0.0

    committer = GroupCommitter(cast("Database", database), Outbox(10, timedelta(days=7), uptime=lambda: 0.0), now=now)
    async with asyncio.timeout(LONG_ENOUGH):
        writes = write_all(committer, database, *((1.0, name, 0.1) for name in "abc"))
        with pytest.raises(ZeroDivisionError, match="no time"):
            await writes
        broken = False
        await write_all(committer, database, (2.0, "d", 0.1))
    assert [written for _, written in database.transactions] == [["d"]]
