"""The sensor of a clan's member, which belongs to the clan's device and has a discovery payload of its own.

In the clan's payload, the sensors of fifty members would exceed 64 KiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import NumberSensor
from coc2mqtt.homeassistant.discovery import DeviceDiscovery, DiscoveryMessage, online, origin
from coc2mqtt.homeassistant.identity import DISCOVERY_PREFIX, Identity, member_topic
from coc2mqtt.homeassistant.watched import watched_device
from coc2mqtt.translations import ENGLISH, Language

_TAG = re.compile(r"#[0-9A-Z]{1,15}")


@dataclass(frozen=True, slots=True)
class MemberTopics:
    """The retained states that a member's sensor reads."""

    bridge_state: str
    availability: str
    members: str


def is_member_tag(tag: str | None) -> bool:
    """Return whether a member with this tag can have a sensor: ids and templates contain the tag."""
    return tag is not None and _TAG.fullmatch(tag) is not None


def member_sensor(
    *,
    instance: str,
    version: str,
    clan_tag: str,
    clan_name: str | None,
    tag: str,
    name: str | None,
    topics: MemberTopics,
    discovery_prefix: str = DISCOVERY_PREFIX,
    language: Language = ENGLISH,
) -> DiscoveryMessage:
    """Return the discovery message of a member's sensor: the donations of the season.

    ``tag`` is accepted by ``is_member_tag``. The names are None until they are known.
    """
    identity = Identity.of_watched(instance, "clan", clan_tag)
    key = f"member_{tag.removeprefix('#').lower()}"
    sensor = NumberSensor(
        **identity.ids("sensor", key),
        name=language.text("Member {name}", name=name or tag),
        icon="mdi:account",
        # Reset to 0 each season, which `total_increasing` treats as a new cycle.
        state_class="total_increasing",
        state_topic=topics.members,
        value_template=templates.member_number(tag, "donations"),
        json_attributes_topic=topics.members,
        json_attributes_template=templates.member_attributes(tag),
    )
    payload = DeviceDiscovery(
        device=watched_device(identity, instance, "clan", tag=clan_tag, name=clan_name),
        origin=origin(version),
        availability=(online(topics.bridge_state), online(topics.availability)),
        components={key: sensor},
    )
    topic = member_topic(discovery_prefix, instance, clan_tag, tag)
    return DiscoveryMessage(topic, payload.translate(language).encode())
