"""What is to be written at about the same time goes into one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from coc2mqtt.journal.database import Database
    from coc2mqtt.journal.outbox import Outbox, OutboxDelta

T = TypeVar("T")

# So many at most are written in one transaction: the first of them waits no longer than the others take, some ten
# milliseconds.
_AT_ONCE = 128


class GroupCommitter:
    """Writes in the order of the calls, as many as have gathered at a time in one transaction, which they share.

    A write that may wait for others says so; while a transaction is under way, all wait for the next one. Where SQLite
    fails, all that are in it fail with the same JournalError, and nothing of any of them is stored. ``now`` gives Unix
    time in seconds.
    """

    def __init__(self, database: Database, outbox: Outbox, *, now: Callable[[], float]) -> None:
        self._database = database
        self._outbox = outbox
        self._now = now
        self._gathered: list[_PendingWrite] = []
        # When the first of them wants to be written, by the loop's time.
        self._due = math.inf
        # When the timer calls, noted here: uvloop gives a plain Handle, without a time, where less than half a
        # millisecond is left.
        self._timer: asyncio.Handle | None = None
        self._timer_due = math.inf
        self._group: list[_PendingWrite] = []
        self._under_way: asyncio.Future[None] | None = None

    async def write(
        self,
        work: Callable[[sqlite3.Connection, OutboxDelta], T],
        *,
        stored: Callable[[], None] = lambda: None,
        within: float = 0.0,
    ) -> T:
        """Do the work in a transaction that begins within so many seconds, and return what it returned.

        The work runs in the database's thread; ``stored`` is called in the loop once it is stored, whatever became of
        the caller. Cancelled before the transaction has begun, it does nothing; cancelled later, however often, it ends
        in one of the two ways before CancelledError is raised.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        write = _PendingWrite(work, stored, loop.time() + within, result)
        self._gathered.append(write)
        self._due = min(self._due, write.due)
        self._go_on()
        try:
            return await result
        except asyncio.CancelledError:
            if write in self._gathered:
                self._gathered.remove(write)
            while write in self._group and self._under_way is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({self._under_way})
            raise

    async def flush(self) -> None:
        """Return when all that was called for before is written or has failed."""
        while self._gathered or self._under_way is not None:
            self._due = -math.inf
            self._go_on()
            if self._under_way is not None:
                await asyncio.wait({self._under_way})

    def _go_on(self) -> None:
        """Begin the next transaction, or have it begin when it is due."""
        if self._under_way is not None or not self._gathered:
            return
        loop = asyncio.get_running_loop()
        if self._due <= loop.time() or len(self._gathered) >= _AT_ONCE:
            self._begin()
        elif self._due < self._timer_due:
            self._stop_timer()
            self._timer, self._timer_due = loop.call_at(self._due, self._begin), self._due

    def _begin(self) -> None:
        self._stop_timer()
        # Whoever was cancelled a moment ago may not have had the time to withdraw.
        gathered = [write for write in self._gathered if not write.result.cancelled()]
        self._group, self._gathered = gathered[:_AT_ONCE], gathered[_AT_ONCE:]
        self._due = min((write.due for write in self._gathered), default=math.inf)
        if not self._group:
            return  # all of them were cancelled
        try:
            draft = self._outbox.draft(self._now())
            self._under_way = self._database.transact(partial(_store, self._group, draft))
        except Exception as error:  # noqa: BLE001 - every caller of the group raises it: nobody may be left waiting
            self._end_with(error)
        else:
            self._under_way.add_done_callback(partial(self._ended, draft))

    def _ended(self, draft: OutboxDelta, under_way: asyncio.Future[None]) -> None:
        self._under_way = None
        error = under_way.exception()
        try:
            if error is None:
                self._outbox.settle(draft)
        finally:
            self._end_with(error)

    def _end_with(self, error: BaseException | None) -> None:
        """Report the outcome to every write of the group, then start the next transaction.

        An exception of one ``stored`` callback reaches the event loop's exception handler only after all of that.
        """
        group, self._group = self._group, []
        try:
            _end_all(iter(group), error)
        finally:
            self._go_on()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due = None, math.inf


@dataclass(slots=True, eq=False)
class _PendingWrite:
    work: Callable[[sqlite3.Connection, OutboxDelta], Any]
    stored: Callable[[], None]
    due: float
    result: asyncio.Future[Any]
    returned: Any = None

    def end_with(self, error: BaseException | None) -> None:
        try:
            if error is None:
                self.stored()
        finally:
            if self.result.done():  # its caller was cancelled
                pass
            elif error is None:
                self.result.set_result(self.returned)
            else:
                self.result.set_exception(error)


def _end_all(writes: Iterator[_PendingWrite], error: BaseException | None) -> None:
    try:
        for write in writes:
            write.end_with(error)
    except BaseException:
        _end_all(writes, error)  # those after the one that raised
        raise


def _store(group: list[_PendingWrite], draft: OutboxDelta, connection: sqlite3.Connection) -> None:
    for write in group:
        write.returned = write.work(connection, draft)
    draft.hold_bounds(connection)
