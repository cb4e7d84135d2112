"""Crash points: the steps at which a program can die, counted, and a crash at one of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path
    from types import CodeType

T = TypeVar("T")

# The exit status of a crash; nothing else uses it.
CRASH_STATUS = 99


class CrashPoint:
    """Ends the process at the crash point ``at``, counted from 1 after ``arm``; never if ``at`` is None.

    With ``place`` only the points with this text in their description count: the exact number of a step varies, because
    threads and tasks are scheduled a little differently in each run.

    As with SIGKILL, nothing in memory survives, and nothing is flushed, closed or published. The crash points are

    - before each step of each task: everything that it awaited has happened, but the task has not seen it yet. A step
      ends where the next one starts, or where only the database thread and the broker are active;
    - in the database thread before each statement and each COMMIT: it was requested but not executed.

    A crash within a statement or a COMMIT is left to SQLite: the last frame of a transaction in the WAL is either
    complete or absent (https://sqlite.org/wal.html), so it is equivalent to one of these two. ``record_file`` receives
    the description of the crash point.
    """

    def __init__(self, at: int | None, record_file: Path, *, place: str = "") -> None:
        self._at = at
        self._place = place
        self._record_file = record_file
        self._points = itertools.count(1)
        self._armed = False

    def arm(self) -> None:
        """Count crash points from now on."""
        self._armed = True

    def reach(self, describe: Callable[[], str]) -> None:
        """Crash here if this is the chosen point."""
        # Both threads call this; next() is atomic.
        if self._armed and self._place in (describe() if self._place else "") and next(self._points) == self._at:
            self._record_file.write_text(describe())
            os._exit(CRASH_STATUS)

    def instrument(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count the steps of all tasks created from now on, and all statements of databases opened from now on."""
        loop.set_task_factory(self._task)
        sqlite3.connect = partial(sqlite3.connect, factory=partial(_Connection, crash_point=self))  # type: ignore[assignment]

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Steps(work, self), loop=loop, **options)


class _Steps(Coroutine[Any, Any, T]):
    """A coroutine whose steps are crash points."""

    def __init__(self, work: Coroutine[Any, Any, T], crash_point: CrashPoint) -> None:
        self._work = work
        self._death = crash_point

    def send(self, value: Any) -> Any:
        self._death.reach(self._describe)
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        self._death.reach(self._describe)
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()

    def _describe(self) -> str:
        """Return the chain of awaiting functions, the outermost first."""
        names: list[str] = []
        awaited: object = self._work
        while (code := _code(awaited)) is not None:
            names.append(code.co_qualname)
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
        return " > ".join(names)


class _Connection(sqlite3.Connection):
    """A connection whose statements are crash points."""

    def __init__(self, *arguments: Any, crash_point: CrashPoint, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._death = crash_point

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self._death.reach(lambda: f"sqlite {sql}")
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self._death.reach(lambda: f"sqlite {sql}")
        return super().executemany(sql, *parameters)

    def commit(self) -> None:
        self._death.reach(lambda: "sqlite COMMIT")
        super().commit()


def _code(awaited: object) -> CodeType | None:
    return getattr(awaited, "cr_code", None) or getattr(awaited, "ag_code", None)
