"""Exceptions that nobody expected: counted, and logged so that a user can report them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from coc2mqtt.util.exceptions import first_exception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_log = structlog.get_logger()

_PACKAGE = Path(__file__).parent
# A bug that hits every poll of thousands of clans must not fill the disk (seconds).
_REPEATED_EVERY_S = 60.0
# More kinds than that are not told apart: each costs memory for as long as the program runs.
_MOST_KINDS = 500
_ANY_OTHER = "", ""
_LONGEST_TEXT = 500
_HINT = "this is a bug: please report it with this traceback"


class InternalErrors:
    """Counts and logs the exceptions that are bugs of this program.

    The first one of each kind (its type and the place that raised it) is logged with its traceback, the later ones as
    a short line with their count, at most once a minute. ``expected`` are the exceptions that the program handles
    elsewhere: they are no bugs. ``uptime`` is a monotonic clock in seconds. ``changed`` is called after each one.
    """

    def __init__(
        self, *, expected: tuple[type[Exception], ...] = (), uptime: Callable[[], float] = time.monotonic
    ) -> None:
        self._expected = expected
        self._uptime = uptime
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._last_at: float | None = None
        self.count = 0
        self.changed: Callable[[], None] = lambda: None

    @property
    def seconds_since_last(self) -> float | None:
        """How long ago the last one was, None before the first."""
        return None if self._last_at is None else self._uptime() - self._last_at

    def contain(self, part: str, **context: object) -> _Guard:
        """Return a guard that reports and suppresses every bug; see ``Contain``."""
        return _Guard(self, part, context)

    def is_bug(self, error: BaseException | None) -> bool:
        """Return whether an exception is none that the program handles elsewhere.

        A group is a bug where no exception in it is handled elsewhere. A CancelledError is one where nobody cancelled
        the task: it would end the task in silence.
        """
        if isinstance(error, asyncio.CancelledError):
            task = _current_task()
            return task is not None and not task.cancelling()
        if isinstance(error, BaseExceptionGroup):
            return isinstance(error, Exception) and error.subgroup(self._expected) is None
        return isinstance(error, Exception) and not isinstance(error, self._expected)

    def report(self, error: BaseException, part: str, **context: object) -> None:
        """Count and log a bug."""
        self.count += 1
        self._last_at = now = self._uptime()
        cause = first_exception(error)
        key = name, place = type(cause).__qualname__, _place(cause)
        if key not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            key = _ANY_OTHER
        kind = self._kinds.get(key)
        said: dict[str, Any] = {"part": part, "error": f"{name}: {cause}"[:_LONGEST_TEXT], "place": place, **context}
        if kind is None:
            self._kinds[key] = _Kind(now)
            _log.error("internal error", **said, hint=_HINT, exc_info=error)
        elif kind.is_due(now):
            _log.error("internal error again", **said, count=kind.count)
        self.changed()

    @contextlib.contextmanager
    def of_callbacks(self) -> Iterator[None]:
        """Report the bugs in callbacks of the running event loop as well, which no task raises."""
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            # What goes wrong in a library alone, such as the embedded broker's tasks, is only logged.
            if isinstance(error, Exception) and self.is_bug(error) and _own_places(error):
                self.report(error, "callback")
            elif before is not None:
                before(loop, context)
            else:
                loop.default_exception_handler(context)

        loop.set_exception_handler(handle)
        try:
            yield
        finally:
            loop.set_exception_handler(before)


class _Kind:
    """How often the same bug was seen, and when that was logged last."""

    __slots__ = ("_logged_at", "count")

    def __init__(self, now: float) -> None:
        self.count = 1
        self._logged_at = now

    def is_due(self, now: float) -> bool:
        """Count one more, and return whether it is to be logged."""
        self.count += 1
        due = now - self._logged_at >= _REPEATED_EVERY_S
        # The second one shows at once that it happens again and again.
        if due or self.count == 2:  # noqa: PLR2004 - the second
            self._logged_at = now
            return True
        return False


class _Guard:
    """Reports and suppresses the bugs of a ``with`` block."""

    __slots__ = ("_context", "_errors", "_part")

    def __init__(self, errors: InternalErrors, part: str, context: dict[str, object]) -> None:
        self._errors = errors
        self._part = part
        self._context = context

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None or not self._errors.is_bug(error):
            return False
        self._errors.report(error, self._part, **self._context)
        task = _current_task()
        if task is not None and task.cancelling():
            # The bug came up while the task was being cancelled: to go on would keep whoever waits for its end waiting.
            raise asyncio.CancelledError from error
        return True


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return None


def _place(error: BaseException) -> str:
    """Return the innermost place of this program that an exception passed, such as ``mqtt/delivery.py:120``."""
    return (_own_places(error) or ["elsewhere"])[-1]


def _own_places(error: BaseException) -> list[str]:
    places = []
    traceback = error.__traceback__
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            places.append(f"{path.relative_to(_PACKAGE).as_posix()}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return places
