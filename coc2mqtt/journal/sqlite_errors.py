"""Conversion of SQLite's errors to JournalErrors that name the cause and the remedy."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from typing import TYPE_CHECKING

from coc2mqtt.journal.errors import (
    CannotOpenError,
    CorruptJournalError,
    JournalError,
    ReadFailedError,
    WriteFailedError,
)

if TYPE_CHECKING:
    from pathlib import Path

_HAS_EFFECTIVE_IDS = os.access in os.supports_effective_ids

OTHER_FILE = "or set journal.path to another file"
_NO_ACCESS = f"this user may not write it: give the user write access to the file and its folder, {OTHER_FILE}"
_READ_ONLY = "its file system is read-only: find out why, and make it writable"
_REASONS = {
    sqlite3.SQLITE_CANTOPEN: f"the file is not accessible: give this user write access to it and its folder, "
    f"{OTHER_FILE}",
    sqlite3.SQLITE_PERM: _NO_ACCESS,
    sqlite3.SQLITE_READONLY: _NO_ACCESS,
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check its free space and its health",
    sqlite3.SQLITE_NOTADB: f"it is not a SQLite database: move it away, {OTHER_FILE}",
    sqlite3.SQLITE_CORRUPT: f"it is corrupt and may belong to another program: move it away, {OTHER_FILE}",
}
_CORRUPTION_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Python's message for a text that is not UTF-8. It has no error code.
_NOT_UTF_8 = "Could not decode to UTF-8"
# The exceptions that SQLite raises in Python. UnicodeDecodeError if its message quotes a schema that is not UTF-8.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
SqliteError = sqlite3.Error | UnicodeDecodeError


def is_busy(error: SqliteError) -> bool:
    """Return whether another program has locked the file."""
    return _code(error) == sqlite3.SQLITE_BUSY


def is_corruption(error: SqliteError) -> bool:
    """Return whether the file is corrupt or is not a database."""
    return (
        isinstance(error, UnicodeDecodeError) or _code(error) in _CORRUPTION_CODES or str(error).startswith(_NOT_UTF_8)
    )


def cannot_open(path: Path, error: SqliteError) -> JournalError:
    """Return the error for a file that could not be opened. Examines the file system to find the cause."""
    if reason := _reason_in_file_system(path):
        return CannotOpenError(f"cannot open the journal {path} because {reason} ({error})")
    return CannotOpenError(_message("open", path, error))


def _reason_in_file_system(path: Path) -> str | None:
    try:
        if not is_folder(path.parent):
            return f"the folder {path.parent} does not exist: create it, {OTHER_FILE}"
        if is_folder(path):
            return f"it is a folder: set journal.path to a file, such as {path / 'coc2mqtt.db'}"
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return f"{_READ_ONLY}, {OTHER_FILE}"
        return _NO_ACCESS if path.exists() and not _is_writable(path) else None
    except PermissionError:
        return _NO_ACCESS


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder. Raises PermissionError, which Path.is_dir does not since Python 3.14."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_writable(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=_HAS_EFFECTIVE_IDS)


def read_failed(path: Path, error: SqliteError) -> JournalError:
    """Return the error for a query that failed."""
    return corrupt(path, str(error)) if is_corruption(error) else ReadFailedError(_message("read", path, error))


def write_failed(path: Path, error: SqliteError) -> JournalError:
    """Return the error for a transaction that was rolled back. Examines the file system after an I/O error."""
    if is_corruption(error):
        return corrupt(path, str(error))
    if _code(error) == sqlite3.SQLITE_IOERR and _has_become_read_only(path):
        return WriteFailedError(f"cannot write the journal {path} because {_READ_ONLY} ({error})")
    return WriteFailedError(_message("write", path, error))


def _has_become_read_only(path: Path) -> bool:
    """Return whether the kernel has made the file system read-only, as it does when a disk fails."""
    # Opening and closing the file would release SQLite's lock on it (see sqlite.org/howtocorrupt.html, 2.2).
    with contextlib.suppress(OSError):
        try:
            os.utime(path)
        except OSError as error:
            return error.errno == errno.EROFS
    return False


def corrupt(path: Path, reason: str, failed_remedy: str = "") -> CorruptJournalError:
    """Return the error for corrupt content. ``failed_remedy`` tells why the file could not be quarantined."""
    return CorruptJournalError(
        f"the journal {path} is corrupt ({reason}){failed_remedy}: move the file away, together with its -wal and -shm "
        "files; the next start creates a new journal",
        reason=reason,
    )


def corrupt_again(path: Path, reason: str, previous: str) -> CorruptJournalError:
    """Return the error for a corruption soon after another one, whose file was renamed to ``previous``."""
    return CorruptJournalError(
        f"the journal {path} is corrupt ({reason}), for the second time within ten minutes (the first file is now "
        f"{previous}): check the disk, or set journal.path to a file on another disk",
        reason=reason,
    )


def _message(action: str, path: Path, error: SqliteError) -> str:
    reason = _REASONS.get(_code(error))
    return f"cannot {action} the journal {path}" + (f" because {reason} ({error})" if reason else f": {error}")


def _code(error: SqliteError) -> int:
    """Return the primary result code, the low byte (sqlite.org/rescode.html). 0 if the error is Python's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
