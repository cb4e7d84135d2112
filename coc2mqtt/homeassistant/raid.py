"""The raid weekend in a clan's device, with a discovery payload of its own, like its clan war league."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import NumberSensor
from coc2mqtt.homeassistant.discovery import DeviceDiscovery, DiscoveryMessage, known, online, origin
from coc2mqtt.homeassistant.entities import EntityFactory, event_entity, translated, triggers
from coc2mqtt.homeassistant.identity import DISCOVERY_PREFIX, Identity, part_topic
from coc2mqtt.homeassistant.watched import watched_device
from coc2mqtt.translations import ENGLISH, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.components import Component
    from coc2mqtt.translations import Language

# The states of the payload, and the states of the sensor. Automations use the latter, so they never change.
_STATES = {"none": "no_raid", "ongoing": "ongoing", "ended": "ended"}
_STATE_LABELS = {
    "no_raid": message("No raid weekend"),
    "ongoing": message("Raid weekend"),
    "ended": message("Raid weekend ended"),
}
# Of a member who has destroyed a district.
_MOST_ATTACKS = 6


@dataclass(frozen=True, slots=True)
class RaidTopics:
    """The retained states that the entities of a raid weekend read, and the filter of the clan's events."""

    bridge_state: str
    availability: str
    raid: str
    events: str


def raid_part(
    *,
    instance: str,
    version: str,
    tag: str,
    name: str | None,
    topics: RaidTopics,
    event_types: Sequence[str],
    discovery_prefix: str = DISCOVERY_PREFIX,
    language: Language = ENGLISH,
) -> DiscoveryMessage:
    """Return the discovery message of a clan's raid weekends.

    ``tag`` is normalised. ``name`` is None until it is known.
    """
    identity = Identity.of_watched(instance, "clan", tag)
    bridge, clan = online(topics.bridge_state), online(topics.availability)
    payload = DeviceDiscovery(
        device=watched_device(identity, instance, "clan", tag=tag, name=name),
        origin=origin(version),
        # If the clan has never raided, only *Raid state* is available.
        availability=(bridge, clan, known(topics.raid, "start_time")),
        components={
            "raid_state": EntityFactory(identity, topics.raid, availability=(bridge, clan)).enum(
                "raid_state",
                "Raid state",
                "mdi:castle",
                _STATES,
                labels=translated(_STATE_LABELS, language),
                path=("state",),
            ),
            **_weekend(EntityFactory(identity, topics.raid)),
            "raid_medals": _medals(identity, topics.raid),
            "raid": event_entity(
                identity,
                "raid",
                name="Raid",
                icon="mdi:castle",
                topic=topics.events,
                event_types=event_types,
                # Shows its last event even if the clan has become unavailable.
                availability=(bridge,),
            ),
            **triggers(topics.events, event_types),
        },
    )
    topic = part_topic(discovery_prefix, instance, tag, "raid")
    return DiscoveryMessage(topic, payload.translate(language).encode())


def _weekend(entity: EntityFactory) -> dict[str, Component]:
    return {
        "raid_end": entity.timestamp(
            "raid_end",
            "Raid end",
            "mdi:flag-checkered",
            path=("end_time",),
            attributes=templates.attributes({"start": "start_time"}),
        ),
        "raid_loot": entity.number("raid_loot", "Raid loot", "mdi:gold", path=("loot",)),
        "raid_attacks_left": entity.number(
            "raid_attacks_left",
            "Raid attacks left",
            "mdi:sword",
            path=("attacks_left",),
            attributes=templates.raid_members(),
        ),
        "raid_districts_destroyed": entity.number(
            "raid_districts_destroyed", "Raid districts destroyed", "mdi:home-off", path=("districts_destroyed",)
        ),
        "raids_completed": entity.number("raids_completed", "Raids completed", "mdi:check-decagram"),
        # Not `…_opponent`, like that of a league.
        "raid_opponent_name": entity.text(
            "raid_opponent_name",
            "Raid opponent",
            "mdi:shield-sword",
            path=("opponent", "name"),
            attributes=templates.attributes({"tag": "tag", "districts_left": "districts_left"}, "opponent"),
        ),
    }


def _medals(identity: Identity, topic: str) -> NumberSensor:
    return NumberSensor(
        **identity.ids("sensor", "raid_medals"),
        name="Raid medals",
        icon="mdi:medal",
        state_topic=topic,
        value_template=templates.raid_medals(_MOST_ATTACKS),
        json_attributes_topic=topic,
        json_attributes_template=templates.raid_medal_attributes(),
    )
