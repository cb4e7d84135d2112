"""Standard streams that cannot stop a long-running program."""

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
# scheduled, short enough not to block the event loop noticeably.
_SLOW_READER_S = 0.1
_EXIT_FAILED = 1


def prepare_streams() -> None:
    """Make the standard streams safe. Call this before anything opens a file or a socket.

    Closed descriptors are opened on ``/dev/null``, so that no database or socket gets their numbers. Characters that
    the terminal's encoding lacks are replaced. Text for standard error is dropped if it cannot be written.
    """
    opened = _open_closed_descriptors()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    else:
        sys.stdout = _open_null()
    if sys.stderr is None and _STDERR not in opened:
        sys.stderr = _open_null()  # a library has already opened a file with this number
    else:
        sys.stderr = _dropping_text(sys.stderr)


def echo(text: str, *, end: str = "\n") -> bool:
    """Print text for the user and return whether it was read: False if the pipe is closed.

    Raises typer.Exit if the text cannot be written for another reason, such as a full disk.
    """
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except OSError as error:
        # The buffered text would fail again at exit.
        with _open_null() as null, contextlib.suppress(OSError):
            os.dup2(null.fileno(), _STDOUT)
        if error.errno == errno.EPIPE:
            return False
        reason = (error.strerror or type(error).__name__).lower()
        print_error(f"the output cannot be written ({reason}): redirect it elsewhere")
        raise typer.Exit(_EXIT_FAILED) from None
    return True


def print_error(text: str) -> None:
    """Print an error message for the user."""
    sys.stderr.write(f"coc2mqtt: {text}\n")
    sys.stderr.flush()


class DroppingOutput(io.RawIOBase):
    """Writes bytes to a descriptor or drops them; never raises and never blocks for long.

    Bytes are dropped if the disk is full, or if the reader of a pipe is gone or does not read. ``dropped`` counts the
    writes that were dropped since the last successful one.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._truncated = False
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
        # Text after a truncated line starts on a new line.
        whole = b"\n" + text if self._truncated else text
        rest = whole
        with contextlib.suppress(OSError):
            while rest and self._is_writable():
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
        self._truncated = bool(rest) and (self._truncated or len(rest) < len(whole))
        self.dropped = self.dropped + 1 if rest else 0
        return len(text)

    def _is_writable(self) -> bool:
        """Return whether a write of PIPE_BUF bytes would not block; only the first of several failures waits."""
        return bool(select.select([], [self._descriptor], [], 0 if self.dropped else _SLOW_READER_S)[1])


def add_dropped_lines(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the number of dropped lines before it to a log event, if there are any (a structlog processor)."""
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
            # The system assigns the lowest free number, which is this one.
            opened.add(os.open(os.devnull, os.O_RDWR))
    return opened


def _open_null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - it stays open until the program exits


def _dropping_text(before: TextIO | None) -> TextIO:
    encoding = "utf-8" if before is None else before.encoding
    output: Any = DroppingOutput(_STDERR)  # a raw file, as with Python's option -u, although the types want a buffer
    return io.TextIOWrapper(output, encoding=encoding, errors="backslashreplace", write_through=True)
