"""The ranked battles in a player's device, with a discovery payload of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.parts import PartContent

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.components import Component
    from coc2mqtt.homeassistant.entities import EntityFactory
    from coc2mqtt.homeassistant.parts import PartContext


def ranked_part(part: PartContext) -> PartContent:
    """Return a player's ranked week; each entity is unavailable while it has no value."""

    def entity(key: str) -> EntityFactory:
        return part.entity("ranked", part.known("ranked", key))

    components: dict[str, Component] = {
        "ranked_tier": entity("tier").text("ranked_tier", "Ranked tier", "mdi:shield-star", path=("tier",)),
        "ranked_placement": entity("placement").number(
            "ranked_placement",
            "Ranked placement",
            "mdi:podium",
            path=("placement",),
            attributes=templates.attributes({"group_size": "group_size"}),
        ),
        "ranked_trophies": entity("trophies").number(
            "ranked_trophies", "Ranked trophies", "mdi:trophy", path=("trophies",)
        ),
        "ranked_attacks": entity("attacks").number(
            "ranked_attacks",
            "Ranked attacks",
            "mdi:sword",
            path=("attacks",),
            attributes=templates.attributes(
                {
                    "wins": "attack_wins",
                    "losses": "attack_losses",
                    "defenses": "defenses",
                }
            ),
        ),
        "ranked_week_end": entity("end_at").timestamp(
            "ranked_week_end",
            "Ranked week end",
            "mdi:flag-checkered",
            path=("end_at",),
        ),
        "ranked": part.event("ranked", "Ranked battles", "mdi:sword-cross"),
    }
    return PartContent((part.bridge, part.subject), {**components, **part.triggers()})
