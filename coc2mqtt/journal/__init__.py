"""Stores snapshots, undelivered events and watches, each change in one transaction."""

from coc2mqtt.journal.errors import (
    CannotOpenError,
    CorruptJournalError,
    InUseError,
    JournalError,
    NewerSchemaError,
    ReadFailedError,
    WriteFailedError,
)
from coc2mqtt.journal.protocol import Journal, JournalCounts, JournalEntry, Selection, StoredWatch
from coc2mqtt.journal.sqlite import SqliteJournal

__all__ = [
    "CannotOpenError",
    "CorruptJournalError",
    "InUseError",
    "Journal",
    "JournalCounts",
    "JournalEntry",
    "JournalError",
    "NewerSchemaError",
    "ReadFailedError",
    "Selection",
    "SqliteJournal",
    "StoredWatch",
    "WriteFailedError",
]
