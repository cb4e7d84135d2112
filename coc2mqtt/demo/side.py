"""One side of a war: the fighters of a clan, their attacks and defenses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.demo.catalogue import badge_urls

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from coc2mqtt.demo.player import Player

Json = dict[str, Any]


class Attack(NamedTuple):
    """One attack; ``order`` counts over both sides, ``duration`` is seconds."""

    attacker_tag: str
    defender_tag: str
    stars: int
    destruction: int
    order: int
    duration: int

    def body(self) -> Json:
        """Return the attack as in the API."""
        return {
            "attackerTag": self.attacker_tag,
            "defenderTag": self.defender_tag,
            "stars": self.stars,
            "destructionPercentage": self.destruction,
            "order": self.order,
            "duration": self.duration,
        }


@dataclass(slots=True)
class Fighter:
    """A player in a war; name and town hall are those at its declaration."""

    tag: str
    name: str
    town_hall: int
    position: int
    attacks: list[Attack] = field(default_factory=list)
    defenses: list[Attack] = field(default_factory=list)

    @property
    def best_defense(self) -> Attack | None:
        """The best attack on this base, which counts for the score; the first one of equal attacks."""
        return max(self.defenses, key=lambda one: (one.stars, one.destruction), default=None)

    def body(self) -> Json:
        """Return the fighter as in the API, which omits empty keys."""
        body: Json = {
            "tag": self.tag,
            "name": self.name,
            "townhallLevel": self.town_hall,
            "mapPosition": self.position,
        }
        if self.attacks:
            body["attacks"] = [attack.body() for attack in self.attacks]
        body["opponentAttacks"] = len(self.defenses)
        if (best := self.best_defense) is not None:
            body["bestOpponentAttack"] = best.body()
        return body


@dataclass(slots=True)
class Side:
    """One of the two clans of a war."""

    tag: str
    name: str
    level: int
    fighters: list[Fighter]

    def score(self, against: Side) -> tuple[int, float]:
        """Return (stars, destruction in percent) from the best attack on each base of ``against``."""
        best = [attack for base in against.fighters if (attack := base.best_defense) is not None]
        destruction = sum(attack.destruction for attack in best) / len(against.fighters)
        return sum(attack.stars for attack in best), round(destruction, 5)

    def body(self, against: Side) -> Json:
        """Return the side as in a current war of the API."""
        return {**self.summary(against), "members": [fighter.body() for fighter in self.fighters]}

    def summary(self, against: Side) -> Json:
        """Return the side without its members."""
        stars, destruction = self.score(against)
        return {
            "tag": self.tag,
            "name": self.name,
            "badgeUrls": badge_urls(self.tag),
            "clanLevel": self.level,
            "attacks": sum(len(fighter.attacks) for fighter in self.fighters),
            "stars": stars,
            "destructionPercentage": destruction,
        }


def line_up(players: Sequence[Player], rng: random.Random) -> list[Fighter]:
    """Place players on the map by town hall, and list them unordered, as the API does."""
    ranked = sorted(players, key=lambda player: -player.town_hall)
    fighters = [
        Fighter(player.tag, player.name, player.town_hall, position) for position, player in enumerate(ranked, 1)
    ]
    rng.shuffle(fighters)
    return fighters
