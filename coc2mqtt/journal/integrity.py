"""Whether SQLite can rely on the file, found out in a time that does not grow with the delivered events in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

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
