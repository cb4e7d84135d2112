"""Discovery messages, and the parts that all devices share."""

from __future__ import annotations

from dataclasses import dataclass

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import Availability
from coc2mqtt.homeassistant.device import Origin

_SUPPORT_URL = "https://github.com/coc2mqtt/coc2mqtt"


@dataclass(frozen=True, slots=True)
class DiscoveryMessage:
    """A message to publish retained with QoS 1; an empty payload removes the device."""

    topic: str
    payload: bytes


def removal(discovery_topic: str) -> DiscoveryMessage:
    """Return the message that removes a device with all its entities.

    Publish it before removing the device's retained states, so that no entity reads an empty state.
    """
    return DiscoveryMessage(discovery_topic, b"")


def origin(version: str) -> Origin:
    """Return the origin of all discovery payloads."""
    return Origin(name="coc2mqtt", sw_version=version, support_url=_SUPPORT_URL)


def online(topic: str) -> Availability:
    """Return the availability from a topic with the payload ``{"state": "online"}`` or ``{"state": "offline"}``."""
    return Availability(
        topic=topic, value_template=templates.translate({"online": "online", "offline": "offline"}, "state")
    )
