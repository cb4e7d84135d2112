"""A player: the state behind a member of a clan and behind a player's own page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import catalogue
from coc2mqtt.demo.change import ImpossibleError
from coc2mqtt.demo.names import player_name, seeded

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from coc2mqtt.demo.change import Sighting

Json = dict[str, Any]

ROLES = ("member", "admin", "coLeader", "leader")
_MOST_LABELS = 3


@dataclass(slots=True)
class Unit:
    """A troop, spell, hero or piece of equipment."""

    name: str
    level: int
    max_level: int
    village: str

    def body(self) -> Json:
        """Return the unit as the API shows it."""
        return {"name": self.name, "level": self.level, "maxLevel": self.max_level, "village": self.village}


@dataclass(slots=True)
class Profile:
    """What only a player's own page shows: kept apart, as most members are never asked for."""

    units: dict[str, list[Unit]]
    labels: list[str]
    builder_hall: int
    best_trophies: int
    war_stars: int
    capital_contributions: int


@dataclass(slots=True, eq=False)
class Player:
    """A player and the single changes in a player's life.

    Each change is one that the game could show and gives the events that a perfect watcher of the player's page
    reports for it. ImpossibleError where there is nothing left to change.
    """

    tag: str
    name: str
    town_hall: int
    exp_level: int
    tier: int
    trophies: int
    builder_base_trophies: int
    house: tuple[int, int, int, int]
    role: str = "member"
    previous_rank: int = 0
    donations: int = 0
    donations_received: int = 0
    _profile: Profile | None = field(default=None, repr=False)

    @property
    def profile(self) -> Profile:
        """The rest of the player, drawn from the tag when it is first looked at."""
        if self._profile is None:
            self._profile = _draw_profile(seeded(self.tag), self)
        return self._profile

    def member_body(self, rank: int) -> Json:
        """Return the player as an entry of ``memberList``."""
        return {
            "tag": self.tag,
            "name": self.name,
            "role": self.role,
            "townHallLevel": self.town_hall,
            "expLevel": self.exp_level,
            "league": catalogue.frozen_league(),
            "leagueTier": catalogue.league_tier(self.tier),
            "trophies": self.trophies,
            "builderBaseTrophies": self.builder_base_trophies,
            "clanRank": rank,
            "previousClanRank": self.previous_rank,
            "donations": self.donations,
            "donationsReceived": self.donations_received,
            "playerHouse": self._house(),
            "builderBaseLeague": catalogue.builder_base_league(self.builder_base_trophies),
        }

    def body(self, clan: Json) -> Json:
        """Return the player's own page; ``clan`` is what it shows of the player's clan."""
        profile = self.profile
        return {
            "tag": self.tag,
            "name": self.name,
            "townHallLevel": self.town_hall,
            "expLevel": self.exp_level,
            "trophies": self.trophies,
            "bestTrophies": profile.best_trophies,
            "warStars": profile.war_stars,
            "attackWins": 0,
            "defenseWins": 0,
            "builderHallLevel": profile.builder_hall,
            "builderBaseTrophies": self.builder_base_trophies,
            "bestBuilderBaseTrophies": self.builder_base_trophies,
            "role": self.role,
            "warPreference": "in",
            "donations": self.donations,
            "donationsReceived": self.donations_received,
            "clanCapitalContributions": profile.capital_contributions,
            "clan": clan,
            "leagueTier": catalogue.league_tier(self.tier),
            "builderBaseLeague": catalogue.builder_base_league(self.builder_base_trophies),
            "achievements": _achievements(),
            "playerHouse": self._house(),
            "labels": [catalogue.player_label(name) for name in profile.labels],
            "troops": [unit.body() for unit in profile.units["troops"]],
            "heroes": _heroes(profile),
            "heroEquipment": [unit.body() for unit in profile.units["heroEquipment"]],
            "spells": [unit.body() for unit in profile.units["spells"]],
        }

    def upgrade(self, kind: str, rng: random.Random) -> Sighting:
        """Raise one of the units of ``kind`` (the page's key, such as ``troops``) by one level."""
        units = [unit for unit in self.profile.units[kind] if unit.level < unit.max_level]
        if not units:
            raise ImpossibleError(f"{self.name} has nothing left to upgrade in {kind}: choose another player")
        unit = rng.choice(units)
        unit.level += 1
        event_type = {
            "troops": "troop_upgraded",
            "spells": "spell_upgraded",
            "heroes": "hero_upgraded",
            "heroEquipment": "hero_equipment_upgraded",
        }[kind]
        return event_type, {"name": unit.name, "old_level": unit.level - 1, "new_level": unit.level}

    def upgrade_town_hall(self) -> Sighting:
        """Raise the town hall by one level."""
        if self.town_hall >= catalogue.HIGHEST_TOWN_HALL:
            raise ImpossibleError(f"{self.name} has the highest town hall already: choose another player")
        self.town_hall += 1
        return "townhall_upgraded", {"old_value": self.town_hall - 1, "new_value": self.town_hall}

    def upgrade_builder_hall(self) -> Sighting:
        """Raise the builder hall by one level."""
        profile = self.profile
        if profile.builder_hall >= catalogue.HIGHEST_BUILDER_HALL:
            raise ImpossibleError(f"{self.name} has the highest builder hall already: choose another player")
        profile.builder_hall += 1
        return "builderhall_upgraded", {"old_value": profile.builder_hall - 1, "new_value": profile.builder_hall}

    def rename(self, rng: random.Random) -> Sighting:
        """Take another name."""
        old = self.name
        while self.name == old:
            self.name = player_name(rng)
        return "player_name_changed", {"old_value": old, "new_value": self.name}

    def change_league(self, rng: random.Random) -> Sighting:
        """Move one league up or down."""
        old = self.tier
        steps = [step for step in (old - 1, old + 1) if 0 <= step < len(catalogue.LEAGUE_TIERS)]
        self.tier = rng.choice(steps)
        names = catalogue.LEAGUE_TIERS
        return "player_league_changed", {"old_value": names[old], "new_value": names[self.tier]}

    def change_labels(self, rng: random.Random) -> Sighting:
        """Wear other labels."""
        old = sorted(self.profile.labels)
        new = old
        while new == old:
            self.profile.labels = rng.sample(catalogue.PLAYER_LABELS, rng.randint(1, _MOST_LABELS))
            new = sorted(self.profile.labels)
        return "player_label_changed", {"old_value": old, "new_value": new}

    def win_trophies(self, amount: int) -> Sighting:
        """Win ``amount`` trophies, at least one; a record is a second field."""
        self.trophies += amount
        if self.trophies <= self.profile.best_trophies:
            return "player_updated", {"fields": ["trophies"]}
        self.profile.best_trophies = self.trophies
        return "player_updated", {"fields": ["bestTrophies", "trophies"]}

    def _house(self) -> Json:
        kinds = ("ground", "walls", "roof", "decoration")
        return {
            "elements": [{"type": kind, "id": number} for kind, number in zip(kinds, self.house, strict=True)],
        }


def draw_player(rng: random.Random, tag: str) -> Player:
    """Invent a player with this tag, below the highest levels so that there is room to grow."""
    town_hall = rng.randint(10, 16)
    house = tuple(82000000 + rng.randrange(100) for _ in range(4))
    return Player(
        tag=tag,
        name=player_name(rng),
        town_hall=town_hall,
        exp_level=town_hall * 13 + rng.randrange(20),
        tier=rng.randint(1, 30),
        trophies=rng.randint(0, 5000),
        builder_base_trophies=rng.randint(500, 4500),
        house=(house[0], house[1], house[2], house[3]),
        donations=rng.randint(0, 900),
        donations_received=rng.randint(0, 900),
    )


def _draw_profile(rng: random.Random, player: Player) -> Profile:
    def units(kinds: Iterable[tuple[str, int]], village: str = "home") -> list[Unit]:
        return [Unit(name, max(1, round(top * rng.uniform(0.3, 0.8))), top, village) for name, top in kinds]

    return Profile(
        units={
            "troops": units(catalogue.TROOPS) + units(catalogue.BUILDER_BASE_TROOPS, "builderBase"),
            "spells": units(catalogue.SPELLS),
            "heroes": units(catalogue.HEROES) + units(catalogue.BUILDER_BASE_HEROES, "builderBase"),
            "heroEquipment": units(catalogue.EQUIPMENT),
        },
        labels=rng.sample(catalogue.PLAYER_LABELS, _MOST_LABELS),
        builder_hall=rng.randint(5, 8),
        best_trophies=player.trophies + rng.randint(0, 300),
        war_stars=rng.randint(0, 3000),
        capital_contributions=rng.randint(0, 3_000_000),
    )


def _heroes(profile: Profile) -> list[Json]:
    """Return the heroes, those of the home village each with the two pieces of equipment that they wear."""
    equipment = profile.units["heroEquipment"]
    heroes = []
    for number, hero in enumerate(profile.units["heroes"]):
        body = hero.body()
        if hero.village == "home":
            body["equipment"] = [unit.body() for unit in equipment[2 * number : 2 * number + 2]]
        heroes.append(body)
    return heroes


def _achievements() -> list[Json]:
    return [
        {
            "name": name,
            "stars": stars,
            "value": value,
            "target": target,
            "info": info,
            "completionInfo": None if label is None else f"{label}{value}",
            "village": "home",
        }
        for name, stars, value, target, info, label in catalogue.ACHIEVEMENTS
    ]
