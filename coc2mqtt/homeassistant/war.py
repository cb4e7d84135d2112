"""The war entities of a clan's device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.entities import EntityFactory, options

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.components import Component
    from coc2mqtt.homeassistant.identity import Identity

# The API's war states, and the states of the sensor. Automations use the latter, so they never change.
_STATES = {
    "notInWar": "not_in_war",
    "preparation": "preparation",
    "inWar": "in_war",
    "warEnded": "war_ended",
}
_STATUSES = options("winning", "losing", "tied", "won", "lost")
# Identifies a war in automations, even if a maintenance delays its start and end.
_WAR_ATTRIBUTES = templates.attributes({"preparation_start": "preparation_start_time"})


def war_entities(identity: Identity, topic: str) -> dict[str, Component]:
    """Return the entities that read the retained state of a war; without a war most of them are unknown."""
    entity = EntityFactory(identity, topic)
    return {
        "war_state": entity.enum("war_state", "War state", "mdi:sword-cross", _STATES, path=("state",)),
        "war_status": entity.enum("war_status", "War status", "mdi:scale-balance", _STATUSES, path=("status",)),
        "war_start": entity.timestamp(
            "war_start", "War start", "mdi:flag", path=("start_time",), attributes=_WAR_ATTRIBUTES
        ),
        "war_end": entity.timestamp(
            "war_end", "War end", "mdi:flag-checkered", path=("end_time",), attributes=_WAR_ATTRIBUTES
        ),
        "opponent": entity.text(
            "opponent",
            "Opponent",
            "mdi:shield-sword",
            path=("opponent", "name"),
            attributes=templates.attributes({"tag": "tag", "level": "level"}, "opponent"),
        ),
        "stars": entity.number("stars", "Stars", "mdi:star", path=("clan", "stars"), unit="stars"),
        "opponent_stars": entity.number(
            "opponent_stars", "Opponent stars", "mdi:star-outline", path=("opponent", "stars"), unit="stars"
        ),
        "destruction": entity.number(
            "destruction", "Destruction", "mdi:fire", path=("clan", "destruction"), unit="%", precision=1
        ),
        "opponent_destruction": entity.number(
            "opponent_destruction",
            "Opponent destruction",
            "mdi:fire-alert",
            path=("opponent", "destruction"),
            unit="%",
            precision=1,
        ),
        "attacks_used": entity.number(
            "attacks_used", "Attacks used", "mdi:sword", path=("clan", "attacks"), unit="attacks"
        ),
        "attacks_left": entity.number(
            "attacks_left",
            "Attacks left",
            "mdi:sword",
            path=("clan", "attacks_left"),
            unit="attacks",
            attributes=templates.members("members", "members_with_attacks_left"),
        ),
    }
