"""Creates, reads, changes and corrupts journal files, as disks, copies and people do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.journal.codec import decode_event_row, encode_event_row

if TYPE_CHECKING:
    from pathlib import Path

PAGE_BYTES = 4096
NOW = 1_795_529_000.0  # 2026-11-24 14:03:20 UTC
QUARANTINED = "coc2mqtt.db.damaged-20261124T140320Z"
CLAN = Resource(Kind.CLAN, "#2PP")
SNAPSHOT = Snapshot({"name": "The Order", "members": list(range(5000))}, {"trouble": None}, 7.0)
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW, metadata={"note": "x" * 100})
WATCH, PLAYER = Watch(Kind.CLAN, "#2PP", 60.0), Watch(Kind.PLAYER, "#PYL", 90.0, include_fields=frozenset({"name"}))
CORRUPT_LOG = "journal is corrupt: moved the file and started a new one"


def journal_at(path: Path, now: float = NOW) -> SqliteJournal:
    return SqliteJournal(path, clock=lambda: now)


async def create_journal(path: Path) -> None:
    """Create a journal with a snapshot, 99 pending events and one delivered event, a watch and a removed watch."""
    async with journal_at(path) as journal:
        await journal.commit(CLAN, SNAPSHOT, [EVENT] * 100)
        await journal.acknowledge([2])
        await journal.save_watch(WATCH)
        await journal.mark_watch_removed(Kind.PLAYER, "#PYL")


def read_bytes(path: Path) -> bytes:
    return path.read_bytes()


def write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def sibling(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def execute(path: Path, *statements: str) -> None:
    """Execute statements on a journal that is not open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Return the rows of a query on a journal that is not open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def age_events(path: Path, seconds: float) -> None:
    """Make all events of a journal that is not open older."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = connection.execute("SELECT seq, id, kind, record, checksum FROM event").fetchall()
        for entry in (decode_event_row(*row) for row in rows):
            record = replace(entry.record, timestamp=entry.record.timestamp - seconds)
            seq, _, _, *columns = encode_event_row(replace(entry, record=record))
            connection.execute(
                "UPDATE event SET timestamp = ?, record = ?, checksum = ? WHERE seq = ?", (*columns, seq)
            )
        connection.execute("UPDATE time_index SET latest = latest - ?", (seconds,))


def overwrite(path: Path, first: int, last: int, *, by: bytes = b"\xff") -> None:
    """Overwrite the bytes from ``first`` to ``last`` (exclusive) of a file."""
    with path.open("r+b") as file:
        file.seek(first)
        file.write(by * (last - first))


def overwrite_header(path: Path) -> None:
    overwrite(path, 0, 100)


def truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def execute_without_index(path: Path, *statements: str) -> None:
    """Change events without updating the index of the pending ones, as if a write had not reached the disk."""
    ((definition, page),) = query(path, "SELECT sql, rootpage FROM sqlite_master WHERE name = 'event_pending'")
    execute(path, "PRAGMA writable_schema = ON", "DELETE FROM sqlite_master WHERE name = 'event_pending'")
    execute(path, *statements)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        row = "index", "event_pending", "event", page, definition
        connection.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, ?, ?)", row
        )


def remove_index_entries(path: Path) -> None:
    execute_without_index(path, "UPDATE event SET delivered_at = NULL WHERE seq = 2", "DELETE FROM event WHERE seq = 1")
