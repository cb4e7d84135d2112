"""Rebuilds the bridge after a bug, and gives up where that does not help."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.util.containment import WINDOW_S, FailureWindow, retry_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.internal_errors import InternalErrors

_log = structlog.get_logger()

_MOST_FAILURES = 10


class TooManyFailuresError(Exception):
    """The bridge failed again and again; a supervisor such as systemd or Docker should decide what to do."""


async def supervise(
    work: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    errors: InternalErrors,
    *,
    unhandled: tuple[type[Exception], ...] = (),
) -> None:
    """Run ``work`` until it returns; after a bug, run it again.

    The delay before that is 1 s and doubles with each failure within ten minutes, up to 60 s; ``stop`` ends it at
    once. Raises TooManyFailuresError at the tenth failure within ten minutes, and whatever ``work`` raises that is no
    bug. ``unhandled`` are exceptions that parts of ``work`` raise and handle: one that leaves it is a bug.
    """
    failures = FailureWindow()
    while True:
        try:
            await work()
        except (Exception, asyncio.CancelledError) as error:
            if not errors.is_bug(error) and not isinstance(error, unhandled):
                raise
            errors.report(error, "bridge")
        else:
            return
        if stop.is_set():
            return
        count = failures.add(asyncio.get_running_loop().time())
        if count >= _MOST_FAILURES:
            raise TooManyFailuresError(
                f"the bridge failed {count} times within {WINDOW_S / 60:.0f} minutes because of internal errors: see"
                " the tracebacks in the log, report them, and start it again"
            )
        delay = retry_delay(count)
        _log.warning("bridge failed, rebuilding it", delay_seconds=delay, failures=count)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await stop.wait()
                return
