"""Asynchronous access to the journal's SQLite file, through one thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from coc2mqtt.journal.errors import CorruptJournalError
from coc2mqtt.journal.file import JournalFile
from coc2mqtt.journal.sqlite_errors import SQLITE_ERRORS, read_failed, write_failed

if TYPE_CHECKING:
    import random
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

_NOT_OPEN = "the journal is not open: use it inside 'async with SqliteJournal(...) as journal:'"


class Database:
    """One SQLite file with one connection, which only its own thread uses.

    Calls are executed one at a time, in their order. No other program can open the file while it is open. SQLite's
    exceptions are converted to JournalErrors. The methods raise RuntimeError if the file is not open.
    """

    def __init__(self, path: Path, rng: random.Random) -> None:
        self._path = path
        self._file = JournalFile(path, rng)
        self._thread: ThreadPoolExecutor | None = None
        self._closing: asyncio.Future[None] | None = None
        # Used by the thread only.
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open and check the file, and create it if there is none.

        Raises InUseError if another program has the file open for two seconds, CorruptJournalError and CannotOpenError.
        """
        if self._closing is not None and not self._closing.done():  # close() was cancelled and continues in the thread
            await asyncio.wait({self._closing})
        if self._connection is not None:
            raise RuntimeError("the journal is already open")
        self._start_thread()
        try:
            await asyncio.shield(self._run(self._open))
        except CorruptJournalError:
            raise  # the file stays locked until quarantine() or close()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the calls that were made before, and close the file. Closing it twice has no effect."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closing = asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)  # stops after _close
            await asyncio.shield(self._closing)
            await asyncio.to_thread(thread.shutdown)

    async def quarantine(self, corruption: CorruptJournalError, *, now: float) -> Path | None:
        """Rename the corrupt file, close it, and return its new path. ``now`` is Unix time in seconds.

        Returns None if another program has just quarantined it. Raises CorruptJournalError if the file cannot be
        renamed or if a file was already quarantined within the last ten minutes.
        """
        self._start_thread()
        try:
            return await self._run(partial(self._file.quarantine, corruption, now=now))
        finally:
            await self.close()

    @property
    def recovered_last_seq(self) -> int:
        """The number of the last event in a corrupt file that could not be opened, 0 if it could not be read."""
        return self._file.recovered_last_seq

    async def read(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Return the rows of a query. It sees committed data only."""
        return await self._run(self._read, query, parameters)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run ``work`` in a transaction, in the thread, and return a future with its result.

        An exception in ``work`` rolls the transaction back. Cancelling the future does not.
        """
        return self._run(self._transact, work)

    async def shrink(self, pages: int) -> None:
        """Return up to ``pages`` unused pages of the file to the file system."""
        await self._run(self._shrink, pages)

    def _start_thread(self) -> None:
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
            return self._open_connection().execute(query, parameters).fetchall()
        except SQLITE_ERRORS as error:
            raise read_failed(self._path, error) from error

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._open_connection()
        try:
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
        except SQLITE_ERRORS as error:
            raise write_failed(self._path, error) from error
        return result

    def _shrink(self, pages: int) -> None:
        try:
            # As a script, because execute() would do only one step of the pragma, which is one page. The file itself
            # becomes smaller only at a checkpoint.
            self._open_connection().executescript(
                f"PRAGMA incremental_vacuum({pages}); PRAGMA wal_checkpoint(TRUNCATE)"
            )
        except SQLITE_ERRORS as error:
            raise write_failed(self._path, error) from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError(_NOT_OPEN)
        return self._connection
