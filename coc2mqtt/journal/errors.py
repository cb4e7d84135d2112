"""The one tree of errors that a journal can raise."""

from __future__ import annotations


class JournalError(Exception):
    """The journal cannot do what it was asked to; the text says why, and what to do about it."""


class CannotOpenError(JournalError):
    """The journal is not where it should be, may not be used, or is something else."""


class InUseError(CannotOpenError):
    """Another program uses the journal."""


class NewerSchemaError(CannotOpenError):
    """A newer version of the program wrote the journal: update this one."""


class CorruptJournalError(JournalError):
    """The journal holds what nobody wrote: a disk or a copy went wrong. ``found`` says what tells so."""

    def __init__(self, message: str, *, found: str) -> None:
        super().__init__(message)
        self.found = found


class ReadFailedError(JournalError):
    """Nothing could be read; the same may succeed when what the text names is mended."""


class WriteFailedError(JournalError):
    """Nothing was stored; the same may succeed when what the text names is mended."""
