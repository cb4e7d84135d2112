"""The part of a clan's device that shows its war."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import Component, EnumSensor, NumberSensor, TextSensor, TimestampSensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.homeassistant.identity import Identity

# The API's words for the state of a war, and ours: an automation writes them down, so they never change.
_STATES = {
    "notInWar": "not_in_war",
    "preparation": "preparation",
    "inWar": "in_war",
    "warEnded": "war_ended",
}
_STATUSES = ("winning", "losing", "tied", "won", "lost")


def war_entities(identity: Identity, topic: str) -> dict[str, Component]:
    """Return the entities that read the retained state of a war; without one most of them are unknown."""
    return {
        "war_state": _words(identity, topic, "state", "War state", icon="mdi:sword-cross", words=_STATES),
        "war_status": _words(
            identity,
            topic,
            "status",
            "War status",
            icon="mdi:scale-balance",
            words={status: status for status in _STATUSES},
        ),
        "war_start": _time(identity, topic, "start", "War start", "mdi:flag"),
        "war_end": _time(identity, topic, "end", "War end", "mdi:flag-checkered"),
        "opponent": TextSensor(
            **identity.ids("sensor", "opponent"),
            name="Opponent",
            icon="mdi:shield-sword",
            state_topic=topic,
            value_template=templates.text("opponent", "name"),
            json_attributes_topic=topic,
            json_attributes_template=templates.attributes({"tag": "tag", "level": "level"}, "opponent"),
        ),
        "stars": _stars(identity, topic, "stars", "Stars", "clan"),
        "opponent_stars": _stars(identity, topic, "opponent_stars", "Opponent stars", "opponent"),
        "destruction": _destruction(identity, topic, "destruction", "Destruction", "clan"),
        "opponent_destruction": _destruction(
            identity, topic, "opponent_destruction", "Opponent destruction", "opponent"
        ),
        "attacks_used": NumberSensor(
            **identity.ids("sensor", "attacks_used"),
            name="Attacks used",
            icon="mdi:sword",
            unit_of_measurement="attacks",
            state_topic=topic,
            value_template=templates.number("clan", "attacks"),
        ),
        "attacks_left": NumberSensor(
            **identity.ids("sensor", "attacks_left"),
            name="Attacks left",
            icon="mdi:sword",
            unit_of_measurement="attacks",
            state_topic=topic,
            value_template=templates.number("clan", "attacks_left"),
            json_attributes_topic=topic,
            json_attributes_template=templates.members("members", "members_with_attacks_left"),
        ),
    }


def _words(identity: Identity, topic: str, what: str, name: str, *, icon: str, words: Mapping[str, str]) -> EnumSensor:
    return EnumSensor(
        **identity.ids("sensor", f"war_{what}"),
        name=name,
        icon=icon,
        options=tuple(words.values()),
        state_topic=topic,
        value_template=templates.translate(words, what),
    )


def _time(identity: Identity, topic: str, what: str, name: str, icon: str) -> TimestampSensor:
    return TimestampSensor(
        **identity.ids("sensor", f"war_{what}"),
        name=name,
        icon=icon,
        state_topic=topic,
        value_template=templates.moment(f"{what}_time"),
        json_attributes_topic=topic,
        # By it an automation knows one war from the next, also where a maintenance has moved its start and end.
        json_attributes_template=templates.attributes({"preparation_start": "preparation_start_time"}),
    )


def _stars(identity: Identity, topic: str, key: str, name: str, side: str) -> NumberSensor:
    return NumberSensor(
        **identity.ids("sensor", key),
        name=name,
        icon="mdi:star" if side == "clan" else "mdi:star-outline",
        unit_of_measurement="stars",
        state_topic=topic,
        value_template=templates.number(side, "stars"),
    )


def _destruction(identity: Identity, topic: str, key: str, name: str, side: str) -> NumberSensor:
    return NumberSensor(
        **identity.ids("sensor", key),
        name=name,
        icon="mdi:fire" if side == "clan" else "mdi:fire-alert",
        unit_of_measurement="%",
        suggested_display_precision=1,
        state_topic=topic,
        value_template=templates.number(side, "destruction"),
    )
