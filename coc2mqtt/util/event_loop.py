"""The event loop of the commands: uvloop if it is installed, else asyncio's own."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

LOOP_VARIABLE = "COC2MQTT_LOOP"
_LOOPS = ("auto", "asyncio", "uvloop")


class EventLoopError(Exception):
    """The event loop in COC2MQTT_LOOP cannot be used; the message contains the reason and the remedy."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of the event loop that COC2MQTT_LOOP selects; None means asyncio's default.

    ``asyncio`` and ``uvloop`` select that loop. ``auto``, an empty and a missing variable select uvloop if it is
    installed. Raises EventLoopError for any other value, and for ``uvloop`` if it is not installed.
    """
    name = os.environ.get(LOOP_VARIABLE) or "auto"
    if name not in _LOOPS:
        raise EventLoopError(f"{LOOP_VARIABLE}: must be {', '.join(_LOOPS[:-1])} or {_LOOPS[-1]}, got {name!r}")
    if name == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        if name == "uvloop":
            raise EventLoopError(
                f"{LOOP_VARIABLE}: uvloop is not installed: run 'pip install uvloop', or remove the variable"
            ) from None
        return None
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the selected event loop and return its result; raises EventLoopError."""
    try:
        factory = loop_factory()
    except EventLoopError:
        main.close()
        raise
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
