"""What is published to announce a device and to take it back, and what all our devices have in common."""

from __future__ import annotations

from dataclasses import dataclass

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import Availability
from coc2mqtt.homeassistant.device import Origin

_SUPPORT_URL = "https://github.com/coc2mqtt/coc2mqtt"


@dataclass(frozen=True, slots=True)
class DiscoveryMessage:
    """A message to be retained, QoS 1; an empty payload removes the device."""

    topic: str
    payload: bytes


def removal(discovery_topic: str) -> DiscoveryMessage:
    """Return the message that removes a device with all its entities.

    Send it before the device's retained state is removed, so that nobody reads what is no more.
    """
    return DiscoveryMessage(discovery_topic, b"")


def origin(version: str) -> Origin:
    """Return who announces."""
    return Origin(name="coc2mqtt", sw_version=version, support_url=_SUPPORT_URL)


def online(topic: str) -> Availability:
    """Return the availability that a retained ``{"state": "online"}`` or ``{"state": "offline"}`` tells."""
    return Availability(
        topic=topic, value_template=templates.translate({"online": "online", "offline": "offline"}, "state")
    )
