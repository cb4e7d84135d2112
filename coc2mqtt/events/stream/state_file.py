"""The file that a stream's state survives restarts in."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import orjson


class StateFile:
    """Writes numbered images of the state to one file, from any thread, and never an older one over a newer one.

    The file holds a whole image at every moment, whatever dies meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._written = -1

    def write(self, number: int, image: dict[str, Any]) -> None:
        """Write an image, unless one with a higher number was written already; raises OSError where it cannot."""
        with self._lock:
            if number > self._written:
                write_atomically(self._path, orjson.dumps(image))
                self._written = number


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step; raises OSError, and leaves the old content, where it cannot.

    Missing folders are created.
    """
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because only there the replacement is atomic.
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(file.name).unlink()
            raise
