"""The clan games in a clan's device, with a discovery payload of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.entities import translated
from coc2mqtt.homeassistant.parts import PartContent
from coc2mqtt.translations import message

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.components import Component
    from coc2mqtt.homeassistant.entities import EntityFactory
    from coc2mqtt.homeassistant.parts import PartContext

# The states of the payload, and the states of the sensor. Automations use the latter, so they never change.
_STATES = {"none": "no_games", "ongoing": "ongoing", "ended": "ended"}
_STATE_LABELS = {
    "no_games": message("No clan games"),
    "ongoing": message("Clan games"),
    "ended": message("Clan games ended"),
}


def games_part(part: PartContext) -> PartContent:
    """Return a clan's clan games."""
    return PartContent(
        # Before the first clan games, only *Clan games state* is available.
        part.known("games", "start_at"),
        {
            "clan_games_state": part.entity("games", (part.bridge, part.subject)).enum(
                "clan_games_state",
                "Clan games state",
                "mdi:trophy-variant",
                _STATES,
                labels=translated(_STATE_LABELS, part.language),
                path=("state",),
            ),
            **_games(part.entity("games")),
            "clan_games": part.event("clan_games", "Clan games", "mdi:trophy-variant"),
            **part.triggers(),
        },
    )


def _games(entity: EntityFactory) -> dict[str, Component]:
    return {
        "clan_games_points": entity.number(
            "clan_games_points",
            "Clan games points",
            "mdi:counter",
            path=("total",),
            attributes=templates.attributes({"max_points": "max_points", "partial": "partial"}),
        ),
        "clan_games_start": entity.timestamp("clan_games_start", "Clan games start", "mdi:flag", path=("start_at",)),
        "clan_games_end": entity.timestamp("clan_games_end", "Clan games end", "mdi:flag-checkered", path=("end_at",)),
        "clan_games_members_below": entity.count(
            "clan_games_members_below",
            "Clan games members below the maximum",
            "mdi:account-alert",
            path=("members_below",),
            attributes=templates.games_members("members", "members_below"),
        ),
    }
