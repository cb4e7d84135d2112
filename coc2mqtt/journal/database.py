"""The journal's SQLite file, used from the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

from coc2mqtt.journal.file import JournalFile
from coc2mqtt.journal.sqlite_errors import SQLITE_TROUBLE, read_failed, write_failed

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from coc2mqtt.journal.errors import DamagedError

T = TypeVar("T")

# What aiosqlite.connect takes for the rows of one fetch.
_CHUNK = 64


class Database:
    """One SQLite file behind one connection: it does one thing after the other, and a transaction whole or not at all.

    While it is open no other program can open the file. Errors of SQLite come out as JournalErrors. RuntimeError when
    it is not open.
    """

    def __init__(self, path: Path, rng: random.Random) -> None:
        self._path = path
        self._file = JournalFile(path, rng)
        self._connection: aiosqlite.Connection | None = None
        # One connection sees its own uncommitted changes: so reads wait for the end of a transaction, too.
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Open the file, create it if there is none, check it, and bring its schema up to date.

        Raises InUseError after two seconds in which another program held it, DamagedError and CannotOpenError.
        """
        if self._connection is not None:
            raise RuntimeError("the journal is open already")
        # In a thread, where neither the waiting nor the checks of a large file hold up anybody else.
        opening = asyncio.create_task(asyncio.to_thread(self._file.open))
        try:
            await asyncio.wait({opening})
        except asyncio.CancelledError:
            await asyncio.wait({opening})
            await asyncio.to_thread(self._file.close if opening.exception() else opening.result().close)
            raise
        connection = opening.result()
        self._connection = await aiosqlite.Connection(lambda: connection, _CHUNK)

    async def close(self) -> None:
        """Close the file after what was begun; a file that is closed stays so."""
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()
            await asyncio.to_thread(self._file.close)

    async def put_aside(self, damage: DamagedError, *, now: float) -> Path | None:
        """Keep the damaged file under another name, which is returned, and close it if it is open.

        Returns None if another program did that just before. Raises DamagedError when it cannot be done, or was done
        within the last ten minutes already.
        """
        try:
            return await asyncio.to_thread(self._file.put_aside, damage, now=now)
        finally:
            await self.close()

    @property
    def last_seq_of_damaged(self) -> int:
        """The number of the last event that a file which could not be opened speaks of, 0 where it does not."""
        return self._file.last_seq

    async def read(self, query: str, parameters: Iterable[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Return the rows of one query, which sees what was committed and nothing else."""
        async with self._lock:
            try:
                return list(await self._opened().execute_fetchall(query, parameters))
            except SQLITE_TROUBLE as error:
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

    async def shrink(self, pages: int) -> None:
        """Give so many unused pages at the end of the file back to the file system, in a transaction of its own."""

        async def give_back(connection: aiosqlite.Connection) -> None:
            # Not as a statement: Python would take one step of it, which is one page. Written back at once, because
            # only that makes the file smaller.
            await connection.executescript(f"PRAGMA incremental_vacuum({pages}); PRAGMA wal_checkpoint(TRUNCATE)")

        await self.transact(give_back)

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
        except SQLITE_TROUBLE as error:
            raise await asyncio.to_thread(write_failed, self._path, error) from error
        return result

    def _opened(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise RuntimeError("the journal is not open: use it inside 'async with SqliteJournal(...) as journal:'")
        return self._connection
