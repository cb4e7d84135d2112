"""The device of a watched clan: the clan itself, its war and its events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import BinarySensor, Component, Image, NumberSensor, Removed, TextSensor
from coc2mqtt.homeassistant.device import DeviceDiscovery
from coc2mqtt.homeassistant.discovery import DiscoveryMessage, online, origin
from coc2mqtt.homeassistant.identity import Identity
from coc2mqtt.homeassistant.topics import DISCOVERY_PREFIX, discovery_topic
from coc2mqtt.homeassistant.triggers import event_entity, triggers
from coc2mqtt.homeassistant.war import war_entities
from coc2mqtt.homeassistant.watched import watched_device, watched_entities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.components import StateClass

# What Home Assistant takes for a URL, and a template for a text.
_BADGE = re.compile(r"https://[A-Za-z0-9.-]+/[A-Za-z0-9._~:/?&=%+-]*")


@dataclass(frozen=True, slots=True)
class ClanTopics:
    """Where the states that a clan's entities show are retained, what fits exactly its events, where to ask."""

    bridge_state: str
    availability: str
    poll: str
    clan: str
    badge: str
    war: str
    events: str
    poll_request: str


def clan_device(
    *,
    instance: str,
    version: str,
    tag: str,
    name: str | None,
    topics: ClanTopics,
    event_types: Sequence[str],
    war_event_types: Sequence[str],
    war: bool,
    badge_url: str | None = None,
    discovery_prefix: str = DISCOVERY_PREFIX,
) -> DiscoveryMessage:
    """Return the announcement of a clan.

    ``tag`` is normalised, ``name`` and ``badge_url`` None until they are known; what is no URL counts as none. The
    event types are all that can come on the clan's topics, those of a war apart. Without ``war`` the entities and
    triggers of wars are taken back.
    """
    identity = Identity.of_watched(instance, "clan", tag)
    of_war = _war(identity, topics, war_event_types)
    payload = DeviceDiscovery(
        device=watched_device(identity, instance, "clan", tag=tag, name=name),
        origin=origin(version),
        availability=(online(topics.bridge_state), online(topics.availability)),
        components={
            **(of_war if war else {key: Removed(platform=component.platform) for key, component in of_war.items()}),
            **_numbers(identity, topics.clan),
            **_words(identity, topics.clan),
            "badge": _badge(identity, topics.badge, badge_url),
            **watched_entities(
                identity,
                "clan",
                tag=tag,
                bridge_state=topics.bridge_state,
                availability=topics.availability,
                poll=topics.poll,
                poll_request=topics.poll_request,
            ),
            **_activity(identity, topics, event_types),
        },
    )
    return DiscoveryMessage(discovery_topic(discovery_prefix, instance, "clan", tag), payload.encode())


def _war(identity: Identity, topics: ClanTopics, event_types: Sequence[str]) -> dict[str, Component]:
    return {
        **war_entities(identity, topics.war),
        "war": event_entity(
            identity,
            "war",
            name="War",
            icon="mdi:sword-cross",
            topic=topics.events,
            event_types=event_types,
            # As the activity's: an event is worth showing whatever became of the clan since.
            availability=(online(topics.bridge_state),),
        ),
        **triggers(topics.events, event_types),
    }


def _activity(identity: Identity, topics: ClanTopics, event_types: Sequence[str]) -> dict[str, Component]:
    return {
        "activity": event_entity(
            identity,
            "activity",
            name="Activity",
            icon="mdi:bell-ring",
            topic=topics.events,
            event_types=event_types,
            # Not the clan's own: the entity would be unavailable just when it is to show `watch_unavailable`.
            availability=(online(topics.bridge_state),),
        ),
        # What it was called before there was one for wars.
        "events": Removed(platform="event"),
        **triggers(topics.events, event_types),
    }


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

    return {
        "members": number("members", "Members", "mdi:account-group", "members"),
        "level": number("level", "Level", "mdi:chevron-triple-up"),
        "points": number("points", "Points", "mdi:trophy", "points"),
        "builder_base_points": number("builder_base_points", "Builder base points", "mdi:hammer", "points"),
        "capital_points": number("capital_points", "Capital points", "mdi:castle", "points"),
        "war_win_streak": number("war_win_streak", "War win streak", "mdi:fire", "wins"),
        "war_wins": number("war_wins", "War wins", "mdi:medal", "wins", "total_increasing"),
    }


def _words(identity: Identity, topic: str) -> dict[str, Component]:
    return {
        "war_league": TextSensor(
            **identity.ids("sensor", "war_league"),
            name="War league",
            icon="mdi:shield-star",
            state_topic=topic,
            value_template=templates.text("war_league"),
        ),
        "capital_league": TextSensor(
            **identity.ids("sensor", "capital_league"),
            name="Capital league",
            icon="mdi:shield-crown",
            state_topic=topic,
            value_template=templates.text("capital_league"),
        ),
        "war_log_public": BinarySensor(
            **identity.ids("binary_sensor", "war_log_public"),
            name="War log public",
            icon="mdi:book-open-variant",
            entity_category="diagnostic",
            state_topic=topic,
            value_template=templates.yes_or_no("is_war_log_public"),
        ),
    }


def _badge(identity: Identity, topic: str, badge_url: str | None) -> Image | Removed:
    if badge_url is None or not _BADGE.fullmatch(badge_url):
        return Removed(platform="image")
    return Image(
        **identity.ids("image", "badge"),
        name="Badge",
        icon="mdi:shield",
        url_topic=topic,
        # Where the state has none or is removed, Home Assistant would log an error for each message.
        url_template=templates.url(badge_url, "badge_url"),
    )
