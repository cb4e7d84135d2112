"""A player: the state behind a clan member and a player of the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import catalogue
from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.profile import draw_profile

if TYPE_CHECKING:
    import random

    from coc2mqtt.demo.changes import ExpectedEvent
    from coc2mqtt.demo.profile import Profile

Json = dict[str, Any]

ROLES = ("member", "admin", "coLeader", "leader")


@dataclass(slots=True, eq=False)
class Player:
    """A player and their changes.

    Each change is possible in the game and returns the event that must be published for it; ImpossibleError if it is
    not possible. Fields that only the player response has are in the ``profile``. A player without a clan keeps the
    ``role`` of a new member.
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
        """The rest of the player, generated from the tag on first access."""
        if self._profile is None:
            self._profile = draw_profile(catalogue.seeded(self.tag), town_hall=self.town_hall, trophies=self.trophies)
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

    def body(self, clan: Json | None) -> Json:
        """Return the player as in the API; ``clan`` is the player's clan in it, None without a clan."""
        membership = {} if clan is None else {"role": self.role, "clan": clan}
        return {
            "tag": self.tag,
            "name": self.name,
            "townHallLevel": self.town_hall,
            "expLevel": self.exp_level,
            "trophies": self.trophies,
            "attackWins": 0,
            "defenseWins": 0,
            "builderBaseTrophies": self.builder_base_trophies,
            "bestBuilderBaseTrophies": self.builder_base_trophies,
            **membership,
            "donations": self.donations,
            "donationsReceived": self.donations_received,
            "leagueTier": catalogue.league_tier(self.tier),
            "builderBaseLeague": catalogue.builder_base_league(self.builder_base_trophies),
            "playerHouse": self._house(),
            **self.profile.body(),
        }

    def upgrade_town_hall(self) -> ExpectedEvent:
        """Raise the town hall by one level."""
        if self.town_hall >= catalogue.HIGHEST_TOWN_HALL:
            raise ImpossibleError(f"{self.name} has the highest town hall already: choose another player")
        profile = self.profile
        self.town_hall += 1
        profile.renew_weapon(self.town_hall)
        return "townhall_upgraded", {"old_value": self.town_hall - 1, "new_value": self.town_hall}

    def rename(self, rng: random.Random) -> ExpectedEvent:
        """Change the name."""
        old = self.name
        while self.name == old:
            self.name = catalogue.player_name(rng)
        return "player_name_changed", {"old_value": old, "new_value": self.name}

    def change_league(self, rng: random.Random) -> ExpectedEvent:
        """Move one league up or down."""
        old = self.tier
        steps = [step for step in (old - 1, old + 1) if 0 <= step < len(catalogue.LEAGUE_TIERS)]
        self.tier = rng.choice(steps)
        names = catalogue.LEAGUE_TIERS
        return "player_league_changed", {"old_value": names[old], "new_value": names[self.tier]}

    def win_trophies(self, amount: int) -> ExpectedEvent:
        """Win ``amount`` trophies, at least one; a new record changes a second field."""
        profile = self.profile
        self.trophies += amount
        if self.trophies <= profile.best_trophies:
            return "player_updated", {"fields": ["trophies"]}
        profile.best_trophies = self.trophies
        return "player_updated", {"fields": ["bestTrophies", "trophies"]}

    def _house(self) -> Json:
        kinds = ("ground", "walls", "roof", "decoration")
        return {
            "elements": [{"type": kind, "id": number} for kind, number in zip(kinds, self.house, strict=True)],
        }


def draw_player(rng: random.Random, tag: str, *, min_town_hall: int = 10) -> Player:
    """Create a player with this tag, below the highest levels to allow upgrades."""
    town_hall = max(min_town_hall, rng.randint(10, 16))
    house = tuple(82000000 + rng.randrange(100) for _ in range(4))
    return Player(
        tag=tag,
        name=catalogue.player_name(rng),
        town_hall=town_hall,
        exp_level=town_hall * 13 + rng.randrange(20),
        tier=rng.randint(1, 30),
        trophies=rng.randint(0, 5000),
        builder_base_trophies=rng.randint(500, 4500),
        house=(house[0], house[1], house[2], house[3]),
        donations=rng.randint(0, 900),
        donations_received=rng.randint(0, 900),
    )
