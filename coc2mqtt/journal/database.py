"""The journal's SQLite file, used from the event loop: one thread does one thing after the other."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from coc2mqtt.journal.errors import CorruptJournalError
from coc2mqtt.journal.file import JournalFile
from coc2mqtt.journal.sqlite_errors import SQLITE_TROUBLE, read_failed, write_failed

if TYPE_CHECKING:
    import random
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

_NOT_OPEN = "the journal is not open: use it inside 'async with SqliteJournal(...) as journal:'"


class Database:
    """One SQLite file behind one connection, in a thread of its own: each call is one way there and back.

    What is called first is done first, and a transaction is done whole or not at all, with nothing in between. While
    it is open no other program can open the file. Errors of SQLite come out as JournalErrors. RuntimeError when it is
    not open.
    """

    def __init__(self, path: Path, rng: random.Random) -> None:
        self._path = path
        self._file = JournalFile(path, rng)
        self._thread: ThreadPoolExecutor | None = None
        self._closing: asyncio.Future[None] | None = None
        # For the thread alone.
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, create it if there is none, check it, and bring its schema up to date.

        Raises InUseError after two seconds in which another program held it, DamagedError and CannotOpenError.
        """
        if self._closing is not None and not self._closing.done():  # whoever closed it was cancelled meanwhile
            await asyncio.wait({self._closing})
        if self._connection is not None:
            raise RuntimeError("the journal is open already")
        self._begin_thread()
        try:
            await asyncio.shield(self._run(self._open))
        except CorruptJournalError:
            raise  # it is held until it is put aside or closed
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file after what was begun; a file that is closed stays so."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closing = asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)  # it ends after that
            await asyncio.shield(self._closing)
            await asyncio.to_thread(thread.shutdown)

    async def put_aside(self, damage: CorruptJournalError, *, now: float) -> Path | None:
        """Keep the damaged file under another name, which is returned, and close it if it is open.

        Returns None if another program did that just before. Raises DamagedError when it cannot be done, or was done
        within the last ten minutes already.
        """
        self._begin_thread()
        try:
            return await self._run(partial(self._file.put_aside, damage, now=now))
        finally:
            await self.close()

    @property
    def last_seq_of_damaged(self) -> int:
        """The number of the last event that a file which could not be opened speaks of, 0 where it does not."""
        return self._file.last_seq

    async def read(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Return the rows of one query, which sees what was committed and nothing else."""
        return await self._run(self._read, query, parameters)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Do the work in one transaction, in the thread; the future has what it returns.

        Whatever it raises undoes it. Cancelling the future does not.
        """
        return self._run(self._transact, work)

    async def shrink(self, pages: int) -> None:
        """Give so many unused pages at the end of the file back to the file system."""
        await self._run(self._shrink, pages)

    def _begin_thread(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    def _run(self, work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        if self._thread is None:
            raise RuntimeError(_NOT_OPEN)
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _open(self) -> None:
        self._connection = self._file.open()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._file.close()

    def _read(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        try:
            return self._opened().execute(query, parameters).fetchall()
        except SQLITE_TROUBLE as error:
            raise read_failed(self._path, error) from error

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._opened()
        try:
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
        except SQLITE_TROUBLE as error:
            raise write_failed(self._path, error) from error
        return result

    def _shrink(self, pages: int) -> None:
        try:
            # Not as a statement: Python would take one step of it, which is one page. Written back at once, because
            # only that makes the file smaller.
            self._opened().executescript(f"PRAGMA incremental_vacuum({pages}); PRAGMA wal_checkpoint(TRUNCATE)")
        except SQLITE_TROUBLE as error:
            raise write_failed(self._path, error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError(_NOT_OPEN)
        return self._connection
