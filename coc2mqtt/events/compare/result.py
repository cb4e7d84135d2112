"""What comes of comparing a response with a snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event

Json = dict[str, Any]


class CompareResult(NamedTuple):
    """What a new answer means: the events, what is believed from now on, and what is remembered beside it.

    ``settled`` is false where the next answer has to be looked into even if it is the same.
    """

    events: list[Event]
    data: Json
    memo: Json
    settled: bool = True


def mark_catch_up(event: Event, age: float) -> Event:
    """Mark an event as one that happened within the ``age`` seconds in which nobody looked."""
    return replace(event, metadata={**event.metadata, "catch_up": True, "snapshot_age_seconds": age})
