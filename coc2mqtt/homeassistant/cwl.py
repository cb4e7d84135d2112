"""The clan war league in a clan's device, with a discovery payload of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import Removed
from coc2mqtt.homeassistant.entities import translated
from coc2mqtt.homeassistant.parts import PartContent
from coc2mqtt.translations import message

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.components import Component
    from coc2mqtt.homeassistant.entities import EntityFactory
    from coc2mqtt.homeassistant.parts import PartContext

# The states of the payload, and the states of the sensor. Automations use the latter, so they never change.
_STATES = {
    "none": "not_in_league",
    "searching": "searching",
    "preparation": "preparation",
    "inWar": "in_war",
    "ended": "ended",
}
_STATE_LABELS = {
    "not_in_league": message("Not in a league"),
    "searching": message("Searching for a group"),
    "preparation": message("Preparation day"),
    "in_war": message("Battle day"),
    "ended": message("League ended"),
}
# Identifies a war in automations, even if a maintenance delays its end.
_ROUND_ATTRIBUTES = templates.attributes({"round": "round", "war_id": "war_id"}, "war")


def cwl_part(part: PartContext) -> PartContent:
    """Return a clan's league; without ``standings``, the entity of the table is removed."""
    entity = part.entity("cwl")
    return PartContent(
        # Without a league only *CWL state* is available.
        part.known("cwl", "rounds"),
        {
            "cwl_state": part.entity("cwl", (part.bridge, part.subject)).enum(
                "cwl_state",
                "CWL state",
                "mdi:shield-sword",
                _STATES,
                labels=translated(_STATE_LABELS, part.language),
                path=("state",),
            ),
            **_league(entity, standings=part.standings),
            **_round(entity),
            "cwl": part.event("cwl", "CWL", "mdi:shield-sword"),
            **part.triggers(),
        },
    )


def _league(entity: EntityFactory, *, standings: bool) -> dict[str, Component]:
    return {
        "cwl_league": entity.text(
            "cwl_league",
            "CWL league",
            "mdi:shield-star",
            path=("league",),
            attributes=templates.attributes({"season": "season", "clans": "clans"}),
        ),
        "cwl_round": entity.number(
            "cwl_round",
            "CWL round",
            "mdi:counter",
            path=("round",),
            attributes=templates.attributes({"rounds": "rounds"}),
        ),
        "cwl_total_stars": entity.number("cwl_total_stars", "CWL total stars", "mdi:star-circle", path=("stars",)),
        "cwl_position": entity.number(
            "cwl_position",
            "CWL position",
            "mdi:podium",
            path=("position",),
            attributes=templates.standings("standings", "standings"),
        )
        if standings
        else Removed(platform="sensor"),
    }


def _round(entity: EntityFactory) -> dict[str, Component]:
    """Return the entities of the current round's war, and of the next one's."""
    return {
        # Not `…_opponent`: the blueprints about wars look for the only sensor of the clan whose id ends like this.
        "cwl_opponent_name": entity.text(
            "cwl_opponent_name",
            "CWL opponent",
            "mdi:shield-sword-outline",
            path=("war", "opponent", "name"),
            attributes=templates.attributes({"tag": "tag", "level": "level"}, "war", "opponent"),
        ),
        "cwl_stars": entity.number("cwl_stars", "CWL stars", "mdi:star", path=("war", "clan", "stars")),
        "cwl_opponent_stars": entity.number(
            "cwl_opponent_stars", "CWL opponent stars", "mdi:star-outline", path=("war", "opponent", "stars")
        ),
        "cwl_destruction": entity.number(
            "cwl_destruction",
            "CWL destruction",
            "mdi:fire",
            path=("war", "clan", "destruction"),
            unit="%",
            precision=1,
        ),
        "cwl_attacks_left": entity.number(
            "cwl_attacks_left",
            "CWL attacks left",
            "mdi:sword",
            path=("war", "clan", "attacks_left"),
            attributes=templates.members("members", "war", "members_with_attacks_left"),
        ),
        "cwl_round_start": entity.timestamp(
            "cwl_round_start", "CWL round start", "mdi:flag", path=("war", "start_time"), attributes=_ROUND_ATTRIBUTES
        ),
        "cwl_round_end": entity.timestamp(
            "cwl_round_end",
            "CWL round end",
            "mdi:flag-checkered",
            path=("war", "end_time"),
            attributes=_ROUND_ATTRIBUTES,
        ),
        "cwl_next_opponent_name": entity.text(
            "cwl_next_opponent_name",
            "CWL next opponent",
            "mdi:shield-outline",
            path=("next_war", "opponent", "name"),
            attributes=templates.attributes({"round": "round", "start": "start_time", "end": "end_time"}, "next_war"),
        ),
    }
