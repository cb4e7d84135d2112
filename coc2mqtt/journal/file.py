"""The journal's SQLite file: locking, checking and creating it."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from coc2mqtt.journal import quarantine
from coc2mqtt.journal.errors import CorruptJournalError, InUseError, JournalError
from coc2mqtt.journal.quarantine import FileIdentity, identify
from coc2mqtt.journal.schema import check_schema, create_schema
from coc2mqtt.journal.sqlite_errors import SQLITE_ERRORS, SqliteError, cannot_open, corrupt, is_busy, is_corruption

if TYPE_CHECKING:
    import random
    from pathlib import Path

# How long to wait for a program that is about to exit and still holds the file.
LOCK_TIMEOUT_S = 2.0
_RETRY_DELAY_S = (0.02, 0.08)
# The -wal file is truncated to this size after a large transaction; less would only be allocated again.
_MAX_WAL_BYTES = 4 * 1024 * 1024
# The limit of integers in JSON. A corrupt file may contain any number.
MAX_SEQ = 2**53


class JournalFile:
    """The SQLite file at ``path``. All methods block.

    From ``open`` until the connection is closed or the program dies, no other program can open the file, even by
    another name. ``recovered_last_seq`` is the number of the last event in a corrupt file, 0 if it cannot be read.
    """

    def __init__(self, path: Path, rng: random.Random) -> None:
        self._path = path
        self._rng = rng
        self._identity: FileIdentity | None = None
        self._corrupt_connection: sqlite3.Connection | None = None
        self.recovered_last_seq = 0

    def open(self) -> sqlite3.Connection:
        """Open and check the file, and create it if there is none.

        Raises InUseError if another program holds the file for two seconds, CannotOpenError if the file is not
        accessible or belongs to another program, and CorruptJournalError if it is corrupt. A corrupt file stays locked
        until it is quarantined or closed.
        """
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                return self._open()
            except SQLITE_ERRORS as error:
                failure = None if is_busy(error) else self._failure(error)
                # If another program has just quarantined the file, the error is about a file that is gone.
                if failure is not None and not (self._is_replaced() and time.monotonic() <= deadline):
                    raise failure from error
                if time.monotonic() > deadline:
                    raise InUseError(
                        f"the journal {self._path} is used by another program, probably another coc2mqtt: stop that "
                        "program, or set journal.path to another file"
                    ) from error
            # Random, because two programs that create the same file at the same time would block each other again.
            time.sleep(self._rng.uniform(*_RETRY_DELAY_S))

    def quarantine(self, corruption: CorruptJournalError, *, now: float) -> Path | None:
        """Rename the corrupt file and return its new path: see ``quarantine.quarantine``.

        Call this before ``close``: otherwise a waiting program would get hold of the file, and SQLite would delete the
        -wal file, which it does not do after the file was renamed.
        """
        return quarantine.quarantine(self._path, self._identity, corruption, now=now)

    def close(self) -> None:
        """Close the connection to a corrupt file."""
        connection, self._corrupt_connection = self._corrupt_connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        self._identity = identify(self._path)
        quarantine.check_not_truncated(self._path)
        # timeout=0: SQLite must not wait for a lock itself, because two waiting programs would wait for each other.
        # isolation_level=None: Python must not start transactions.
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            self._prepare(connection)
        except BaseException as error:
            if isinstance(error, CorruptJournalError) or (isinstance(error, SQLITE_ERRORS) and is_corruption(error)):
                self.recovered_last_seq = _read_last_seq(connection)
                self._corrupt_connection = connection
            else:
                connection.close()
            raise
        self._identity = identify(self._path)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Before the first read: in WAL mode the file is then locked until it is closed, and the operating system
        # releases the lock when the program dies.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # Before the first write.
        check_schema(connection, self._path)
        if connection.execute("PRAGMA page_count").fetchall() == [(0,)]:
            # Lets Database.shrink reduce the file after an outage. It has an effect only in a new file.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}").fetchall()
        # With NORMAL, the usual setting for WAL, a power cut can undo the last commits (see SQLite's documentation of
        # the pragma): published events would be published again with other ids, and confirmed watches would be lost.
        connection.execute("PRAGMA synchronous = FULL")
        if reason := quarantine.find_corruption(connection):
            raise corrupt(self._path, reason)
        if create_schema(connection):
            # Writes the header, which distinguishes a journal from another program's file if it is corrupt later.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # Detects a file that is not writable now, and not after events were published that then cannot be marked as
        # delivered. Two updates, because SQLite does not write unchanged pages.
        connection.execute("BEGIN IMMEDIATE")
        for change in (1, -1):
            connection.execute("UPDATE tally SET dropped = dropped + ?", (change,))
        connection.execute("COMMIT")

    def _is_replaced(self) -> bool:
        """Return whether the path now names another file than the one that was opened, and close that one if so."""
        if self._identity is None or identify(self._path) == self._identity:
            return False
        self.close()
        return True

    def _failure(self, error: SqliteError) -> JournalError:
        if is_corruption(error) and quarantine.was_probably_journal(self._path):
            return corrupt(self._path, str(error))
        self.close()
        return cannot_open(self._path, error)


def _read_last_seq(connection: sqlite3.Connection) -> int:
    """Return the number of the last event, so that a new file does not reuse numbers. Returns 0 if it is unreadable."""
    try:
        ((seq,),) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchall()
    except (sqlite3.Error, ValueError):
        return 0
    return seq if isinstance(seq, int) and 0 < seq < MAX_SEQ else 0
