"""A unit: what a player can upgrade, boost or wear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

Json = dict[str, Any]

SUPER_TROOP = "super_troop"


@dataclass(slots=True)
class Unit:
    """A troop, spell, hero or piece of equipment.

    ``category`` tells apart what stands in one list of the player's page, such as pets and siege machines among the
    troops; the API does not show it. ``boosted`` is for super troops.
    """

    name: str
    level: int
    max_level: int
    village: str
    category: str
    boosted: bool = False

    @property
    def can_rise(self) -> bool:
        """Whether there is a level left to upgrade to."""
        return self.level < self.max_level

    def body(self) -> Json:
        """Return the unit as the API shows it: whether it is boosted only if so."""
        body: Json = {"name": self.name, "level": self.level, "maxLevel": self.max_level}
        if self.boosted:
            body["superTroopIsActive"] = True
        return {**body, "village": self.village}


def draw_units(
    rng: random.Random, kinds: Iterable[tuple[str, int]], category: str, village: str = "home"
) -> list[Unit]:
    """Invent the level of each of ``kinds`` (name, highest level), below the highest so that there is room to grow."""
    return [Unit(name, max(1, round(top * rng.uniform(0.3, 0.8))), top, village, category) for name, top in kinds]
