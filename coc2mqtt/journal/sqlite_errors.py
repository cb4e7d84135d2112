"""What SQLite's error codes mean for whoever runs the program."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from coc2mqtt.journal.errors import CannotOpenError, DamagedError, JournalError, ReadFailedError, WriteFailedError

if TYPE_CHECKING:
    from pathlib import Path

_OTHER_FILE = "or name another file as journal.path"
_NO_RIGHTS = f"this user may not write it: give the user the right to write the file and its folder, {_OTHER_FILE}"
_REASONS = {
    sqlite3.SQLITE_CANTOPEN: f"the file cannot be had: let this user write it and its folder, {_OTHER_FILE}",
    sqlite3.SQLITE_PERM: _NO_RIGHTS,
    sqlite3.SQLITE_READONLY: _NO_RIGHTS,
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk reports an error: look at the space that is left, and at its health",
    sqlite3.SQLITE_BUSY: f"another program holds it locked: end that one, {_OTHER_FILE}",
    sqlite3.SQLITE_NOTADB: f"it is no SQLite database: move it away, {_OTHER_FILE}",
    sqlite3.SQLITE_CORRUPT: "it is damaged: end the program and move it away, together with the files beside it "
    "that end in -wal and -shm; the next start begins a new one",
}


def cannot_open(path: Path, error: sqlite3.Error) -> JournalError:
    """Return the error for a file that could not be opened; looks at the file system to find out why."""
    if reason := _reason_in_file_system(path):
        return CannotOpenError(f"the journal {path} cannot be opened, {reason} ({error})")
    if _code(error) == sqlite3.SQLITE_CORRUPT:
        return DamagedError(_sentence(path, "opened", error))
    return CannotOpenError(_sentence(path, "opened", error))


def _reason_in_file_system(path: Path) -> str | None:
    try:
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}: create it, {_OTHER_FILE}"
        if path.is_dir():
            return f"it is a folder: name a file as journal.path, such as {path / 'coc2mqtt.db'}"
        return _NO_RIGHTS if path.exists() and not os.access(path, os.R_OK | os.W_OK) else None
    except PermissionError:
        return _NO_RIGHTS


def read_failed(path: Path, error: sqlite3.Error) -> JournalError:
    """Return the error for a statement that did not change anything."""
    return _damaged_or(ReadFailedError, _sentence(path, "read", error), error)


def write_failed(path: Path, error: sqlite3.Error) -> JournalError:
    """Return the error for a transaction that was rolled back."""
    return _damaged_or(WriteFailedError, _sentence(path, "written", error), error)


def damaged(path: Path, found: str) -> DamagedError:
    """Return the error for content that nobody can have written."""
    return DamagedError(f"the journal {path} cannot be read, {_REASONS[sqlite3.SQLITE_CORRUPT]} ({found})")


def _damaged_or(kind: type[JournalError], sentence: str, error: sqlite3.Error) -> JournalError:
    if _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DamagedError(sentence)
    return kind(sentence)


def _sentence(path: Path, wanted: str, error: sqlite3.Error) -> str:
    reason = _REASONS.get(_code(error))
    return f"the journal {path} cannot be {wanted}, {f'{reason} ({error})' if reason else error}"


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code, which is the low byte (sqlite.org/rescode.html), 0 when Python raised it."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
