"""The standard streams of a program that runs for months: no trouble with them may end it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from _typeshed import ReadableBuffer

_STDOUT, _STDERR = 1, 2
# How long a write waits for a slow reader before it drops the text: long enough for a reader that only has to be
# scheduled, short enough for the event loop, which waits too.
_SLOW_READER_S = 0.1
_FAILED = 1


def prepare_streams() -> None:
    """Make the standard streams safe; call it before anything else opens a file or a socket.

    Closed descriptors are opened on ``/dev/null``, so that no database or socket takes their numbers. Characters that
    the terminal's encoding lacks are replaced. Text for standard error is dropped where it cannot be written.
    """
    opened = _open_closed_descriptors()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    else:
        sys.stdout = _open_null()
    if sys.stderr is None and _STDERR not in opened:
        sys.stderr = _open_null()  # a library has opened a file of its own under that number
    else:
        sys.stderr = _dropping_text(sys.stderr)


def say(text: str, *, end: str = "\n") -> bool:
    """Print text for the user and return whether there still is a reader: False once a pipe is closed.

    Raises typer.Exit where the text cannot be written for another reason, such as a full disk.
    """
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except OSError as error:
        # What is still buffered would fail again at exit.
        with _open_null() as null, contextlib.suppress(OSError):
            os.dup2(null.fileno(), _STDOUT)
        if error.errno == errno.EPIPE:
            return False
        reason = (error.strerror or type(error).__name__).lower()
        complain(f"the output cannot be written ({reason}): redirect it elsewhere")
        raise typer.Exit(_FAILED) from None
    return True


def complain(text: str) -> None:
    """Print an error message for the user."""
    sys.stderr.write(f"coc2mqtt: {text}\n")
    sys.stderr.flush()


class DroppingOutput(io.RawIOBase):
    """Write bytes to a descriptor, or drop them: never raise, and never wait for long.

    Bytes are dropped when the disk is full, or when the reader of a pipe is gone or does not read. ``dropped`` is the
    number of writes that were dropped since the last one that succeeded.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._cut = False
        self.dropped = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write or drop the data; return its size in both cases."""
        text = bytes(data)
        # What comes after a line that was cut off begins on a line of its own.
        whole = b"\n" + text if self._cut else text
        rest = whole
        with contextlib.suppress(OSError):
            while rest and self._is_writable():
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
        self._cut = bool(rest) and (self._cut or len(rest) < len(whole))
        self.dropped = self.dropped + 1 if rest else 0
        return len(text)

    def _is_writable(self) -> bool:
        """Return whether a write of PIPE_BUF bytes would not block; only the first of several failures waits."""
        return bool(select.select([], [self._descriptor], [], 0 if self.dropped else _SLOW_READER_S)[1])


def add_dropped_lines(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add to a log event how many lines before it were dropped, where there are any (a structlog processor)."""
    output = getattr(sys.stderr, "buffer", None)
    if isinstance(output, DroppingOutput) and output.dropped:
        event["dropped_lines"] = output.dropped
    return event


def _open_closed_descriptors() -> set[int]:
    opened = set[int]()
    for descriptor in (0, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The system takes the lowest free number, which is this one.
            opened.add(os.open(os.devnull, os.O_RDWR))
    return opened


def _open_null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - it stays open until the program ends


def _dropping_text(before: TextIO | None) -> TextIO:
    encoding = "utf-8" if before is None else before.encoding
    output: Any = DroppingOutput(_STDERR)  # a raw file, as with Python's option -u, although the types want a buffer
    return io.TextIOWrapper(output, encoding=encoding, errors="backslashreplace", write_through=True)
