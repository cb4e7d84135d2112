"""The device of a watched player: the player, what they still owe to their clan's war, and their events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import BinarySensor, Component, EnumSensor, NumberSensor, TextSensor
from coc2mqtt.homeassistant.device import DeviceDiscovery
from coc2mqtt.homeassistant.discovery import DiscoveryMessage, online, origin
from coc2mqtt.homeassistant.identity import Identity
from coc2mqtt.homeassistant.topics import DISCOVERY_PREFIX, discovery_topic
from coc2mqtt.homeassistant.triggers import event_entity, triggers
from coc2mqtt.homeassistant.watched import watched_device, watched_entities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.components import StateClass

_WAR_PREFERENCES = ("in", "out")


@dataclass(frozen=True, slots=True)
class PlayerTopics:
    """Where the states that a player's entities show are retained, what fits exactly their events, where to ask."""

    bridge_state: str
    availability: str
    poll: str
    player: str
    events: str
    poll_request: str


def player_device(
    *,
    instance: str,
    version: str,
    tag: str,
    name: str | None,
    topics: PlayerTopics,
    event_types: Sequence[str],
    discovery_prefix: str = DISCOVERY_PREFIX,
) -> DiscoveryMessage:
    """Return the announcement of a player.

    ``tag`` is normalised, ``name`` None until it is known, ``event_types`` every type that can come on the player's
    topics.
    """
    identity = Identity.of_watched(instance, "player", tag)
    payload = DeviceDiscovery(
        device=watched_device(identity, instance, "player", tag=tag, name=name),
        origin=origin(version),
        availability=(online(topics.bridge_state), online(topics.availability)),
        components={
            **_numbers(identity, topics.player),
            **_words(identity, topics.player),
            **_war(identity, topics.player),
            **watched_entities(
                identity,
                "player",
                tag=tag,
                bridge_state=topics.bridge_state,
                availability=topics.availability,
                poll=topics.poll,
                poll_request=topics.poll_request,
            ),
            "activity": event_entity(
                identity,
                "activity",
                name="Activity",
                icon="mdi:bell-ring",
                topic=topics.events,
                event_types=event_types,
                # Not the player's own: the entity would be unavailable just when it is to show `watch_unavailable`.
                availability=(online(topics.bridge_state),),
            ),
            **triggers(topics.events, event_types),
        },
    )
    return DiscoveryMessage(discovery_topic(discovery_prefix, instance, "player", tag), payload.encode())


def _numbers(identity: Identity, topic: str) -> dict[str, Component]:
    def number(
        key: str, name: str, icon: str, unit: str | None = None, state_class: StateClass = "measurement"
    ) -> NumberSensor:
        return NumberSensor(
            **identity.ids("sensor", key),
            name=name,
            icon=icon,
            unit_of_measurement=unit,
            state_class=state_class,
            state_topic=topic,
            value_template=templates.number(key),
        )

    # They start at 0 each season, which `total_increasing` takes for a new beginning.
    donations, received = "donations", "donations_received"
    return {
        "town_hall_level": number("town_hall_level", "Town hall level", "mdi:home-city"),
        "builder_hall_level": number("builder_hall_level", "Builder hall level", "mdi:home-silo"),
        "trophies": number("trophies", "Trophies", "mdi:trophy", "trophies"),
        "war_stars": number("war_stars", "War stars", "mdi:star", "stars", "total_increasing"),
        donations: number(donations, "Donations", "mdi:gift", "troops", "total_increasing"),
        received: number(received, "Donations received", "mdi:gift-open", "troops", "total_increasing"),
    }


def _words(identity: Identity, topic: str) -> dict[str, Component]:
    return {
        "league_tier": TextSensor(
            **identity.ids("sensor", "league_tier"),
            name="League tier",
            icon="mdi:shield-star",
            state_topic=topic,
            value_template=templates.text("league_tier"),
        ),
        "war_preference": EnumSensor(
            **identity.ids("sensor", "war_preference"),
            name="War preference",
            icon="mdi:account-check",
            options=_WAR_PREFERENCES,
            state_topic=topic,
            value_template=templates.translate({word: word for word in _WAR_PREFERENCES}, "war_preference"),
        ),
        "clan": TextSensor(
            **identity.ids("sensor", "clan"),
            name="Clan",
            icon="mdi:shield-account",
            state_topic=topic,
            value_template=templates.text("clan", "name"),
            json_attributes_topic=topic,
            json_attributes_template=templates.attributes({"tag": "tag"}, "clan"),
        ),
    }


def _war(identity: Identity, topic: str) -> dict[str, Component]:
    return {
        "attacks_left": NumberSensor(
            **identity.ids("sensor", "attacks_left"),
            name="Attacks left",
            icon="mdi:sword",
            unit_of_measurement="attacks",
            state_topic=topic,
            value_template=templates.number("war", "attacks_left"),
        ),
        "attack_pending": BinarySensor(
            **identity.ids("binary_sensor", "attack_pending"),
            name="Attack pending",
            icon="mdi:sword-cross",
            state_topic=topic,
            value_template=templates.yes_or_no("war", "attack_pending"),
        ),
    }
