"""A damaged file is put aside under another name, never deleted and never put over another one. All of this blocks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.journal.schema import APPLICATION_ID
from coc2mqtt.journal.sqlite_errors import damaged, damaged_again

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from coc2mqtt.journal.errors import CorruptJournalError

# What SQLite keeps beside a file. Left there it would be taken for the next file's: so it goes along, and first.
_COMPANIONS = ("-journal", "-wal", "-shm")
_WAL = "-wal"
_STAMP = "%Y%m%dT%H%M%SZ"
_ASIDE = re.compile(rf"\.damaged-(\d{{8}}T\d{{6}}Z)({'|'.join(_COMPANIONS)})?")
# A second damage within so many seconds is no accident any more: the disk is broken.
_SOON = 600.0

# The file's header (sqlite.org/fileformat.html, section 1.3), and how our files are made.
_MAGIC = b"SQLite format 3\0"
_PAGE = 4096
_APPLICATION_ID = slice(68, 72)
_SUFFIXES = {".db", ".sqlite", ".sqlite3"}

# A file of at most this many pages (16 MB) is checked as a whole: that takes a fraction of a second even on an SD card.
_SMALL_PAGES = 4096
# In a larger file the newest events are compared with the index of the pending ones: as many as these, and back to the
# oldest pending one, but not more than those. What a disk loses in a power cut are the last writes.
_NEWEST = 10_000
_NEWEST_AT_MOST = 100_000

# Table by table, event apart. SQLite before 3.33 ignores the argument and checks everything.
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'event'"
_CHECK_TABLE = "SELECT integrity_check FROM pragma_integrity_check(?) LIMIT 1"
_NEWEST_EVENTS = """
    SELECT max(seq), (SELECT seq FROM event INDEXED BY event_pending WHERE delivered_at IS NULL ORDER BY seq LIMIT 1)
    FROM event
"""
_PENDING = """
    SELECT
        (SELECT count(*) FROM event NOT INDEXED WHERE seq > :after AND delivered_at IS NULL),
        (SELECT count(*) FROM event INDEXED BY event_pending WHERE seq > :after AND delivered_at IS NULL)
"""


class FileIdentity(NamedTuple):
    """Which file a name stands for, as the file system tells them apart."""

    device: int
    inode: int


def identify(path: Path) -> FileIdentity | None:
    """Return which file this is, or what SQLite left of it where it is gone; None where there is nothing."""
    for name in (path, _beside(path, _WAL)):
        with contextlib.suppress(OSError):
            found = name.stat()
            return FileIdentity(found.st_dev, found.st_ino)
    return None


def check_whole(path: Path) -> None:
    """Raise DamagedError where SQLite would begin a new file and delete what is left of the old one without a word."""
    with contextlib.suppress(OSError):  # which SQLite will meet as well
        left = _beside(path, _WAL).stat().st_size
        if left and not (path.exists() and path.stat().st_size):
            raise damaged(path, f"it is empty, but the {left} bytes beside it in -wal are not")


def may_have_been_ours(path: Path) -> bool:
    """Tell whether a file that cannot be read was, as far as one can see, a journal and no other program's."""
    try:
        with path.open("rb") as file:
            head = file.read(_PAGE)
        if head.startswith(_MAGIC):
            return int.from_bytes(head[_APPLICATION_ID]) == APPLICATION_ID
        if path.suffix.lower() in _SUFFIXES:
            return True
        return b"\0" in head and path.stat().st_size % _PAGE == 0
    except OSError:
        return False


def find_damage(connection: sqlite3.Connection) -> str | None:
    """Return what is wrong with the file's structure, None if nothing was found; raises what SQLite raises.

    Every page of a small file is checked. In a large one, damage to events that were delivered long ago is found when
    they are read.
    """
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    # Not only the quick check: an index that has lost an entry would lose an event.
    if pages <= _SMALL_PAGES:
        return _trouble(connection.execute("PRAGMA integrity_check(1)").fetchall())
    for (table,) in connection.execute(_TABLES).fetchall():
        if found := _trouble(connection.execute(_CHECK_TABLE, (table,)).fetchall()):
            return found
    return _compare_newest(connection)


def _trouble(rows: list[tuple[str]]) -> str | None:
    ((found,),) = rows
    return None if found == "ok" else " ".join(found.split())


def _compare_newest(connection: sqlite3.Connection) -> str | None:
    ((last, oldest_pending),) = connection.execute(_NEWEST_EVENTS).fetchall()
    if last is None:
        return None
    after = min(last - _NEWEST, last if oldest_pending is None else oldest_pending - 1)
    after = max(after, last - _NEWEST_AT_MOST)
    ((stored, indexed),) = connection.execute(_PENDING, {"after": after}).fetchall()
    return None if stored == indexed else f"{stored} events are pending, but {indexed} are in index event_pending"


def put_aside(path: Path, identity: FileIdentity | None, damage: CorruptJournalError, *, now: float) -> Path | None:
    """Rename a file and what SQLite keeps beside it; returns its new name, None if somebody else did that just before.

    ``now`` is Unix time in seconds. Raises DamagedError when it cannot be done, or was done a moment ago already.
    """
    path = path.resolve()
    # Free, because what was put aside in the same second was so within the last ten minutes.
    aside = _beside(path, f".damaged-{datetime.fromtimestamp(now, UTC).strftime(_STAMP)}")
    try:
        with _alone_with(path) as found:
            if found != identity:
                return None
            if before := _put_aside_soon_before(path, now):
                raise damaged_again(path, damage.found, before.name)
            for companion in (*_COMPANIONS, ""):
                with contextlib.suppress(FileNotFoundError):
                    _beside(path, companion).rename(_beside(aside, companion))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise damaged(path, damage.found, f" and cannot be put aside ({reason})") from error
    _sync(path.parent)
    return aside


def _put_aside_soon_before(path: Path, now: float) -> Path | None:
    for name in sorted(path.parent.iterdir()):
        match = _ASIDE.fullmatch(name.name.removeprefix(path.name)) if name.name.startswith(path.name) else None
        if match:
            with contextlib.suppress(ValueError):
                stamp = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC).timestamp()
                if abs(now - stamp) < _SOON:
                    return name
    return None


@contextlib.contextmanager
def _alone_with(path: Path) -> Iterator[FileIdentity | None]:
    """Hold off whoever else wants to put the same file aside, and give which file it is now.

    Of two programs that found the same damage, the second would else take away what the first has begun anew.
    """
    held = path if path.exists() else _beside(path, _WAL)
    try:
        descriptor = os.open(held, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        with contextlib.suppress(OSError):  # where the file system has no such locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        opened = os.fstat(descriptor)
        found = FileIdentity(opened.st_dev, opened.st_ino)
        yield found if identify(path) == found else None
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Have the new names survive a power cut, where the file system knows how to."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
