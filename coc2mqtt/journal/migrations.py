"""The schema of the journal's file, version by version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.journal.errors import CannotOpenError, NewerSchemaError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    Migration = Sequence[str]

# Tells the file from any other program's database: `file` shows it, and SQLite leaves it alone.
APPLICATION_ID = int.from_bytes(b"coc2")

# Entry n-1 leads to version n. What was released is never changed again: a new version is a new entry.
MIGRATIONS: Sequence[Migration] = (
    (
        """
        CREATE TABLE snapshot (
            kind TEXT NOT NULL,
            tag TEXT NOT NULL,
            taken_at REAL NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (kind, tag)
        )
        """,
        # AUTOINCREMENT: without it SQLite gives the number of a deleted last event to the next one.
        """
        CREATE TABLE event (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL,
            kind TEXT NOT NULL,
            timestamp REAL NOT NULL,
            record TEXT NOT NULL,
            delivered_at REAL
        )
        """,
        # Both stay as small as what they list, however many events of the other sort are kept.
        "CREATE INDEX event_pending ON event (seq) WHERE delivered_at IS NULL",
        "CREATE INDEX event_delivered ON event (delivered_at) WHERE delivered_at IS NOT NULL",
        "CREATE TABLE tally (dropped INTEGER NOT NULL)",
        "INSERT INTO tally (dropped) VALUES (0)",
        """
        CREATE TABLE watch (
            position INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            tag TEXT NOT NULL,
            body TEXT,
            UNIQUE (kind, tag)
        )
        """,
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
    # SQLite keeps no checksums: what a disk did to a row would else be believed. NULL in rows from before.
    (
        "ALTER TABLE snapshot ADD COLUMN checksum INTEGER",
        "ALTER TABLE event ADD COLUMN checksum INTEGER",
        "ALTER TABLE watch ADD COLUMN checksum INTEGER",
    ),
    # An entry says that no event up to seq has a later timestamp than latest. Those of before get theirs: this reads
    # all events once.
    (
        "CREATE TABLE time_index (seq INTEGER PRIMARY KEY, latest REAL NOT NULL)",
        """
        INSERT INTO time_index (seq, latest)
        SELECT seq, latest FROM (
            SELECT
                seq,
                row_number() OVER (ORDER BY seq) AS number,
                max(coalesce(cast(timestamp AS REAL), 0.0)) OVER (ORDER BY seq) AS latest
            FROM event
        )
        WHERE number % 1000 = 0
        """,
    ),
)


def check_schema(connection: sqlite3.Connection, path: Path, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Raise CannotOpenError when the file is another program's, NewerSchemaError when it is a later program's.

    Changes nothing in the file.
    """
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    if tables and _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise CannotOpenError(
            f"the journal {path} cannot be opened, it is another program's database: name another file as journal.path"
        )
    version = _number(connection, "PRAGMA user_version")
    if version > len(migrations):
        raise NewerSchemaError(
            f"the journal {path} cannot be opened, a newer coc2mqtt wrote it (schema {version}, "
            f"this one knows {len(migrations)}): update coc2mqtt, or name another file as journal.path"
        )


def migrate(connection: sqlite3.Connection, *, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring the file to the latest version, each step in a transaction of its own; returns how many there were.

    Raises what SQLite raises: the steps before the one that failed stand, and closing the connection undoes that one.
    """
    version = _number(connection, "PRAGMA user_version")
    for number, statements in enumerate(migrations[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in (*statements, f"PRAGMA user_version = {number}"):
            connection.execute(statement)
        connection.commit()
    return len(migrations) - version


def _number(connection: sqlite3.Connection, query: str) -> int:
    ((number,),) = connection.execute(query).fetchall()
    return int(number)
