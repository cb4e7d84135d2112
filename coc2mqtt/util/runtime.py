"""The Python runtime of the commands: their event loop and the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

LOOP_VARIABLE = "COC2MQTT_LOOP"
_LOOPS = ("auto", "asyncio", "uvloop")

# Measured with 10,000 clans: with the default thresholds, a full garbage collection runs every few seconds and takes
# 150 ms. A decoded response has a thousand objects, which reference counting frees. So the young generations are
# collected less often, and all objects that are not frozen now and then, because failed requests leave some reference
# cycles.
_GC_THRESHOLDS = 3000, 5, 20


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


def freeze() -> None:
    """Exclude all existing objects from garbage collection: the program keeps them until it exits."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
