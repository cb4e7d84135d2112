"""What disks, copies and people do to files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def overwrite(path: Path, first: int, last: int, *, by: bytes = b"\xff") -> None:
    """Put nonsense in place of some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(first)
        file.write(by * (last - first))


def truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def change(path: Path, *statements: str) -> None:
    """Change what is in a journal that is not open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lose_index_entries(path: Path) -> None:
    """Delete events behind the back of their index, as a write that never reached the disk would."""
    ((definition, page),) = ask(path, "SELECT sql, rootpage FROM sqlite_master WHERE name = 'event_pending'")
    change(path, "PRAGMA writable_schema = ON", "DELETE FROM sqlite_master WHERE name = 'event_pending'")
    change(path, "UPDATE event SET delivered_at = NULL WHERE seq = 2", "DELETE FROM event WHERE seq = 1")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        row = "index", "event_pending", "event", page, definition
        connection.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, ?, ?)", row
        )
