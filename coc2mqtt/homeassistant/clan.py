"""The device of a watched clan: profile, war and events."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import Image, NumberSensor, Removed
from coc2mqtt.homeassistant.discovery import DeviceDiscovery, DiscoveryMessage, known, online, origin
from coc2mqtt.homeassistant.entities import EntityFactory, event_entity, options, translated, triggers
from coc2mqtt.homeassistant.identity import DISCOVERY_PREFIX, Identity, discovery_topic
from coc2mqtt.homeassistant.watched import activity_entity, watched_device, watched_entities
from coc2mqtt.translations import ENGLISH, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.components import Component, EnumSensor
    from coc2mqtt.translations import Language

# Valid both as a URL for Home Assistant and as a quoted text in a template.
_BADGE = re.compile(r"https://[A-Za-z0-9.-]+/[A-Za-z0-9._~:/?&=%+-]*")

# The API's war states, and the states of the sensor. Automations use the latter, so they never change.
_WAR_STATES = {
    "notInWar": "not_in_war",
    "preparation": "preparation",
    "inWar": "in_war",
    "warEnded": "war_ended",
}
_WAR_STATE_LABELS = {
    "not_in_war": message("Not in a war"),
    "preparation": message("Preparation day"),
    "in_war": message("Battle day"),
    "war_ended": message("War ended"),
}
_WAR_STATUS_LABELS = {
    "winning": message("Winning"),
    "losing": message("Losing"),
    "tied": message("Tied"),
    "won": message("Won"),
    "lost": message("Lost"),
}
# Not `unknown`, which is Home Assistant's own word for no value.
_WAR_RESULT_LABELS = {
    "won": message("Won"),
    "lost": message("Lost"),
    "tied": message("Tied"),
    "cancelled": message("Cancelled"),
}
# Identifies a war in automations, even if a maintenance delays its start and end.
_WAR_ATTRIBUTES = templates.attributes({"preparation_start": "preparation_start_time"})


@dataclass(frozen=True, slots=True)
class ClanTopics:
    """The topics of a clan's device: retained states, the filter of its events, and the request topic."""

    bridge_state: str
    availability: str
    poll: str
    clan: str
    members: str
    badge: str
    war: str
    last_war: str
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
    language: Language = ENGLISH,
) -> DiscoveryMessage:
    """Return the discovery message of a clan.

    ``tag`` is normalised. ``name`` and ``badge_url`` are None until they are known; an invalid URL is ignored.
    ``event_types`` and ``war_event_types`` are all types on the clan's topics. Without ``war``, the war entities and
    triggers are removed.
    """
    identity = Identity.of_watched(instance, "clan", tag)
    war_components = _war(identity, topics, war_event_types, language)
    payload = DeviceDiscovery(
        device=watched_device(identity, instance, "clan", tag=tag, name=name),
        origin=origin(version),
        availability=(online(topics.bridge_state), online(topics.availability)),
        components={
            **(
                war_components
                if war
                else {key: Removed(platform=component.platform) for key, component in war_components.items()}
            ),
            **_profile(EntityFactory(identity, topics.clan)),
            "roster": _roster(identity, topics.members),
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
    return DiscoveryMessage(
        discovery_topic(discovery_prefix, instance, "clan", tag), payload.translate(language).encode()
    )


def _war(
    identity: Identity, topics: ClanTopics, event_types: Sequence[str], language: Language
) -> dict[str, Component]:
    return {
        **_war_state(identity, topics, language),
        "last_war_result": _last_war_result(identity, topics, language),
        "war": event_entity(
            identity,
            "war",
            name="War",
            icon="mdi:sword-cross",
            topic=topics.events,
            event_types=event_types,
            # Shows its last event even if the clan has become unavailable.
            availability=(online(topics.bridge_state),),
        ),
        **triggers(topics.events, event_types),
    }


def _war_state(identity: Identity, topics: ClanTopics, language: Language) -> dict[str, Component]:
    """Return the entities that read the retained state of a war; without one only *War state* is available."""
    at_war = (online(topics.bridge_state), online(topics.availability), known(topics.war, "war_id"))
    entity = EntityFactory(identity, topics.war, availability=at_war)
    return {
        "war_state": EntityFactory(identity, topics.war).enum(
            "war_state",
            "War state",
            "mdi:sword-cross",
            _WAR_STATES,
            labels=translated(_WAR_STATE_LABELS, language),
            path=("state",),
        ),
        "war_status": entity.enum(
            "war_status",
            "War status",
            "mdi:scale-balance",
            options(*_WAR_STATUS_LABELS),
            labels=translated(_WAR_STATUS_LABELS, language),
            path=("status",),
        ),
        "war_start": entity.timestamp(
            "war_start", "War start", "mdi:flag", path=("start_time",), attributes=_WAR_ATTRIBUTES
        ),
        "war_end": entity.timestamp(
            "war_end", "War end", "mdi:flag-checkered", path=("end_time",), attributes=_WAR_ATTRIBUTES
        ),
        "war_team_size": entity.number("war_team_size", "War team size", "mdi:account-multiple", path=("team_size",)),
        "opponent": entity.text(
            "opponent",
            "War opponent",
            "mdi:shield-sword",
            path=("opponent", "name"),
            attributes=templates.attributes({"tag": "tag", "level": "level"}, "opponent"),
        ),
        "stars": entity.number("stars", "War stars", "mdi:star", path=("clan", "stars")),
        "opponent_stars": entity.number(
            "opponent_stars", "War opponent stars", "mdi:star-outline", path=("opponent", "stars")
        ),
        "destruction": entity.number(
            "destruction", "War destruction", "mdi:fire", path=("clan", "destruction"), unit="%", precision=1
        ),
        "opponent_destruction": entity.number(
            "opponent_destruction",
            "War opponent destruction",
            "mdi:fire-alert",
            path=("opponent", "destruction"),
            unit="%",
            precision=1,
        ),
        "attacks_used": entity.number("attacks_used", "War attacks used", "mdi:sword", path=("clan", "attacks")),
        "attacks_left": entity.number(
            "attacks_left",
            "War attacks left",
            "mdi:sword",
            path=("clan", "attacks_left"),
            attributes=templates.members("members", "members_with_attacks_left"),
        ),
    }


def _last_war_result(identity: Identity, topics: ClanTopics, language: Language) -> EnumSensor:
    """Return the sensor of the last war's result, which is unavailable before the first one."""
    availability = (online(topics.bridge_state), online(topics.availability), known(topics.last_war, "result"))
    labels = translated(_WAR_RESULT_LABELS, language)
    return EntityFactory(identity, topics.last_war, availability=availability).enum(
        "last_war_result",
        "Last war result",
        "mdi:medal-outline",
        options(*labels),
        labels=labels,
        path=("result",),
        attributes=templates.last_war(labels, "result"),
    )


def _activity(identity: Identity, topics: ClanTopics, event_types: Sequence[str]) -> dict[str, Component]:
    return {
        "activity": activity_entity(identity, topics.events, event_types, bridge_state=topics.bridge_state),
        # Its name before wars had an entity of their own.
        "events": Removed(platform="event"),
        **triggers(topics.events, event_types),
    }


def _profile(entity: EntityFactory) -> dict[str, Component]:
    return {
        "members": entity.number("members", "Members", "mdi:account-group"),
        # Not `total_increasing`: the sums also fall when a member leaves, and Home Assistant warns about a small fall.
        "donations": entity.number("donations", "Donations", "mdi:gift"),
        "donations_received": entity.number("donations_received", "Donations received", "mdi:gift-open"),
        "level": entity.number("level", "Level", "mdi:chevron-triple-up"),
        "points": entity.number("points", "Points", "mdi:trophy"),
        "builder_base_points": entity.number("builder_base_points", "Builder base points", "mdi:hammer"),
        "capital_points": entity.number("capital_points", "Capital points", "mdi:castle"),
        "war_win_streak": entity.number("war_win_streak", "War win streak", "mdi:fire"),
        "war_wins": entity.number("war_wins", "War wins", "mdi:medal", state_class="total_increasing"),
        "war_league": entity.text("war_league", "War league", "mdi:shield-star"),
        "capital_league": entity.text("capital_league", "Capital league", "mdi:shield-crown"),
        "war_log_public": replace(entity, entity_category="diagnostic").flag(
            "war_log_public", "War log public", "mdi:book-open-variant", path=("is_war_log_public",)
        ),
    }


def _roster(identity: Identity, topic: str) -> NumberSensor:
    return NumberSensor(
        **identity.ids("sensor", "roster"),
        name="Roster",
        icon="mdi:clipboard-list",
        state_topic=topic,
        value_template=templates.count("members"),
        json_attributes_topic=topic,
        json_attributes_template=templates.roster("members", "members"),
    )


def _badge(identity: Identity, topic: str, badge_url: str | None) -> Image | Removed:
    if badge_url is None or not _BADGE.fullmatch(badge_url):
        return Removed(platform="image")
    return Image(
        **identity.ids("image", "badge"),
        name="Badge",
        icon="mdi:shield",
        url_topic=topic,
        # Without a default, Home Assistant logs an error for each state without a URL.
        url_template=templates.url(badge_url, "badge_url"),
    )
