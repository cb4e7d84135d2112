"""The common parts of clan and player devices: availability, last poll, refresh, activity."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import BinarySensor, Button, Component, TimestampSensor
from coc2mqtt.homeassistant.discovery import Device, online
from coc2mqtt.homeassistant.entities import event_entity
from coc2mqtt.homeassistant.identity import Identity, object_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.components import Event


def watched_device(
    identity: Identity, instance: str, kind: Literal["clan", "player"], *, tag: str, name: str | None
) -> Device:
    """Return the device of a clan or player; its name defaults to the tag."""
    noun = kind.capitalize()
    profile = urlencode({"action": f"Open{noun}Profile", "tag": tag})
    return Device(
        identifiers=(identity.device,),
        name=name or tag,
        manufacturer="Supercell",
        model=noun,
        model_id=tag,
        via_device=object_id(instance, "bridge"),
        configuration_url=f"https://link.clashofclans.com/en?{profile}",
    )


def watched_entities(
    identity: Identity,
    kind: Literal["clan", "player"],
    *,
    tag: str,
    bridge_state: str,
    availability: str,
    poll: str,
    poll_request: str,
) -> dict[str, Component]:
    """Return the entities of the watch; the last four arguments are topics."""
    bridge_online = (online(bridge_state),)
    return {
        "last_poll": TimestampSensor(
            **identity.ids("sensor", "last_poll"),
            name="Last poll",
            icon="mdi:clock-check-outline",
            entity_category="diagnostic",
            # Most useful while the watch is unavailable.
            availability=bridge_online,
            # Every few minutes, Home Assistant's activity log would report a new time.
            enabled_by_default=False,
            state_topic=poll,
            value_template=templates.timestamp("polled_at"),
        ),
        "available": BinarySensor(
            **identity.ids("binary_sensor", "available"),
            name="Available",
            device_class="connectivity",
            entity_category="diagnostic",
            # With the availability of the watch, it could not show "disconnected".
            availability=bridge_online,
            state_topic=availability,
            value_template=templates.translate({"online": "ON", "offline": "OFF"}, "state"),
        ),
        "refresh": Button(
            **identity.ids("button", "refresh"),
            name="Refresh",
            icon="mdi:refresh",
            entity_category="diagnostic",
            # Most useful after a failed poll.
            availability=bridge_online,
            command_topic=poll_request,
            payload_press=json.dumps({"kind": kind, "tag": tag}),
        ),
    }


def activity_entity(identity: Identity, topic: str, event_types: Sequence[str], *, bridge_state: str) -> Event:
    """Return the entity that shows the last event of a clan or player; ``topic`` is the filter of their events."""
    return event_entity(
        identity,
        "activity",
        name="Activity",
        icon="mdi:bell-ring",
        topic=topic,
        event_types=event_types,
        # With the availability of the clan or player, the entity could not show `watch_unavailable`.
        availability=(online(bridge_state),),
    )
