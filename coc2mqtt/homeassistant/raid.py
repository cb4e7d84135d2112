"""The raid weekend in a clan's device, with a discovery payload of its own, like its clan war league."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import NumberSensor
from coc2mqtt.homeassistant.entities import translated
from coc2mqtt.homeassistant.parts import PartContent
from coc2mqtt.translations import message

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.components import Component
    from coc2mqtt.homeassistant.entities import EntityFactory
    from coc2mqtt.homeassistant.identity import Identity
    from coc2mqtt.homeassistant.parts import PartContext

# The states of the payload, and the states of the sensor. Automations use the latter, so they never change.
_STATES = {"none": "no_raid", "ongoing": "ongoing", "ended": "ended"}
_STATE_LABELS = {
    "no_raid": message("No raid weekend"),
    "ongoing": message("Raid weekend"),
    "ended": message("Raid weekend ended"),
}
# Of a member who has destroyed a district.
_MOST_ATTACKS = 6


def raid_part(part: PartContext) -> PartContent:
    """Return a clan's raid weekends."""
    return PartContent(
        # If the clan has never raided, only *Raid state* is available.
        part.known("raid", "start_time"),
        {
            "raid_state": part.entity("raid", (part.bridge, part.subject)).enum(
                "raid_state",
                "Raid state",
                "mdi:castle",
                _STATES,
                labels=translated(_STATE_LABELS, part.language),
                path=("state",),
            ),
            **_weekend(part.entity("raid")),
            "raid_medals": _medals(part.identity, part.topics.states["raid"]),
            "raid": part.event("raid", "Raid", "mdi:castle"),
            **part.triggers(),
        },
    )


def _weekend(entity: EntityFactory) -> dict[str, Component]:
    return {
        "raid_start": entity.timestamp("raid_start", "Raid start", "mdi:flag", path=("start_time",)),
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
