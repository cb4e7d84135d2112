"""What SQLite's error codes mean for whoever runs the program."""

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

_EFFECTIVE_IDS = os.access in os.supports_effective_ids

_OTHER_FILE = "or name another file as journal.path"
_NO_RIGHTS = f"this user may not write it: give the user the right to write the file and its folder, {_OTHER_FILE}"
_READ_ONLY = "its file system is read-only: see what made it so, and make it writable"
_REASONS = {
    sqlite3.SQLITE_CANTOPEN: f"the file cannot be had: let this user write it and its folder, {_OTHER_FILE}",
    sqlite3.SQLITE_PERM: _NO_RIGHTS,
    sqlite3.SQLITE_READONLY: _NO_RIGHTS,
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk reports an error: look at the space that is left, and at its health",
    sqlite3.SQLITE_NOTADB: f"it is no SQLite database: move it away, {_OTHER_FILE}",
    sqlite3.SQLITE_CORRUPT: f"it is damaged, and may be another program's: move it away, {_OTHER_FILE}",
}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Python's own words for a text that is no UTF-8, for which there is no code.
_NO_TEXT = "Could not decode to UTF-8"
# What SQLite raises in Python. The second where its message quotes a damaged schema that is no UTF-8.
SQLITE_TROUBLE = (sqlite3.Error, UnicodeDecodeError)
Trouble = sqlite3.Error | UnicodeDecodeError


def is_busy(error: Trouble) -> bool:
    """Tell whether another program holds the file."""
    return _code(error) == sqlite3.SQLITE_BUSY


def is_damage(error: Trouble) -> bool:
    """Tell whether the file holds what nobody wrote."""
    return isinstance(error, UnicodeDecodeError) or _code(error) in _DAMAGE or str(error).startswith(_NO_TEXT)


def cannot_open(path: Path, error: Trouble) -> JournalError:
    """Return the error for a file that could not be opened; looks at the file system to find out why."""
    if reason := _reason_in_file_system(path):
        return CannotOpenError(f"the journal {path} cannot be opened, {reason} ({error})")
    return CannotOpenError(_sentence(path, "opened", error))


def _reason_in_file_system(path: Path) -> str | None:
    try:
        if not is_folder(path.parent):
            return f"there is no folder {path.parent}: create it, {_OTHER_FILE}"
        if is_folder(path):
            return f"it is a folder: name a file as journal.path, such as {path / 'coc2mqtt.db'}"
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return f"{_READ_ONLY}, {_OTHER_FILE}"
        return _NO_RIGHTS if path.exists() and not _may_write(path) else None
    except PermissionError:
        return _NO_RIGHTS


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; raises PermissionError where that cannot be found out.

    Path.is_dir does not raise it from Python 3.14 on.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _may_write(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=_EFFECTIVE_IDS)


def read_failed(path: Path, error: Trouble) -> JournalError:
    """Return the error for a statement that did not change anything."""
    return damaged(path, str(error)) if is_damage(error) else ReadFailedError(_sentence(path, "read", error))


def write_failed(path: Path, error: Trouble) -> JournalError:
    """Return the error for a transaction that was rolled back; may ask the file system for the reason."""
    if is_damage(error):
        return damaged(path, str(error))
    if _code(error) == sqlite3.SQLITE_IOERR and _has_become_read_only(path):
        return WriteFailedError(f"the journal {path} cannot be written, {_READ_ONLY} ({error})")
    return WriteFailedError(_sentence(path, "written", error))


def _has_become_read_only(path: Path) -> bool:
    """Tell what SQLite does not: whether the kernel has given up writing, as it does when a disk fails."""
    # Not by opening the file: closing it again would give up the lock on it (see sqlite.org/howtocorrupt.html, 2.2).
    with contextlib.suppress(OSError):
        try:
            os.utime(path)
        except OSError as error:
            return error.errno == errno.EROFS
    return False


def damaged(path: Path, found: str, trouble: str = "") -> CorruptJournalError:
    """Return the error for content that nobody can have written, and that could not be put aside for ``trouble``."""
    return CorruptJournalError(
        f"the journal {path} is damaged ({found}){trouble}: move the file away, together with those beside it that end "
        "in -wal and -shm; the next start begins a new one",
        found=found,
    )


def damaged_again(path: Path, found: str, before: str) -> CorruptJournalError:
    """Return the error for damage that comes soon after another, of which the file ``before`` was kept."""
    return CorruptJournalError(
        f"the journal {path} is damaged ({found}), for the second time within ten minutes (the first is {before}): "
        "check the disk, or name a file on another one as journal.path",
        found=found,
    )


def _sentence(path: Path, wanted: str, error: Trouble) -> str:
    reason = _REASONS.get(_code(error))
    return f"the journal {path} cannot be {wanted}, {f'{reason} ({error})' if reason else error}"


def _code(error: Trouble) -> int:
    """Return the primary result code, which is the low byte (sqlite.org/rescode.html), 0 when Python raised it."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
