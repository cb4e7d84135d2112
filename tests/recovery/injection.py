"""An exception that the program knows nothing of, raised at any of its awaits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import coc2mqtt

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

T = TypeVar("T")

_PACKAGE = str(Path(coc2mqtt.__file__).parent)
# What supervises cannot be supervised; nor is it a part of the bridge that a bug takes down.
_REBUILT = "Service._run_parts"
# Only asyncio itself could raise there, and it is not made for that: the next one that waits for a lock would never be
# woken, and what is left of a group would go on by itself.
_ASYNCIO = ("Lock.acquire", "TaskGroup.__aexit__")


class Bug(RuntimeError):  # noqa: N818 - it is no error that anybody handles
    """What a bug could raise."""


class Injection:
    """Raises a Bug at its point ``at``, counted from 1 on; never, if ``at`` is None.

    The points are

    - the steps of the program's tasks: what a task has waited for has happened, and raises a Bug in place of its
      result; so does the first step of a task, and its cancellation;
    - the journal's statements, in its thread.

    With ``place`` only those points count that are there. ``places`` is every point that was passed, ``raised_at`` the
    event loop's time.
    """

    def __init__(self, at: int | None = None, *, place: str | None = None) -> None:
        self._at = at
        self._place = place
        self._count = 0
        self._armed = False
        self._loop = asyncio.get_running_loop()
        self.places: list[str] = []
        self.raised_at: float | None = None

    def arm(self) -> None:
        """Count from now on."""
        self._armed = True

    def disarm(self) -> None:
        """Count no more."""
        self._armed = False

    def walk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count the steps of every task that is created from now on, and every statement of a database opened then."""
        self._loop.set_task_factory(self._task)
        connect = partial(sqlite3.connect, factory=partial(_Connection, injection=self))
        monkeypatch.setattr(sqlite3, "connect", connect)

    def is_due(self, place: str | None) -> bool:
        """Tell whether this is the point."""
        if not self._armed or self.raised_at is not None or place is None:
            return False
        self.places.append(place)
        if self._place in (None, place):
            self._count += 1
            if self._count == self._at:
                self.raised_at = self._loop.time()
                return True
        return False

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Steps(work, self), loop=loop, **options)


class _Steps(Coroutine[Any, Any, T]):
    """A coroutine whose steps are points."""

    def __init__(self, work: Coroutine[Any, Any, T], injection: Injection) -> None:
        self._work = work
        self._injection = injection

    def send(self, value: Any) -> Any:
        if self._injection.is_due(_place(self._work)):
            return self._work.throw(Bug("injected"))
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        if self._injection.is_due(_place(self._work)):
            return self._work.throw(Bug("injected"))
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()


class _Connection(sqlite3.Connection):
    """A connection whose statements are points."""

    def __init__(self, *arguments: Any, injection: Injection, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._injection = injection

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self._pass(sql)
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self._pass(sql)
        return super().executemany(sql, *parameters)

    def _pass(self, sql: str) -> None:
        # Not while the journal is being opened: it is nothing that can be rebuilt.
        if self._injection.places and self._injection.is_due(f"sqlite {' '.join(sql.split())}"):
            raise Bug("injected")


def _place(work: object) -> str | None:
    """Return the functions that wait for one another, the outermost first; None outside of what is rebuilt."""
    names: list[str] = []
    awaited = work
    while (code := getattr(awaited, "cr_code", None) or getattr(awaited, "ag_code", None)) is not None:
        if not names and not code.co_filename.startswith(_PACKAGE):
            return None
        names.append(code.co_qualname)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    if not names or names[-1] in _ASYNCIO or (names[0] == "Service.run" and _REBUILT not in names):
        return None
    return " > ".join(names)
