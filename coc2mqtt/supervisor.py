"""Restarts the bridge after a bug, and gives up if that does not help."""

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

_MAX_FAILURES = 10


class TooManyFailuresError(Exception):
    """The bridge failed ten times within ten minutes. systemd or Docker should decide whether to start it again."""


async def supervise(
    work: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    errors: InternalErrors,
    *,
    unhandled: tuple[type[Exception], ...] = (),
) -> None:
    """Run ``work`` until it returns; run it again after a bug.

    The delay before that is 1 s. It doubles with each failure within ten minutes, up to 60 s. Setting ``stop`` ends the
    delay at once.

    ``unhandled`` are exceptions that the parts of ``work`` are expected to handle: if one propagates out of ``work``,
    that is a bug. Any other exception that is not a bug is raised. Raises TooManyFailuresError at the tenth failure
    within ten minutes.
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
        if count >= _MAX_FAILURES:
            raise TooManyFailuresError(
                f"the bridge failed {count} times within {WINDOW_S / 60:.0f} minutes because of internal errors:"
                " report the tracebacks in the log, and start the bridge again"
            )
        delay = retry_delay(count)
        _log.warning("bridge failed, rebuilding it", delay_seconds=delay, failures=count)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await stop.wait()
                return
