"""Detection and quarantine of corrupt journal files. All functions block.

A corrupt file is renamed, never deleted or overwritten.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.journal.schema import APPLICATION_ID
from coc2mqtt.journal.sqlite_errors import corrupt, corrupt_again

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from coc2mqtt.journal.errors import CorruptJournalError

# SQLite's companion files. SQLite would apply them to the next file of the same name, so they are renamed first.
_COMPANIONS = ("-journal", "-wal", "-shm")
_WAL = "-wal"
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_QUARANTINE_SUFFIX = re.compile(rf"\.damaged-(\d{{8}}T\d{{6}}Z)({'|'.join(_COMPANIONS)})?")
# Two corruptions within this time are not an accident: the disk is probably failing.
_MIN_INTERVAL_S = 600.0

# The header of a SQLite file (sqlite.org/fileformat.html, section 1.3), and the properties of journal files.
_MAGIC = b"SQLite format 3\0"
_PAGE_BYTES = 4096
_APPLICATION_ID = slice(68, 72)
_SUFFIXES = {".db", ".sqlite", ".sqlite3"}

# Files up to this size (16 MB) are checked completely. That takes a fraction of a second even on an SD card.
_SMALL_FILE_PAGES = 4096
# In larger files, the newest events are compared with the index of the pending ones, because a power cut loses the last
# writes: at least this number of events, more if the oldest pending event is older, up to the maximum.
_NEWEST_EVENTS = 10_000
_MAX_NEWEST_EVENTS = 100_000

# All tables except event. SQLite before 3.33 ignores the argument and checks everything.
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'event'"
_CHECK_TABLE = "SELECT integrity_check FROM pragma_integrity_check(?) LIMIT 1"
_LAST_AND_OLDEST_PENDING = """
    SELECT max(seq), (SELECT seq FROM event INDEXED BY event_pending WHERE delivered_at IS NULL ORDER BY seq LIMIT 1)
    FROM event
"""
_COUNT_PENDING = """
    SELECT
        (SELECT count(*) FROM event NOT INDEXED WHERE seq > :after AND delivered_at IS NULL),
        (SELECT count(*) FROM event INDEXED BY event_pending WHERE seq > :after AND delivered_at IS NULL)
"""


class FileIdentity(NamedTuple):
    """The device and inode number of a file, which stay the same when it is renamed."""

    device: int
    inode: int


def identify(path: Path) -> FileIdentity | None:
    """Return the identity of a file, or of its -wal file if the file is missing. None if both are missing."""
    for name in (path, _sibling(path, _WAL)):
        with contextlib.suppress(OSError):
            found = name.stat()
            return FileIdentity(found.st_dev, found.st_ino)
    return None


def check_not_truncated(path: Path) -> None:
    """Raise CorruptJournalError if the file is missing or empty but its -wal file is not.

    SQLite would silently create a new file and delete the -wal file.
    """
    with contextlib.suppress(OSError):  # SQLite will report it
        wal_bytes = _sibling(path, _WAL).stat().st_size
        if wal_bytes and not (path.exists() and path.stat().st_size):
            raise corrupt(path, f"the file is missing or empty, but its -wal file has {wal_bytes} bytes")


def was_probably_journal(path: Path) -> bool:
    """Return whether an unreadable file appears to have been a journal, and not the file of another program."""
    try:
        with path.open("rb") as file:
            head = file.read(_PAGE_BYTES)
        if head.startswith(_MAGIC):
            return int.from_bytes(head[_APPLICATION_ID]) == APPLICATION_ID
        if path.suffix.lower() in _SUFFIXES:
            return True
        return b"\0" in head and path.stat().st_size % _PAGE_BYTES == 0
    except OSError:
        return False


def find_corruption(connection: sqlite3.Connection) -> str | None:
    """Check the structure of the file and return the first problem, None if there is none. Raises sqlite3.Error.

    A small file is checked completely. The time to check a large file does not depend on the number of delivered
    events in it: corruption of old delivered events is detected when they are read.
    """
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    # Not quick_check, which does not detect an index that has lost an entry. That would lose an event.
    if pages <= _SMALL_FILE_PAGES:
        return _problem(connection.execute("PRAGMA integrity_check(1)").fetchall())
    for (table,) in connection.execute(_TABLES).fetchall():
        if problem := _problem(connection.execute(_CHECK_TABLE, (table,)).fetchall()):
            return problem
    return _compare_newest_events(connection)


def _problem(rows: list[tuple[str]]) -> str | None:
    ((result,),) = rows
    return None if result == "ok" else " ".join(result.split())


def _compare_newest_events(connection: sqlite3.Connection) -> str | None:
    ((last, oldest_pending),) = connection.execute(_LAST_AND_OLDEST_PENDING).fetchall()
    if last is None:
        return None
    after = min(last - _NEWEST_EVENTS, last if oldest_pending is None else oldest_pending - 1)
    after = max(after, last - _MAX_NEWEST_EVENTS)
    ((stored, indexed),) = connection.execute(_COUNT_PENDING, {"after": after}).fetchall()
    return None if stored == indexed else f"{stored} events are pending, but index event_pending has {indexed}"


def quarantine(
    path: Path, identity: FileIdentity | None, corruption: CorruptJournalError, *, now: float
) -> Path | None:
    """Rename a corrupt file and its companions, and return the new path. ``now`` is Unix time in seconds.

    Returns None if the path names another file than ``identity`` now, because another program has just quarantined
    it. Raises CorruptJournalError if the file cannot be renamed or if a file was already quarantined within the last
    ten minutes.
    """
    path = path.resolve()
    # The name is unused: a file quarantined in the same second would be within the last ten minutes.
    target = _sibling(path, f".damaged-{datetime.fromtimestamp(now, UTC).strftime(_TIME_FORMAT)}")
    try:
        with _locked(path) as found:
            if found != identity:
                return None
            if recent := _find_recent(path, now):
                raise corrupt_again(path, corruption.reason, recent.name)
            for companion in (*_COMPANIONS, ""):
                with contextlib.suppress(FileNotFoundError):
                    _sibling(path, companion).rename(_sibling(target, companion))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise corrupt(path, corruption.reason, f" and cannot be renamed ({reason})") from error
    _sync_folder(path.parent)
    return target


def _find_recent(path: Path, now: float) -> Path | None:
    """Return a file that was quarantined less than ten minutes before or after ``now``, None if there is none."""
    for name in sorted(path.parent.iterdir()):
        match = (
            _QUARANTINE_SUFFIX.fullmatch(name.name.removeprefix(path.name)) if name.name.startswith(path.name) else None
        )
        if match:
            with contextlib.suppress(ValueError):
                quarantined_at = datetime.strptime(match[1], _TIME_FORMAT).replace(tzinfo=UTC).timestamp()
                if abs(now - quarantined_at) < _MIN_INTERVAL_S:
                    return name
    return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[FileIdentity | None]:
    """Lock the file against other programs that want to quarantine it, and yield the identity of the file at the path.

    Without the lock, the second of two programs that detect the same corruption would quarantine the new file that the
    first one has created.
    """
    existing = path if path.exists() else _sibling(path, _WAL)
    try:
        descriptor = os.open(existing, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        with contextlib.suppress(OSError):  # some file systems have no such locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        opened = os.fstat(descriptor)
        found = FileIdentity(opened.st_dev, opened.st_ino)
        yield found if identify(path) == found else None
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Flush the new file names to disk, so that they survive a power cut. Some file systems do not support this."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
