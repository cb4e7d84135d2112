"""The device of the bridge itself: whether it is there, whether the Clash of Clans API is, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import (
    BinarySensor,
    Component,
    EnumSensor,
    NumberSensor,
    TextSensor,
    TimestampSensor,
)
from coc2mqtt.homeassistant.controls import ControlTopics, controls
from coc2mqtt.homeassistant.device import Device, DeviceDiscovery
from coc2mqtt.homeassistant.discovery import DiscoveryMessage, online, origin
from coc2mqtt.homeassistant.identity import Identity
from coc2mqtt.homeassistant.topics import DISCOVERY_PREFIX, discovery_topic
from coc2mqtt.homeassistant.triggers import event_entity, triggers

if TYPE_CHECKING:
    from collections.abc import Sequence

_API_STATUS = ("ok", "maintenance", "unreachable", "denied")


@dataclass(frozen=True, slots=True)
class BridgeTopics:
    """Where the states of the bridge and of the API are retained, what fits exactly the API's events, where to ask."""

    state: str
    health: str
    api_status: str
    api_events: str
    controls: ControlTopics


def bridge_device(
    *,
    instance: str,
    version: str,
    topics: BridgeTopics,
    event_types: Sequence[str],
    discovery_prefix: str = DISCOVERY_PREFIX,
) -> DiscoveryMessage:
    """Return the announcement of the bridge; it comes before those that are shown as behind it.

    ``event_types`` is every type that can come on the API's topics.
    """
    identity = Identity.of_bridge(instance)
    payload = DeviceDiscovery(
        device=Device(
            identifiers=(identity.device,),
            name=f"coc2mqtt {instance}",
            manufacturer="coc2mqtt",
            model="Bridge",
            sw_version=version,
        ),
        origin=origin(version),
        availability=(online(topics.state),),
        components={
            "connectivity": BinarySensor(
                **identity.ids("binary_sensor", "connectivity"),
                name="Connectivity",
                device_class="connectivity",
                entity_category="diagnostic",
                # Else it would be unavailable just when it is to say "disconnected".
                availability=(),
                state_topic=topics.state,
                value_template=templates.translate({"online": "ON", "offline": "OFF"}, "state"),
            ),
            **_api(identity, topics, event_types),
            **_health(identity, topics.health),
            **controls(identity, topics.controls),
        },
    )
    return DiscoveryMessage(discovery_topic(discovery_prefix, instance, "bridge"), payload.encode())


def _api(identity: Identity, topics: BridgeTopics, event_types: Sequence[str]) -> dict[str, Component]:
    return {
        "maintenance": BinarySensor(
            **identity.ids("binary_sensor", "maintenance"),
            name="Maintenance",
            icon="mdi:hammer-wrench",
            state_topic=topics.api_status,
            value_template=templates.translate(
                {status: "ON" if status == "maintenance" else "OFF" for status in _API_STATUS}, "state"
            ),
        ),
        "api_status": EnumSensor(
            **identity.ids("sensor", "api_status"),
            name="API status",
            icon="mdi:cloud-search",
            entity_category="diagnostic",
            options=_API_STATUS,
            state_topic=topics.api_status,
            value_template=templates.translate({status: status for status in _API_STATUS}, "state"),
        ),
        "denied_address": TextSensor(
            **identity.ids("sensor", "denied_address"),
            name="Denied address",
            icon="mdi:ip-network-outline",
            entity_category="diagnostic",
            state_topic=topics.api_status,
            value_template=templates.text("address"),
        ),
        "api_events": event_entity(
            identity,
            "api_events",
            name="API",
            icon="mdi:cloud-alert",
            topic=topics.api_events,
            event_types=event_types,
        ),
        **triggers(topics.api_events, event_types),
    }


def _health(identity: Identity, topic: str) -> dict[str, Component]:
    def number(
        key: str, name: str, icon: str, template: str, *, unit: str | None = None, precision: int | None = None
    ) -> NumberSensor:
        return NumberSensor(
            **identity.ids("sensor", key),
            name=name,
            icon=icon,
            entity_category="diagnostic",
            unit_of_measurement=unit,
            suggested_display_precision=precision,
            state_topic=topic,
            value_template=template,
        )

    polls = templates.number("polls_per_second", times=60)
    return {
        "watched_clans": number(
            "watched_clans", "Watched clans", "mdi:shield-search", templates.number("clans"), unit="clans"
        ),
        "watched_players": number(
            "watched_players", "Watched players", "mdi:account-search", templates.number("players"), unit="players"
        ),
        "queue": number("queue", "Queue depth", "mdi:tray-full", templates.number("queue"), unit="events"),
        "polls_per_minute": number(
            "polls_per_minute", "Polls per minute", "mdi:speedometer", polls, unit="polls/min", precision=1
        ),
        "last_event": TimestampSensor(
            **identity.ids("sensor", "last_event"),
            name="Last event",
            icon="mdi:history",
            state_topic=topic,
            value_template=templates.moment("last_event", "timestamp"),
            json_attributes_topic=topic,
            json_attributes_template=templates.attributes(
                {"summary": "summary", "tag": "tag", "name": "name", "type": "event_type"}, "last_event"
            ),
        ),
    }
