"""A player's profile: the fields that only the player response has, such as units and achievements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import catalogue
from coc2mqtt.demo.changes import ImpossibleError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from coc2mqtt.demo.changes import ExpectedEvent

Json = dict[str, Any]

ALL_STARS = 3

_SUPER_TROOP = "super_troop"
_MOST_LABELS = 3
_HIGHEST_DRAWN_WEAPON = 3
_UPGRADED = {
    "troops": "troop_upgraded",
    "spells": "spell_upgraded",
    "heroes": "hero_upgraded",
    "heroEquipment": "hero_equipment_upgraded",
}


@dataclass(slots=True)
class Profile:
    """The part of a player that is created only on request, because most members are never polled as players.

    ``units`` are by the API's keys, such as ``troops``. ``worn`` has the equipped items of each hero of the home
    village. ``weapon`` is None for town halls without one. Each change returns the event that must be published for it;
    ImpossibleError if it is not possible.
    """

    units: dict[str, list[Unit]]
    worn: dict[str, list[str]]
    achievements: list[Achievement]
    labels: list[str]
    builder_hall: int
    weapon: int | None
    best_trophies: int
    war_stars: int
    capital_contributions: int
    war_preference: str = "in"

    def body(self) -> Json:
        """Return the profile's keys of the player response."""
        weapon = {} if self.weapon is None else {"townHallWeaponLevel": self.weapon}
        return {
            **weapon,
            "bestTrophies": self.best_trophies,
            "warStars": self.war_stars,
            "builderHallLevel": self.builder_hall,
            "warPreference": self.war_preference,
            "clanCapitalContributions": self.capital_contributions,
            "achievements": [achievement.body() for achievement in self.achievements],
            "labels": [catalogue.player_label(name) for name in self.labels],
            "troops": [unit.body() for unit in self.units["troops"]],
            "heroes": [self._hero(unit) for unit in self.units["heroes"]],
            "heroEquipment": [unit.body() for unit in self.units["heroEquipment"]],
            "spells": [unit.body() for unit in self.units["spells"]],
        }

    def upgrade(self, key: str, rng: random.Random) -> ExpectedEvent:
        """Upgrade one of the units under ``key`` by one level."""
        units = [unit for unit in self.units[key] if unit.can_upgrade]
        if not units:
            raise ImpossibleError(f"nothing is left to upgrade in {key}: choose another player")
        unit = rng.choice(units)
        unit.level += 1
        levels = {"old_level": unit.level - 1, "new_level": unit.level}
        return _UPGRADED[key], {"name": unit.name, **levels, "category": unit.category, "village": unit.village}

    def upgrade_builder_hall(self) -> ExpectedEvent:
        """Upgrade the builder hall by one level."""
        if self.builder_hall >= catalogue.HIGHEST_BUILDER_HALL:
            raise ImpossibleError("the builder hall is the highest already: choose another player")
        self.builder_hall += 1
        return "builderhall_upgraded", {"old_value": self.builder_hall - 1, "new_value": self.builder_hall}

    def upgrade_weapon(self) -> ExpectedEvent:
        """Upgrade the town hall weapon by one level."""
        if self.weapon is None or self.weapon >= catalogue.HIGHEST_WEAPON:
            trouble = "has no weapon" if self.weapon is None else "has its best weapon already"
            raise ImpossibleError(f"the town hall {trouble}: upgrade it first")
        self.weapon += 1
        return "townhall_weapon_upgraded", {"old_value": self.weapon - 1, "new_value": self.weapon}

    def renew_weapon(self, town_hall: int) -> None:
        """Reset the weapon for a new town hall; this has no event."""
        if town_hall >= catalogue.FIRST_ARMED_TOWN_HALL:
            self.weapon = 1

    def boost(self, rng: random.Random) -> ExpectedEvent:
        """Boost a super troop; at most two are active."""
        troops = self._super_troops()
        if sum(troop.boosted for troop in troops) >= catalogue.MOST_BOOSTED:
            raise ImpossibleError(f"{catalogue.MOST_BOOSTED} super troops are active already: end one first")
        troop = rng.choice([troop for troop in troops if not troop.boosted])
        troop.boosted = True
        return "super_troop_started", {"name": troop.name}

    def end_boost(self, rng: random.Random) -> ExpectedEvent:
        """End the boost of a super troop."""
        active = [troop for troop in self._super_troops() if troop.boosted]
        if not active:
            raise ImpossibleError("no super troop is active: boost one first")
        troop = rng.choice(active)
        troop.boosted = False
        return "super_troop_ended", {"name": troop.name}

    def wear(self, rng: random.Random) -> ExpectedEvent:
        """Replace an item of a hero's equipment."""
        hero = rng.choice(list(self.worn))
        worn = self.worn[hero]
        slot = rng.randrange(len(worn))
        old, new = worn[slot], rng.choice([name for name, _ in catalogue.EQUIPMENT[hero] if name not in worn])
        worn[slot] = new
        return "hero_equipment_changed", {"name": hero, "added": [new], "removed": [old]}

    def change_war_preference(self) -> ExpectedEvent:
        """Opt in to wars, or out of them."""
        old = self.war_preference
        self.war_preference = "out" if old == "in" else "in"
        return "player_war_preference_changed", {"old_value": old, "new_value": self.war_preference}

    def complete_achievement(self, rng: random.Random) -> ExpectedEvent:
        """Win all stars of an achievement."""
        open_ones = [achievement for achievement in self.achievements if not achievement.is_complete]
        if not open_ones:
            raise ImpossibleError("all achievements are complete: choose another player")
        achievement = rng.choice(open_ones)
        achievement.complete()
        return "achievement_completed", {"name": achievement.name, "village": achievement.village}

    def contribute(self, amount: int) -> list[ExpectedEvent]:
        """Contribute capital gold to the clan capital."""
        self.capital_contributions += amount
        details = {"amount": amount, "total": self.capital_contributions}
        return [("capital_contribution", details), ("player_updated", {"fields": ["clanCapitalContributions"]})]

    def change_labels(self, rng: random.Random) -> ExpectedEvent:
        """Choose other labels."""
        old = sorted(self.labels)
        new = old
        while new == old:
            self.labels = rng.sample(catalogue.PLAYER_LABELS, rng.randint(1, _MOST_LABELS))
            new = sorted(self.labels)
        return "player_label_changed", {"old_value": old, "new_value": new}

    def _super_troops(self) -> list[Unit]:
        return [unit for unit in self.units["troops"] if unit.category == _SUPER_TROOP]

    def _hero(self, hero: Unit) -> Json:
        body = hero.body()
        if hero.name in self.worn:
            pieces = {unit.name: unit for unit in self.units["heroEquipment"]}
            body["equipment"] = [pieces[name].body() for name in self.worn[hero.name]]
        return body


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


def draw_profile(rng: random.Random, *, town_hall: int, trophies: int) -> Profile:
    """Create the profile of a player with this town hall and these trophies."""
    equipment = [piece for pieces in catalogue.EQUIPMENT.values() for piece in pieces]
    return Profile(
        units={
            "troops": _draw_troops(rng),
            "spells": _draw_units(rng, catalogue.SPELLS, "spell"),
            "heroes": [
                *_draw_units(rng, catalogue.HEROES, "hero"),
                *_draw_units(rng, catalogue.BUILDER_BASE_HEROES, "hero", "builderBase"),
            ],
            "heroEquipment": _draw_units(rng, equipment, "equipment"),
        },
        worn={
            hero: [name for name, _ in pieces[: catalogue.WORN_AT_A_TIME]]
            for hero, pieces in catalogue.EQUIPMENT.items()
        },
        achievements=[Achievement(*given) for given in catalogue.ACHIEVEMENTS],
        labels=rng.sample(catalogue.PLAYER_LABELS, _MOST_LABELS),
        builder_hall=rng.randint(5, 8),
        weapon=rng.randint(1, _HIGHEST_DRAWN_WEAPON) if town_hall >= catalogue.FIRST_ARMED_TOWN_HALL else None,
        best_trophies=trophies + rng.randint(0, 300),
        war_stars=rng.randint(0, 3000),
        capital_contributions=rng.randint(0, 3_000_000),
    )


def _draw_troops(rng: random.Random) -> list[Unit]:
    return [
        *_draw_units(rng, catalogue.TROOPS, "troop"),
        *_draw_units(rng, catalogue.BUILDER_BASE_TROOPS, "builder_base_unit", "builderBase"),
        *_draw_units(rng, catalogue.SIEGE_MACHINES, "siege_machine"),
        *(Unit(name, 1, 1, "home", _SUPER_TROOP) for name in catalogue.SUPER_TROOPS),
        *_draw_units(rng, catalogue.PETS, "pet"),
    ]


def _draw_units(
    rng: random.Random, kinds: Iterable[tuple[str, int]], category: str, village: str = "home"
) -> list[Unit]:
    """Create units from ``kinds`` (name, highest level) with random levels below the highest."""
    return [Unit(name, max(1, round(top * rng.uniform(0.3, 0.8))), top, village, category) for name, top in kinds]
