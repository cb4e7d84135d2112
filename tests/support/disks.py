"""Small disks that become full, read-only or defective. They are mounted, which needs root; tests skip without it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BALLAST = "ballast"


class Disk:
    """A mounted disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, *, free_bytes: int = 0) -> None:
        """Fill the disk until about ``free_bytes`` are free."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        ballast.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
            os.ftruncate(ballast.fileno(), max(0, ballast.tell() - free_bytes))

    def free(self) -> None:
        """Delete what ``fill`` wrote."""
        (self.folder / _BALLAST).unlink()

    def set_read_only(self) -> None:
        """Remount the disk read-only. No file may be open for writing."""
        _run("mount", "-o", "remount,ro", str(self.folder))

    def set_writable(self) -> None:
        _run("mount", "-o", "remount,rw", str(self.folder))

    def fail(self) -> None:
        """Make the kernel stop writing, as it does after a disk error, even if files are open (ext4 only)."""
        _run("mount", "-o", "remount,abort", str(self.folder))


@contextmanager
def tmpfs(folder: Path, *, size: str) -> Iterator[Disk]:
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        yield Disk(folder)


@contextmanager
def ext4(image: Path, folder: Path) -> Iterator[Disk]:
    """Mount a disk of 16 MB from ``image``, which is created if it does not exist.

    An earlier mount of the image may still exist in the mount namespace of another process, such as a test that runs
    at the same time. A second mount of the same file would share its state, read-only after an error. So an existing
    image is replaced by a copy before it is mounted.
    """
    if image.exists():
        copy = image.with_suffix(".copy")
        shutil.copy(image, copy)
        copy.replace(image)
    else:
        with image.open("wb") as file:
            file.truncate(16 * 1024 * 1024)
        _run("mkfs.ext4", "-q", "-F", str(image))
    with _mounted(folder, "-o", "loop", str(image)):
        yield Disk(folder)


@contextmanager
def _mounted(folder: Path, *arguments: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    _run("mount", *arguments, str(folder))
    try:
        yield
    finally:
        _run("umount", "-l", str(folder))


def _run(program: str, *arguments: str) -> None:
    try:
        subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"{program} is not installed")
    except subprocess.CalledProcessError as error:
        if program == "umount":
            raise
        pytest.skip(f"tests cannot mount a disk on this machine: {error.stderr.splitlines()[0]}")
