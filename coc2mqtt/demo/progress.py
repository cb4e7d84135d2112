"""The progress of a player: units to upgrade, boost or equip, and achievements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

Json = dict[str, Any]

SUPER_TROOP = "super_troop"
ALL_STARS = 3


@dataclass(slots=True)
class Unit:
    """A troop, spell, hero or piece of equipment.

    ``category`` distinguishes the units of one list of the API, such as pets and siege machines among the troops; the
    API does not have it. ``boosted`` is for super troops.
    """

    name: str
    level: int
    max_level: int
    village: str
    category: str
    boosted: bool = False

    @property
    def can_upgrade(self) -> bool:
        """Whether there is a level left to upgrade to."""
        return self.level < self.max_level

    def body(self) -> Json:
        """Return the unit as in the API, which has the boost only if it is active."""
        body: Json = {"name": self.name, "level": self.level, "maxLevel": self.max_level}
        if self.boosted:
            body["superTroopIsActive"] = True
        return {**body, "village": self.village}


@dataclass(slots=True)
class Achievement:
    """A player's progress in an achievement; ``label`` is the text before the value, if the API has one.

    Name and village do not identify an achievement; name, village and ``info`` do.
    """

    name: str
    village: str
    stars: int
    value: int
    target: int
    info: str
    label: str | None

    @property
    def is_complete(self) -> bool:
        """Whether all stars are won."""
        return self.stars >= ALL_STARS

    def complete(self) -> None:
        """Win all stars."""
        self.stars = ALL_STARS
        self.value = max(self.value, self.target)

    def body(self) -> Json:
        """Return the achievement as in the API."""
        return {
            "name": self.name,
            "stars": self.stars,
            "value": self.value,
            "target": self.target,
            "info": self.info,
            "completionInfo": None if self.label is None else f"{self.label}{self.value}",
            "village": self.village,
        }


def draw_units(
    rng: random.Random, kinds: Iterable[tuple[str, int]], category: str, village: str = "home"
) -> list[Unit]:
    """Create units from ``kinds`` (name, highest level) with random levels below the highest."""
    return [Unit(name, max(1, round(top * rng.uniform(0.3, 0.8))), top, village, category) for name, top in kinds]
