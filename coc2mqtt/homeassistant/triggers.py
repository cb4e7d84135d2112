"""Event entities and device triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import Availability, DeviceTrigger, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.identity import Identity


def event_entity(
    identity: Identity,
    key: str,
    *,
    name: str,
    icon: str,
    topic: str,
    event_types: Sequence[str],
    availability: tuple[Availability, ...] | None = None,
) -> Event:
    """Return an entity that shows the last event of these types; ``topic`` may have others too."""
    return Event(
        **identity.ids("event", key),
        name=name,
        icon=icon,
        availability=availability,
        state_topic=topic,
        value_template=templates.event(event_types),
        event_types=tuple(event_types),
    )


def triggers(topic: str, event_types: Sequence[str]) -> dict[str, DeviceTrigger]:
    """Return a trigger for each event type on a topic, by component id."""
    return {
        f"trigger_{event_type}": DeviceTrigger(
            topic=topic,
            payload=event_type,
            value_template=templates.text("event_type"),
            type="happened",
            subtype=event_type,
        )
        for event_type in event_types
    }
