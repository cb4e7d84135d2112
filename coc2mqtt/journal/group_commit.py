"""Group commit: writes that arrive at about the same time share one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from coc2mqtt.journal.database import Database
    from coc2mqtt.journal.outbox import Outbox, OutboxDelta

T = TypeVar("T")

# The first write of a batch waits for the others of the batch, which take some ten milliseconds.
_MAX_BATCH_SIZE = 128


class GroupCommitter:
    """Executes writes in the order of the calls, batched into transactions.

    A write can wait for other writes for a given time. While a transaction is running, all writes wait for the next
    one. If a transaction fails, nothing of it is stored, and all of its writes raise the same JournalError. ``now``
    returns Unix time in seconds.
    """

    def __init__(self, database: Database, outbox: Outbox, *, now: Callable[[], float]) -> None:
        self._database = database
        self._outbox = outbox
        self._now = now
        self._queue: list[_PendingWrite] = []
        # The earliest deadline in the queue (loop time).
        self._deadline = math.inf
        # The deadline of the timer is stored separately: uvloop returns a Handle without a time if it is less than
        # half a millisecond away.
        self._timer: asyncio.Handle | None = None
        self._timer_deadline = math.inf
        # The running transaction and its writes.
        self._transaction: asyncio.Future[None] | None = None
        self._batch: list[_PendingWrite] = []

    async def write(
        self,
        work: Callable[[sqlite3.Connection, OutboxDelta], T],
        *,
        on_stored: Callable[[], None] = lambda: None,
        window: float = 0.0,
    ) -> T:
        """Execute ``work`` in a transaction that starts within ``window`` seconds, and return its result.

        ``work`` is called in the thread of the database. ``on_stored`` is called in the event loop after the commit,
        even if the caller was cancelled. A write that is cancelled before its transaction starts has no effect. If it
        is cancelled later, even repeatedly, CancelledError is raised after the transaction was committed or rolled
        back.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        write = _PendingWrite(work, on_stored, loop.time() + window, result)
        self._queue.append(write)
        self._deadline = min(self._deadline, write.deadline)
        self._schedule()
        try:
            return await result
        except asyncio.CancelledError:
            if write in self._queue:
                self._queue.remove(write)
            while write in self._batch and self._transaction is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({self._transaction})
            raise

    async def flush(self) -> None:
        """Wait until all earlier writes are stored or have failed."""
        while self._queue or self._transaction is not None:
            self._deadline = -math.inf
            self._schedule()
            if self._transaction is not None:
                await asyncio.wait({self._transaction})

    def _schedule(self) -> None:
        """Start the next transaction if it is due or full, or set a timer for it."""
        if self._transaction is not None or not self._queue:
            return
        loop = asyncio.get_running_loop()
        if self._deadline <= loop.time() or len(self._queue) >= _MAX_BATCH_SIZE:
            self._start_transaction()
        elif self._deadline < self._timer_deadline:
            self._cancel_timer()
            self._timer, self._timer_deadline = loop.call_at(self._deadline, self._start_transaction), self._deadline

    def _start_transaction(self) -> None:
        self._cancel_timer()
        # A write that was cancelled in this iteration of the loop has not left the queue yet.
        queue = [write for write in self._queue if not write.result.cancelled()]
        self._batch, self._queue = queue[:_MAX_BATCH_SIZE], queue[_MAX_BATCH_SIZE:]
        self._deadline = min((write.deadline for write in self._queue), default=math.inf)
        if not self._batch:
            return  # all writes were cancelled
        try:
            delta = self._outbox.new_delta(self._now())
            self._transaction = self._database.transact(partial(_execute, self._batch, delta))
        except Exception as error:  # noqa: BLE001 - raised by each write of the batch
            self._finish_batch(error)
        else:
            self._transaction.add_done_callback(partial(self._on_transaction_done, delta))

    def _on_transaction_done(self, delta: OutboxDelta, transaction: asyncio.Future[None]) -> None:
        self._transaction = None
        error = transaction.exception()
        try:
            if error is None:
                self._outbox.apply(delta)
        finally:
            self._finish_batch(error)

    def _finish_batch(self, error: BaseException | None) -> None:
        """Report the outcome to each write of the batch, in order, then schedule the next transaction.

        ExitStack calls all of its callbacks, last in first out, even if one raises. The exception of an ``on_stored``
        callback then reaches the exception handler of the event loop.
        """
        batch, self._batch = self._batch, []
        with contextlib.ExitStack() as stack:
            stack.callback(self._schedule)
            for write in reversed(batch):
                stack.callback(write.finish, error)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_deadline = None, math.inf


@dataclass(slots=True, eq=False)
class _PendingWrite:
    work: Callable[[sqlite3.Connection, OutboxDelta], Any]
    on_stored: Callable[[], None]
    deadline: float
    result: asyncio.Future[Any]
    returned: Any = None

    def finish(self, error: BaseException | None) -> None:
        try:
            if error is None:
                self.on_stored()
        finally:
            if self.result.done():  # the caller was cancelled
                pass
            elif error is None:
                self.result.set_result(self.returned)
            else:
                self.result.set_exception(error)


def _execute(batch: list[_PendingWrite], delta: OutboxDelta, connection: sqlite3.Connection) -> None:
    for write in batch:
        write.returned = write.work(connection, delta)
    delta.enforce_limits(connection)
