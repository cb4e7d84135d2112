"""The schema of the journal's SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.journal.errors import CannotOpenError, NewerSchemaError
from coc2mqtt.journal.sqlite_errors import OTHER_FILE

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

# Marks the file as a journal of coc2mqtt. SQLite stores the number in the header and does not interpret it.
APPLICATION_ID = int.from_bytes(b"coc2")
# Increase it when older versions of the program cannot read the file, also for a new kind of resource or a new option.
# Version 2 has the tables of version 1 and the kinds of reminders, games, ranked battles and the calendar.
SCHEMA_VERSION = 2
_MARK_VERSION = f"PRAGMA user_version = {SCHEMA_VERSION}"

# SQLite has no checksums of its own: the checksum columns detect rows that a disk changed.
_SCHEMA = (
    """
    CREATE TABLE snapshot (
        kind TEXT NOT NULL,
        tag TEXT NOT NULL,
        taken_at REAL NOT NULL,
        body BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (kind, tag)
    )
    """,
    # AUTOINCREMENT: without it SQLite reuses the number of the last event after that event was deleted.
    """
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        kind TEXT NOT NULL,
        timestamp REAL NOT NULL,
        record TEXT NOT NULL,
        delivered_at REAL,
        checksum INTEGER NOT NULL
    )
    """,
    # Partial indexes: the size of each depends only on the events that it lists.
    "CREATE INDEX event_pending ON event (seq) WHERE delivered_at IS NULL",
    "CREATE INDEX event_delivered ON event (delivered_at) WHERE delivered_at IS NOT NULL",
    # See delivered.TimeIndex.
    "CREATE TABLE time_index (seq INTEGER PRIMARY KEY, latest REAL NOT NULL)",
    "CREATE TABLE tally (dropped INTEGER NOT NULL)",
    "INSERT INTO tally (dropped) VALUES (0)",
    """
    CREATE TABLE watch (
        position INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        tag TEXT NOT NULL,
        body TEXT,
        checksum INTEGER NOT NULL,
        UNIQUE (kind, tag)
    )
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    _MARK_VERSION,
)


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Check that this program can use the file. Does not change the file.

    Raises CannotOpenError if the file belongs to another program, and NewerSchemaError if a newer version of this
    program wrote it.
    """
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    if tables and _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise CannotOpenError(
            f"cannot open the journal {path} because it is the database of another program: set journal.path to "
            "another file"
        )
    version = _number(connection, "PRAGMA user_version")
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"cannot open the journal {path} because a newer version of coc2mqtt wrote it (schema {version}, this "
            f"version supports {SCHEMA_VERSION}): update coc2mqtt, {OTHER_FILE}"
        )


def create_schema(connection: sqlite3.Connection) -> bool:
    """Create the tables in one transaction if the file has none, and return whether it did; mark an older file.

    Raises sqlite3.Error. Closing the connection then rolls back the transaction.
    """
    version = _number(connection, "PRAGMA user_version")
    if version == SCHEMA_VERSION:
        return False
    is_new = version == 0
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA if is_new else (_MARK_VERSION,):
        connection.execute(statement)
    connection.commit()
    return is_new


def _number(connection: sqlite3.Connection, query: str) -> int:
    ((number,),) = connection.execute(query).fetchall()
    return int(number)
