from __future__ import annotations

from typing import Any

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.summary import summarize
from coc2mqtt.translations import language_of

GERMAN = language_of("de")
KRISTEN = {"member_tag": "#2PA", "member_name": "Kristen"}


def summaries(event_type: str, metadata: dict[str, Any], changes: tuple[Change, ...] = ()) -> tuple[str, str]:
    """Return the English and the German summary of an event about The Order, a clan or a player."""
    event = Event(EventType(event_type), "#2PP", 1.0, changes=changes, metadata=metadata, name="The Order")
    return summarize(event), summarize(event, GERMAN)
