"""The journal's SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

from coc2mqtt.journal.migrations import check_schema, migrate
from coc2mqtt.journal.sqlite_errors import cannot_open, read_failed, write_failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

T = TypeVar("T")

_BUSY_SECONDS = 5.0


class Database:
    """One SQLite file behind one connection: it does one thing after the other, and a transaction whole or not at all.

    Errors of SQLite come out as JournalErrors. RuntimeError when it is not open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        # One connection sees its own uncommitted changes: so reads wait for the end of a transaction, too.
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Open the file, create it if there is none, and bring its schema up to date."""
        if self._connection is not None:
            raise RuntimeError("the journal is open already")
        # Without an isolation level Python begins no transactions of its own.
        connection = aiosqlite.connect(self._path, isolation_level=None, timeout=_BUSY_SECONDS)
        try:
            await connection
            try:
                await self._prepare(connection)
            except BaseException:
                await connection.close()
                raise
        except sqlite3.Error as error:
            raise await asyncio.to_thread(cannot_open, self._path, error) from error
        self._connection = connection

    async def close(self) -> None:
        """Close the file after what was begun; a file that is closed stays so."""
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def read(self, query: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """Return the rows of one query, which sees what was committed and nothing else."""
        async with self._lock:
            try:
                return list(await self._opened().execute_fetchall(query, parameters))
            except sqlite3.Error as error:
                raise read_failed(self._path, error) from error

    async def transact(self, work: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        """Do the work in one transaction, and return what it returns.

        Whatever it raises undoes it. Cancelled while it waits for its turn, it does nothing; cancelled later, it ends
        in one of the two ways before CancelledError is raised.
        """
        await self._lock.acquire()
        # A task of its own, and in no TaskGroup, because a group would cancel it together with its caller.
        task = asyncio.get_running_loop().create_task(self._transact(work))
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        # Here and not in the task: one that is cancelled before its first step never runs at all.
        self._lock.release()
        if not task.cancelled():
            # Taken note of, because a caller who was cancelled does not ask for it.
            task.exception()

    async def _transact(self, work: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        connection = self._opened()
        try:
            try:
                await connection.execute("BEGIN IMMEDIATE")
                result = await work(connection)
                await connection.commit()
            except BaseException:
                # Cancelled (the loop ends), a statement may still be under way: the connection's thread takes this
                # one after it, and does nothing if that was the commit.
                await connection.rollback()
                raise
        except sqlite3.Error as error:
            raise write_failed(self._path, error) from error
        return result

    def _opened(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise RuntimeError("the journal is not open: use it inside 'async with SqliteJournal(...) as journal:'")
        return self._connection

    async def _prepare(self, connection: aiosqlite.Connection) -> None:
        # First, because the next statement already writes into the file.
        await check_schema(connection, self._path)
        await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        # With NORMAL, which is the custom with WAL, a power cut undoes the last commits (SQLite's documentation of the
        # pragma): events that were published would come again under other ids, and a watch that was confirmed be gone.
        await connection.execute("PRAGMA synchronous = FULL")
        await migrate(connection)
        # SQLite opens a file that it may not write as well, and complains of the first change only: here it is.
        await connection.execute("UPDATE tally SET dropped = dropped")
