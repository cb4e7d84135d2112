"""What the devices of clans and of players have in common: whether they are there, and how fresh what they show is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import BinarySensor, Button, Component, TimestampSensor
from coc2mqtt.homeassistant.device import Device
from coc2mqtt.homeassistant.discovery import online
from coc2mqtt.homeassistant.topics import object_id

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.identity import Identity


def watched_device(
    identity: Identity, instance: str, kind: Literal["clan", "player"], *, tag: str, name: str | None
) -> Device:
    """Return what the device registry shows of a clan or a player; one without a known name is called by its tag."""
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
    """Return the entities of a watch itself; all but the first three arguments are topics."""
    bridge_alone = (online(bridge_state),)
    return {
        "last_poll": TimestampSensor(
            **identity.ids("sensor", "last_poll"),
            name="Last poll",
            icon="mdi:clock-check-outline",
            entity_category="diagnostic",
            # Not the watch's own: it is worth most when nothing else is shown.
            availability=bridge_alone,
            state_topic=poll,
            value_template=templates.moment("polled_at"),
        ),
        "available": BinarySensor(
            **identity.ids("binary_sensor", "available"),
            name="Available",
            device_class="connectivity",
            entity_category="diagnostic",
            # Else it would be unavailable just when it is to say "disconnected".
            availability=bridge_alone,
            state_topic=availability,
            value_template=templates.translate({"online": "ON", "offline": "OFF"}, "state"),
        ),
        "refresh": Button(
            **identity.ids("button", "refresh"),
            name="Refresh",
            icon="mdi:refresh",
            entity_category="diagnostic",
            # Asking again is most wanted when the last answer was none.
            availability=bridge_alone,
            command_topic=poll_request,
            payload_press=json.dumps({"kind": kind, "tag": tag}),
        ),
    }
