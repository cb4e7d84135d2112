"""The journal's file: claimed for this program alone, checked, and brought up to date."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from coc2mqtt.journal.errors import CorruptJournalError, InUseError, JournalError
from coc2mqtt.journal.quarantine import (
    FileIdentity,
    check_whole,
    find_damage,
    identify,
    may_have_been_ours,
    put_aside,
)
from coc2mqtt.journal.schema import check_schema, create_schema
from coc2mqtt.journal.sqlite_errors import SQLITE_TROUBLE, Trouble, cannot_open, damaged, is_busy, is_damage

if TYPE_CHECKING:
    import random
    from pathlib import Path

# How long a program that is about to end may still hold the file, and how often to look (seconds).
_PATIENCE = 2.0
_PAUSE = (0.02, 0.08)
# What the file that SQLite writes ahead into keeps after it had to grow (bytes): as much as it always needs.
_WAL_SIZE = 4 * 1024 * 1024
# What JSON can carry; a damaged file may hold anything.
LARGEST_SEQ = 2**53


class JournalFile:
    """The SQLite file at ``path``. Everything here blocks.

    It is held from ``open`` until the connection is closed or the program dies, whatever else knows it by whatever
    name. ``last_seq`` is the number of the last event that a damaged file speaks of, 0 where it does not.
    """

    def __init__(self, path: Path, rng: random.Random) -> None:
        self._path = path
        self._rng = rng
        self._identity: FileIdentity | None = None
        self._damaged: sqlite3.Connection | None = None
        self.last_seq = 0

    def open(self) -> sqlite3.Connection:
        """Open the file, create it if there is none, check it, and bring its schema up to date.

        Waits two seconds for another program to let go of it, and raises InUseError then. Raises CannotOpenError when
        it is another program's or cannot be had, and DamagedError when it is damaged: then it is held until it was
        put aside or closed.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._open()
            except SQLITE_TROUBLE as error:
                trouble = None if is_busy(error) else self._trouble(error)
                # Another program may have put a damaged file aside meanwhile: what was found out is about two files.
                if trouble is not None and not (self._is_replaced() and time.monotonic() <= until):
                    raise trouble from error
                if time.monotonic() > until:
                    raise InUseError(
                        f"another program, most likely another coc2mqtt, uses the journal {self._path}: stop that one, "
                        "or name another file as journal.path"
                    ) from error
            # With chance in it, because two that begin the same new file at once get into each other's way.
            time.sleep(self._rng.uniform(*_PAUSE))

    def put_aside(self, damage: CorruptJournalError, *, now: float) -> Path | None:
        """Keep the damaged file under another name, which is returned: see ``damage.put_aside``.

        Before its connection is closed, because whoever waits for the file would else get hold of it, and because
        SQLite deletes what it wrote ahead when it closes a file, but not when the file has another name.
        """
        return put_aside(self._path, self._identity, damage, now=now)

    def close(self) -> None:
        """Close a damaged file."""
        connection, self._damaged = self._damaged, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        self._identity = identify(self._path)
        check_whole(self._path)
        # No waiting within SQLite: two that wait for each other would wait in vain. Without an isolation level Python
        # begins no transactions of its own.
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            self._prepare(connection)
        except BaseException as error:
            if isinstance(error, CorruptJournalError) or (isinstance(error, SQLITE_TROUBLE) and is_damage(error)):
                self.last_seq = _last_seq(connection)
                self._damaged = connection
            else:
                connection.close()
            raise
        self._identity = identify(self._path)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Before anything is read: from the first look into a file with WAL on, it is locked until it is closed, and
        # nothing of the lock is left when the program dies.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # First, because what follows writes into the file.
        check_schema(connection, self._path)
        if connection.execute("PRAGMA page_count").fetchall() == [(0,)]:
            # In a new file, where alone it has an effect: what an outage makes it grow by can be given back.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_SIZE}").fetchall()
        # With NORMAL, which is the custom with WAL, a power cut undoes the last commits (SQLite's documentation of the
        # pragma): events that were published would come again under other ids, and a watch that was confirmed be gone.
        connection.execute("PRAGMA synchronous = FULL")
        if found := find_damage(connection):
            raise damaged(self._path, found)
        if create_schema(connection):
            # Until now the header says nothing: a damaged file could not be told from another program's.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # A file that cannot be written is found out now, and not after the first events were published that cannot be
        # noted as delivered. In two steps, because SQLite does not write what stays the same.
        connection.execute("BEGIN IMMEDIATE")
        for change in (1, -1):
            connection.execute("UPDATE tally SET dropped = dropped + ?", (change,))
        connection.execute("COMMIT")

    def _is_replaced(self) -> bool:
        """Tell whether another file has the name of the one that was opened; that one is closed then."""
        if self._identity is None or identify(self._path) == self._identity:
            return False
        self.close()
        return True

    def _trouble(self, error: Trouble) -> JournalError:
        if is_damage(error) and may_have_been_ours(self._path):
            return damaged(self._path, str(error))
        self.close()
        return cannot_open(self._path, error)


def _last_seq(connection: sqlite3.Connection) -> int:
    """Return the number of the last event, as far as it can be read: it shall not be given again."""
    try:
        ((seq,),) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchall()
    except (sqlite3.Error, ValueError):
        return 0
    return seq if isinstance(seq, int) and 0 < seq < LARGEST_SEQ else 0
