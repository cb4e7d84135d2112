"""The device of a watched clan: its war, its members and its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.discovery import DiscoveryMessage, online, origin
from coc2mqtt.homeassistant.models import (
    Component,
    Device,
    DeviceDiscovery,
    DeviceTrigger,
    EnumSensor,
    Event,
    MeasurementSensor,
    Removed,
    TimestampSensor,
)
from coc2mqtt.homeassistant.topics import DISCOVERY_PREFIX, discovery_topic, object_id

if TYPE_CHECKING:
    from collections.abc import Sequence

# The API's words for the state of a war, and ours: an automation writes them down, so they never change.
_WAR_STATES = {
    "notInWar": "not_in_war",
    "preparation": "preparation",
    "inWar": "in_war",
    "warEnded": "war_ended",
}


@dataclass(frozen=True, slots=True)
class ClanTopics:
    """Where the states that a clan's entities show are retained, and the filter that fits exactly its events."""

    bridge_state: str
    availability: str
    clan: str
    war: str
    events: str


def clan_device(
    *,
    instance: str,
    version: str,
    tag: str,
    name: str | None,
    topics: ClanTopics,
    event_types: Sequence[str],
    war: bool,
    discovery_prefix: str = DISCOVERY_PREFIX,
) -> DiscoveryMessage:
    """Return the announcement of a clan.

    ``tag`` is normalised, ``name`` None until it is known, ``event_types`` every type that can come on the clan's
    topics. Without ``war`` the entities and triggers of wars are taken back.
    """
    device = object_id(instance, "clan", tag)
    of_war = {
        **_war(device, tag, topics),
        **_triggers(topics, [event_type for event_type in event_types if event_type.startswith("war_")]),
    }
    components = {
        **(of_war if war else {key: Removed(platform=component.platform) for key, component in of_war.items()}),
        **_members(device, tag, topics),
        **_events(device, tag, topics, event_types),
        **_triggers(topics, [event_type for event_type in event_types if not event_type.startswith("war_")]),
    }
    payload = DeviceDiscovery(
        device=Device(
            identifiers=(device,),
            name=name or tag,
            manufacturer="Supercell",
            model="Clan",
            model_id=tag,
            via_device=object_id(instance, "bridge"),
            configuration_url=_profile(tag),
        ),
        origin=origin(version),
        availability=(online(topics.bridge_state), online(topics.availability)),
        components=components,
    )
    return DiscoveryMessage(discovery_topic(discovery_prefix, instance, "clan", tag), payload.encode())


def _war(device: str, tag: str, topics: ClanTopics) -> dict[str, EnumSensor | TimestampSensor]:
    return {
        "war_state": EnumSensor(
            unique_id=f"{device}_war_state",
            default_entity_id=_entity_id("sensor", tag, "war_state"),
            name="War state",
            icon="mdi:sword-cross",
            options=tuple(_WAR_STATES.values()),
            state_topic=topics.war,
            value_template=templates.translate("state", _WAR_STATES),
        ),
        "war_start": TimestampSensor(
            unique_id=f"{device}_war_start",
            default_entity_id=_entity_id("sensor", tag, "war_start"),
            name="War start",
            icon="mdi:flag",
            state_topic=topics.war,
            value_template=templates.read("start_time"),
        ),
        "war_end": TimestampSensor(
            unique_id=f"{device}_war_end",
            default_entity_id=_entity_id("sensor", tag, "war_end"),
            name="War end",
            icon="mdi:flag-checkered",
            state_topic=topics.war,
            value_template=templates.read("end_time"),
        ),
    }


def _members(device: str, tag: str, topics: ClanTopics) -> dict[str, Component]:
    return {
        "members": MeasurementSensor(
            unique_id=f"{device}_members",
            default_entity_id=_entity_id("sensor", tag, "members"),
            name="Members",
            icon="mdi:account-group",
            unit_of_measurement="members",
            state_topic=topics.clan,
            value_template=templates.read("members"),
        )
    }


def _events(device: str, tag: str, topics: ClanTopics, event_types: Sequence[str]) -> dict[str, Component]:
    return {
        "events": Event(
            unique_id=f"{device}_events",
            default_entity_id=_entity_id("event", tag, "events"),
            name="Events",
            icon="mdi:bell-ring",
            # Not the clan's own: the entity would be unavailable just when it is to show `watch_unavailable`.
            availability=(online(topics.bridge_state),),
            state_topic=topics.events,
            # All of them, with or without a war: an event that waited since the war was watched must not be unknown.
            event_types=tuple(event_types),
        )
    }


def _triggers(topics: ClanTopics, event_types: Sequence[str]) -> dict[str, DeviceTrigger]:
    return {
        f"trigger_{event_type}": DeviceTrigger(
            topic=topics.events,
            payload=event_type,
            value_template=templates.read("event_type"),
            type="happened",
            subtype=event_type,
        )
        for event_type in event_types
    }


def _entity_id(platform: str, tag: str, entity: str) -> str:
    """Return an entity id from the tag: the same whatever the clan is called."""
    return f"{platform}.clan_{tag.removeprefix('#').lower()}_{entity}"


def _profile(tag: str) -> str:
    return "https://link.clashofclans.com/en?" + urlencode({"action": "OpenClanProfile", "tag": tag})
