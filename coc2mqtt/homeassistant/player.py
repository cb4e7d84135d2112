"""The device of a watched player: profile, part in the clan's wars and raids, and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.discovery import DeviceDiscovery, DiscoveryMessage, known, online, origin
from coc2mqtt.homeassistant.entities import EntityFactory, options, translated, triggers
from coc2mqtt.homeassistant.identity import DISCOVERY_PREFIX, Identity, discovery_topic
from coc2mqtt.homeassistant.watched import activity_entity, watched_device, watched_entities
from coc2mqtt.translations import ENGLISH, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.components import Component
    from coc2mqtt.translations import Language

_WAR_PREFERENCE_LABELS = {"in": message("Opted in"), "out": message("Opted out")}
_ROLE_LABELS = {
    "member": message("Member"),
    "elder": message("Elder"),
    "co_leader": message("Co-leader"),
    "leader": message("Leader"),
}
# The keys of the payload, and the attributes, with a part of the attacks left.
_PARTS = ("war", "cwl", "raid")


@dataclass(frozen=True, slots=True)
class PlayerTopics:
    """The topics of a player's device: retained states, the filter of their events, and the request topic."""

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
    language: Language = ENGLISH,
) -> DiscoveryMessage:
    """Return the discovery message of a player.

    ``tag`` is normalised, ``name`` is None until it is known, ``event_types`` are all types on the player's topics.
    """
    identity = Identity.of_watched(instance, "player", tag)
    payload = DeviceDiscovery(
        device=watched_device(identity, instance, "player", tag=tag, name=name),
        origin=origin(version),
        availability=(online(topics.bridge_state), online(topics.availability)),
        components={
            **_profile(EntityFactory(identity, topics.player), language),
            **_attacks(identity, topics),
            **_sums(identity, topics),
            **watched_entities(
                identity,
                "player",
                tag=tag,
                bridge_state=topics.bridge_state,
                availability=topics.availability,
                poll=topics.poll,
                poll_request=topics.poll_request,
            ),
            "activity": activity_entity(identity, topics.events, event_types, bridge_state=topics.bridge_state),
            **triggers(topics.events, event_types),
        },
    )
    return DiscoveryMessage(
        discovery_topic(discovery_prefix, instance, "player", tag), payload.translate(language).encode()
    )


def _profile(entity: EntityFactory, language: Language) -> dict[str, Component]:
    return {
        "town_hall_level": entity.number("town_hall_level", "Town hall level", "mdi:home-city"),
        "builder_hall_level": entity.number("builder_hall_level", "Builder hall level", "mdi:home-silo"),
        "trophies": entity.number("trophies", "Trophies", "mdi:trophy"),
        "war_stars": entity.number("war_stars", "War stars", "mdi:star", state_class="total_increasing"),
        # Reset to 0 each season, which `total_increasing` treats as a new cycle.
        "donations": entity.number("donations", "Donations", "mdi:gift", state_class="total_increasing"),
        "donations_received": entity.number(
            "donations_received", "Donations received", "mdi:gift-open", state_class="total_increasing"
        ),
        "league_tier": entity.text("league_tier", "League tier", "mdi:shield-star"),
        "war_preference": entity.enum(
            "war_preference",
            "War preference",
            "mdi:account-check",
            options(*_WAR_PREFERENCE_LABELS),
            labels=translated(_WAR_PREFERENCE_LABELS, language),
        ),
        "clan": entity.text(
            "clan",
            "Clan",
            "mdi:shield-account",
            path=("clan", "name"),
            attributes=templates.attributes({"tag": "tag"}, "clan"),
        ),
        "role": entity.enum(
            "role", "Role", "mdi:account-star", templates.ROLES, labels=translated(_ROLE_LABELS, language)
        ),
        "experience_level": entity.number(
            "experience_level", "Experience level", "mdi:star-circle", path=("exp_level",)
        ),
    }


def _attacks(identity: Identity, topics: PlayerTopics) -> dict[str, Component]:
    """Return the entities of the player's part in wars and raids; each is unavailable while it has no value."""

    def entity(*path: str) -> EntityFactory:
        availability = (online(topics.bridge_state), online(topics.availability), known(topics.player, *path))
        return EntityFactory(identity, topics.player, availability=availability)

    return {
        "attacks_left": entity("attacks_left").number(
            "attacks_left", "Attacks left", "mdi:sword", attributes=templates.parts("attacks_left", *_PARTS)
        ),
        "attack_pending": entity("attack_pending").flag(
            "attack_pending",
            "Attack pending",
            "mdi:sword-cross",
            attributes=templates.parts("attack_pending", *_PARTS),
        ),
        "war_end": entity("war", "end_time").timestamp(
            "war_end", "War end", "mdi:flag-checkered", path=("war", "end_time")
        ),
    }


def _sums(identity: Identity, topics: PlayerTopics) -> dict[str, Component]:
    """Return the entities of the player's activity, which is known if their clan is watched."""

    def entity(key: str) -> EntityFactory:
        availability = (online(topics.bridge_state), online(topics.availability), known(topics.player, key))
        return EntityFactory(identity, topics.player, availability=availability)

    # Not `total_increasing`: the sums start again at 0 when a player joins another clan.
    return {
        "donations_today": entity("donations_today").number("donations_today", "Donations today", "mdi:gift"),
        "donations_week": entity("donations_week").number("donations_week", "Donations this week", "mdi:gift"),
        "last_seen": entity("last_seen_at").timestamp("last_seen", "Last seen", "mdi:eye", path=("last_seen_at",)),
    }
