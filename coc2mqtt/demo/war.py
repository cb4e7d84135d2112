"""A war: two sides, frozen when it is declared, and the attacks that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from coc2mqtt.demo.catalogue import badge_urls
from coc2mqtt.demo.change import ImpossibleError
from coc2mqtt.demo.names import clan_name
from coc2mqtt.demo.player import draw_player

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from coc2mqtt.demo.change import Sighting
    from coc2mqtt.demo.clan import Clan
    from coc2mqtt.demo.player import Player

Json = dict[str, Any]
SideName = Literal["clan", "opponent"]

ATTACKS_PER_MEMBER = 2
TEAM_SIZES = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
_STARS = (0, 1, 2, 3)
_STAR_WEIGHTS = (1, 3, 8, 8)
_DESTRUCTION = {0: (0, 49), 1: (50, 75), 2: (50, 99), 3: (100, 100)}


class Attack(NamedTuple):
    """One attack; ``order`` counts over both sides, ``duration`` is seconds."""

    attacker_tag: str
    defender_tag: str
    stars: int
    destruction: int
    order: int
    duration: int

    def body(self) -> Json:
        """Return the attack as the API shows it."""
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
    """A player as the war knows one: name and town hall stay as they were when it was declared."""

    tag: str
    name: str
    town_hall: int
    position: int
    attacks: list[Attack] = field(default_factory=list)
    defenses: list[Attack] = field(default_factory=list)

    @property
    def best_defense(self) -> Attack | None:
        """The best attack on this base, the one that counts; the first one of equals."""
        return max(self.defenses, key=lambda one: (one.stars, one.destruction), default=None)

    def body(self) -> Json:
        """Return the fighter as the API shows it: keys that have nothing to say are left out."""
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
        """Return (stars, destruction in percent): each base of ``against`` counts with the best attack on it."""
        best = [attack for base in against.fighters if (attack := base.best_defense) is not None]
        destruction = sum(attack.destruction for attack in best) / len(against.fighters)
        return sum(attack.stars for attack in best), round(destruction, 5)

    def body(self, against: Side) -> Json:
        """Return the side as the API shows it."""
        stars, destruction = self.score(against)
        return {
            "tag": self.tag,
            "name": self.name,
            "badgeUrls": badge_urls(self.tag),
            "clanLevel": self.level,
            "attacks": sum(len(fighter.attacks) for fighter in self.fighters),
            "stars": stars,
            "destructionPercentage": destruction,
            "members": [fighter.body() for fighter in self.fighters],
        }


@dataclass(slots=True, eq=False)
class War:
    """A regular war in state ``preparation``, ``inWar`` or ``warEnded``.

    Each change gives the events that a perfect watcher of the war reports for it; ImpossibleError where the state of
    the war does not allow it.
    """

    preparation_start: datetime
    start: datetime
    end: datetime
    clan: Side
    opponent: Side
    state: str = "preparation"

    def body(self) -> Json:
        """Return the war as the API shows it."""
        return {
            "state": self.state,
            "teamSize": len(self.clan.fighters),
            "attacksPerMember": ATTACKS_PER_MEMBER,
            "battleModifier": "none",
            "preparationStartTime": _time(self.preparation_start),
            "startTime": _time(self.start),
            "endTime": _time(self.end),
            "clan": self.clan.body(self.opponent),
            "opponent": self.opponent.body(self.clan),
        }

    def begin_battle(self) -> list[Sighting]:
        """Go from preparation into battle."""
        return [self._step("preparation", "inWar")]

    def attack(self, side: SideName | None, rng: random.Random) -> list[Sighting]:
        """Let one of ``side`` (None: of either) attack a base that the attacker has not attacked yet."""
        self._require("inWar")
        sides = {"clan": (self.clan, self.opponent), "opponent": (self.opponent, self.clan)}
        pairs = [pair for name, pair in sides.items() if side in (None, name)]
        ready = [
            (fighter, against)
            for own, against in pairs
            for fighter in own.fighters
            if len(fighter.attacks) < ATTACKS_PER_MEMBER
        ]
        if not ready:
            raise ImpossibleError("all attacks of this war are used up: end the war")
        attacker, against = rng.choice(ready)
        attacked = {attack.defender_tag for attack in attacker.attacks}
        defender = rng.choice([base for base in against.fighters if base.tag not in attacked])
        stars = rng.choices(_STARS, _STAR_WEIGHTS)[0]
        order = 1 + sum(len(fighter.attacks) for one in (self.clan, self.opponent) for fighter in one.fighters)
        attack = Attack(
            attacker.tag, defender.tag, stars, rng.randint(*_DESTRUCTION[stars]), order, rng.randint(40, 180)
        )
        attacker.attacks.append(attack)
        defender.defenses.append(attack)
        details = {"attacker_tag": attacker.tag, "defender_tag": defender.tag, "stars": stars, "order": order}
        return [("war_attack_new", details)]

    def finish(self) -> list[Sighting]:
        """Go from battle to the war's end."""
        return [self._step("inWar", "warEnded"), ("war_ended", {"opponent_tag": self.opponent.tag})]

    def clear(self) -> list[Sighting]:
        """Leave a war that has ended."""
        return [self._step("warEnded", "notInWar")]

    def result(self) -> int:
        """Return above 0 when the clan is ahead, 0 for a tie, below 0 when it is behind."""
        ours, theirs = self.clan.score(self.opponent), self.opponent.score(self.clan)
        return (ours > theirs) - (ours < theirs)

    def _step(self, expected: str, state: str) -> Sighting:
        self._require(expected)
        self.state = state
        return _state_changed(expected, state)

    def _require(self, state: str) -> None:
        if self.state != state:
            raise ImpossibleError(f"the war against {self.opponent.name} is in {self.state}, not in {state}")


def declare(
    clan: Clan, rng: random.Random, tags: Iterator[str], *, now: datetime, preparation: timedelta, battle: timedelta
) -> tuple[War, list[Sighting]]:
    """Return a new war of the clan against an invented one, as large as its members allow, and its events."""
    size = max((size for size in TEAM_SIZES if size <= len(clan.members)), default=0)
    if not size:
        raise ImpossibleError(f"{clan.name} has fewer than {TEAM_SIZES[0]} members: let somebody join first")
    old_state = "notInWar" if clan.war is None else clan.war.state
    if old_state not in ("notInWar", "warEnded"):
        raise ImpossibleError(f"{clan.name} is in a war already: end it first")
    opponents = [draw_player(rng, next(tags)) for _ in range(size)]
    war = War(
        preparation_start=now,
        start=now + preparation,
        end=now + preparation + battle,
        clan=Side(clan.tag, clan.name, clan.level, _line_up(rng.sample(clan.members, size), rng)),
        opponent=Side(next(tags), clan_name(rng), rng.randint(5, 25), _line_up(opponents, rng)),
    )
    return war, [("war_new", {"opponent_tag": war.opponent.tag}), _state_changed(old_state, "preparation")]


def no_war_body() -> Json:
    """Return what the API shows of a clan that is not in a war: sides without tag, name and members."""

    def side() -> Json:
        return {
            "badgeUrls": badge_urls("nobody"),
            "clanLevel": 0,
            "attacks": 0,
            "stars": 0,
            "destructionPercentage": 0,
        }

    return {"state": "notInWar", "clan": side(), "opponent": side()}


def _line_up(players: Sequence[Player], rng: random.Random) -> list[Fighter]:
    """Place players on the map by town hall, and list them in no order, as the API does."""
    ranked = sorted(players, key=lambda player: -player.town_hall)
    fighters = [
        Fighter(player.tag, player.name, player.town_hall, position) for position, player in enumerate(ranked, 1)
    ]
    rng.shuffle(fighters)
    return fighters


def _state_changed(old: str, new: str) -> Sighting:
    return "war_state_changed", {"war_state_from": old, "war_state_to": new}


def _time(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}.000Z"
