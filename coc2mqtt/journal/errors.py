"""Errors of the journal."""

from __future__ import annotations


class JournalError(Exception):
    """A journal operation failed. The message gives the cause and the remedy."""


class CannotOpenError(JournalError):
    """The journal file is missing, not accessible, or not a journal."""


class InUseError(CannotOpenError):
    """Another program uses the journal."""


class NewerSchemaError(CannotOpenError):
    """A newer version of the program wrote the journal: update this one."""


class CorruptJournalError(JournalError):
    """The journal contains data that the program did not write, because of a disk error or a bad copy.

    ``reason`` is what was detected, without the path and the remedy.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ReadFailedError(JournalError):
    """A read failed. It may succeed once the cause in the message is removed."""


class WriteFailedError(JournalError):
    """A write failed and nothing was stored. It may succeed once the cause in the message is removed."""
