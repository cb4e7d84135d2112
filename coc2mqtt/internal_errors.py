"""Unexpected exceptions: counts them, and logs them so that a user can report them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from coc2mqtt.util.tasks import first_exception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_log = structlog.get_logger()

_PACKAGE = Path(__file__).parent
# A bug that hits every poll of thousands of clans must not fill the disk.
_REPEAT_INTERVAL_S = 60.0
# Each kind uses memory until the program exits. Further kinds are counted as one.
_MAX_KINDS = 500
_OTHER_KIND = "", ""
_MAX_TEXT_CHARS = 500
_HINT = "this is a bug: please report it with this traceback"


class InternalErrors:
    """Counts and logs the exceptions that are bugs of this program.

    The first exception of each kind (its type and the place that raised it) is logged with its traceback. Later ones
    are logged as a short line with their count, at most once a minute.

    ``expected`` are the exceptions that the program handles elsewhere: they are not bugs. ``uptime`` is a monotonic
    clock in seconds. ``on_report`` is called after each report.
    """

    def __init__(
        self, *, expected: tuple[type[Exception], ...] = (), uptime: Callable[[], float] = time.monotonic
    ) -> None:
        self._expected = expected
        self._uptime = uptime
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._last_at: float | None = None
        self.count = 0
        self.on_report: Callable[[], None] = lambda: None

    @property
    def seconds_since_last(self) -> float | None:
        """Seconds since the last report, None before the first."""
        return None if self._last_at is None else self._uptime() - self._last_at

    def contain(self, part: str, **context: object) -> _Guard:
        """Return a guard that reports and suppresses every bug; see ``Contain``."""
        return _Guard(self, part, context)

    def is_bug(self, error: BaseException | None) -> bool:
        """Return whether an exception is a bug rather than one that the program handles elsewhere.

        A group is a bug if the program handles none of its exceptions. A CancelledError is a bug if the task was not
        cancelled: it would end the task silently.
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
        name, place = type(cause).__qualname__, (_own_places(cause) or ["elsewhere"])[-1]
        key = name, place
        if key not in self._kinds and len(self._kinds) >= _MAX_KINDS:
            key = _OTHER_KIND
        kind = self._kinds.get(key)
        fields: dict[str, Any] = {
            "part": part,
            "error": f"{name}: {cause}"[:_MAX_TEXT_CHARS],
            "place": place,
            **context,
        }
        if kind is None:
            self._kinds[key] = _Kind(now)
            _log.error("internal error", **fields, hint=_HINT, exc_info=error)
        elif kind.count_repeat(now):
            _log.error("internal error again", **fields, count=kind.count)
        self.on_report()

    @contextlib.contextmanager
    def report_callback_errors(self) -> Iterator[None]:
        """Also report bugs in callbacks of the running event loop, which no task raises."""
        loop = asyncio.get_running_loop()
        previous = loop.get_exception_handler()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            # Exceptions that only passed through a library, such as the embedded broker's tasks, are only logged.
            if isinstance(error, Exception) and self.is_bug(error) and _own_places(error):
                self.report(error, "callback")
            elif previous is not None:
                previous(loop, context)
            else:
                loop.default_exception_handler(context)

        loop.set_exception_handler(handle)
        try:
            yield
        finally:
            loop.set_exception_handler(previous)


class _Kind:
    """The number of occurrences of one bug, and when it was last logged."""

    __slots__ = ("_logged_at", "count")

    def __init__(self, now: float) -> None:
        self.count = 1
        self._logged_at = now

    def count_repeat(self, now: float) -> bool:
        """Count an occurrence, and return whether to log it."""
        self.count += 1
        # The second occurrence is logged at once: it shows that the bug recurs.
        due = self.count == 2 or now - self._logged_at >= _REPEAT_INTERVAL_S  # noqa: PLR2004 - the second
        if due:
            self._logged_at = now
        return due


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
            # The bug occurred while the task was being cancelled. If the task continued, it would never end.
            raise asyncio.CancelledError from error
        return True


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop is running
        return None


def _own_places(error: BaseException) -> list[str]:
    """Return the places in this program that an exception passed, outermost first, as ``mqtt/bridge.py:120``."""
    places = []
    traceback = error.__traceback__
    while traceback is not None:
        path = Path(traceback.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            places.append(f"{path.relative_to(_PACKAGE).as_posix()}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return places
