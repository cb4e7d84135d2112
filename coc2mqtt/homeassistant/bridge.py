"""The device of the bridge itself: whether it is there, and whether the Clash of Clans API is."""

from __future__ import annotations

from dataclasses import dataclass

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.discovery import DiscoveryMessage, online, origin
from coc2mqtt.homeassistant.models import BinarySensor, Component, Device, DeviceDiscovery, EnumSensor
from coc2mqtt.homeassistant.topics import DISCOVERY_PREFIX, discovery_topic, object_id

_API_STATUS = ("ok", "maintenance", "unreachable", "denied")


@dataclass(frozen=True, slots=True)
class BridgeTopics:
    """Where the states of the bridge and of the API are retained."""

    state: str
    api_status: str


def bridge_device(
    *, instance: str, version: str, topics: BridgeTopics, discovery_prefix: str = DISCOVERY_PREFIX
) -> DiscoveryMessage:
    """Return the announcement of the bridge; it comes before those of the clans, which are shown as behind it."""
    device = object_id(instance, "bridge")
    payload = DeviceDiscovery(
        device=Device(
            identifiers=(device,),
            name=f"coc2mqtt {instance}",
            manufacturer="coc2mqtt",
            model="Bridge",
            sw_version=version,
        ),
        origin=origin(version),
        availability=(online(topics.state),),
        components=_components(device, instance, topics),
    )
    return DiscoveryMessage(discovery_topic(discovery_prefix, instance, "bridge"), payload.encode())


def _components(device: str, instance: str, topics: BridgeTopics) -> dict[str, Component]:
    entity_id = f"coc2mqtt_{instance.lower().replace('-', '_')}"
    return {
        "connectivity": BinarySensor(
            unique_id=f"{device}_connectivity",
            default_entity_id=f"binary_sensor.{entity_id}_connectivity",
            name="Connectivity",
            device_class="connectivity",
            entity_category="diagnostic",
            # Else it would be unavailable just when it is to say "disconnected".
            availability=(),
            state_topic=topics.state,
            value_template=templates.translate("state", {"online": "ON", "offline": "OFF"}),
        ),
        "maintenance": BinarySensor(
            unique_id=f"{device}_maintenance",
            default_entity_id=f"binary_sensor.{entity_id}_maintenance",
            name="Maintenance",
            icon="mdi:hammer-wrench",
            state_topic=topics.api_status,
            value_template=templates.translate(
                "state", {status: "ON" if status == "maintenance" else "OFF" for status in _API_STATUS}
            ),
        ),
        "api_status": EnumSensor(
            unique_id=f"{device}_api_status",
            default_entity_id=f"sensor.{entity_id}_api_status",
            name="API status",
            icon="mdi:cloud-search",
            entity_category="diagnostic",
            options=_API_STATUS,
            state_topic=topics.api_status,
            value_template=templates.translate("state", {status: status for status in _API_STATUS}),
        ),
    }
