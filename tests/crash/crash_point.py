"""Points at which a program can die, counted, and a death at one of them."""

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

# Nothing else ends a program so.
CRASH_STATUS = 99


class CrashPoint:
    """Ends the process at its point ``at``, counted from 1 on after ``draw_near``; never, if ``at`` is None.

    With ``place`` only those points count that are there: a single step is else easily missed, because threads and
    tasks take turns a little differently in each run.

    Nothing that is in memory survives, nothing is flushed, closed or said, as with SIGKILL. The points are

    - before each step of each task: then all that it has waited for has happened, and nobody knows of it. A step ends
      where the next one begins, or where nothing but the outside world goes on: the database's thread and the broker;
    - in the database's thread before each statement and each COMMIT: then it was asked for and is not done.

    What lies between, a death within a statement or a COMMIT, is SQLite's own to survive: of a transaction in its WAL
    either the last frame is whole or there never was any (https://sqlite.org/wal.html), so it is one of these two.
    ``where`` takes a note of what the program was about.
    """

    def __init__(self, at: int | None, where: Path, *, place: str = "") -> None:
        self._at = at
        self._place = place
        self._where = where
        self._points = itertools.count(1)
        self._near = False

    def arm(self) -> None:
        """Count from now on."""
        self._near = True

    def reach(self, doing: Callable[[], str]) -> None:
        """Die here, if this is the point."""
        # Both threads come by here; next() is done in one go.
        if self._near and self._place in (doing() if self._place else "") and next(self._points) == self._at:
            self._where.write_text(doing())
            os._exit(CRASH_STATUS)

    def instrument(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count the steps of every task that is created from now on, and every statement of a database opened then."""
        loop.set_task_factory(self._task)
        sqlite3.connect = partial(sqlite3.connect, factory=partial(_Connection, crash_point=self))  # type: ignore[assignment]

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Steps(work, self), loop=loop, **options)


class _Steps(Coroutine[Any, Any, T]):
    """A coroutine whose steps are points."""

    def __init__(self, work: Coroutine[Any, Any, T], crash_point: CrashPoint) -> None:
        self._work = work
        self._death = crash_point

    def send(self, value: Any) -> Any:
        self._death.reach(self._doing)
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        self._death.reach(self._doing)
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()

    def _doing(self) -> str:
        """Return the functions that wait for one another, the outermost first."""
        names: list[str] = []
        awaited: object = self._work
        while (code := _code(awaited)) is not None:
            names.append(code.co_qualname)
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
        return " > ".join(names)


class _Connection(sqlite3.Connection):
    """A connection whose statements are points."""

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
