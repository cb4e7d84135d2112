"""The result of comparing a response with a snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event

Json = dict[str, Any]


class CompareResult(NamedTuple):
    """The events in order, and the ``data`` and ``memo`` of the new snapshot.

    If ``final`` is false, the next response must be compared even if it has the same bytes.
    """

    events: list[Event]
    data: Json
    memo: Json
    final: bool = True


def mark_catch_up(event: Event, age: float) -> Event:
    """Return the event marked as one that happened at some time within the last ``age`` seconds, unobserved."""
    return replace(event, metadata={**event.metadata, "catch_up": True, "snapshot_age_seconds": age})
