"""Injects an unexpected exception at any await of the program."""

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
# Only parts within this function are rebuilt after a bug. The supervisor itself cannot be.
_REBUILT = "Service._run_parts"
# Only asyncio itself could raise there, and it does not support that: the next task that waits for a lock would never
# be woken, and the remaining tasks of a group would keep running.
_ASYNCIO = ("Lock.acquire", "TaskGroup.__aexit__")


class Bug(RuntimeError):  # noqa: N818 - not an error that is handled
    """An exception as a bug could raise it."""


class Injection:
    """Raises a Bug at the point with the number ``at``, counted from 1; never if ``at`` is None.

    The points are

    - the steps of the program's tasks: the awaited result is replaced by a Bug. The first step of a task and its
      cancellation are points, too;
    - the statements of the journal, in its thread.

    With ``place``, only the points at that place are counted. ``places`` lists all passed points. ``raised_at`` is the
    time of the event loop.
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
        """Start counting."""
        self._armed = True

    def disarm(self) -> None:
        """Stop counting."""
        self._armed = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Intercept the steps of all tasks created later, and the statements of all databases opened later."""
        self._loop.set_task_factory(self._task)
        connect = partial(sqlite3.connect, factory=partial(_Connection, injection=self))
        monkeypatch.setattr(sqlite3, "connect", connect)

    def is_due(self, place: str | None) -> bool:
        """Return whether to raise at this point."""
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
        self._pass_point(sql)
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self._pass_point(sql)
        return super().executemany(sql, *parameters)

    def _pass_point(self, sql: str) -> None:
        # Not while the journal is being opened, because the journal is not rebuilt.
        if self._injection.places and self._injection.is_due(f"sqlite {' '.join(sql.split())}"):
            raise Bug("injected")


def _place(work: object) -> str | None:
    """Return the chain of awaiting functions, outermost first; None outside of the parts that are rebuilt."""
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
