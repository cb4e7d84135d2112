"""A war: two sides, fixed when it is declared, with their fighters and attacks; and the war log of a clan."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from coc2mqtt.demo.catalogue import badge_urls
from coc2mqtt.demo.changes import ImpossibleError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from coc2mqtt.demo.changes import ExpectedEvent
    from coc2mqtt.demo.player import Player

Json = dict[str, Any]
SideName = Literal["clan", "opponent"]
Result = Literal["win", "lose", "tie"]

ATTACKS_PER_MEMBER = 2
# The experience of a clan per star, and for winning.
_EXP_PER_STAR = 6
_EXP_FOR_A_WIN = 40
_STARS = (0, 1, 2, 3)
_STAR_WEIGHTS = (1, 3, 8, 8)
# The length of a war log; the story is endless.
_MAX_LOG_LENGTH = 20
_DESTRUCTION = {0: (0, 49), 1: (50, 75), 2: (50, 99), 3: (100, 100)}


@dataclass(slots=True, eq=False)
class War:
    """A war in state ``preparation``, ``inWar`` or ``warEnded``.

    Each change returns the events that must be published for it, and raises ImpossibleError if the state of the war
    does not allow it.
    """

    preparation_start: datetime
    start: datetime
    end: datetime
    clan: Side
    opponent: Side
    state: str = "preparation"
    attacks_per_member: int = ATTACKS_PER_MEMBER

    def body(self) -> Json:
        """Return the war as in the API."""
        return {
            "state": self.state,
            **self._terms(),
            "preparationStartTime": api_time(self.preparation_start),
            "startTime": api_time(self.start),
            "endTime": api_time(self.end),
            "clan": self.clan.body(self.opponent),
            "opponent": self.opponent.body(self.clan),
        }

    def seen_by_opponent(self) -> War:
        """Return the same war with the sides exchanged."""
        return replace(self, clan=self.opponent, opponent=self.clan)

    def log_body(self) -> Json:
        """Return the ended war as in the clan's war log, which has less about the opponent."""
        clan, opponent = self.clan.summary(self.opponent), self.opponent.summary(self.clan)
        del opponent["attacks"]
        result = self.result()
        experience = _EXP_PER_STAR * clan["stars"] + (_EXP_FOR_A_WIN if result == "win" else 0)
        return {
            "result": result,
            "endTime": api_time(self.end),
            **self._terms(),
            "clan": {**clan, "expEarned": experience},
            "opponent": opponent,
        }

    def start_battle(self) -> list[ExpectedEvent]:
        """Change from preparation to battle."""
        return [self._step("preparation", "inWar")]

    def attack(self, side: SideName | None, rng: random.Random) -> list[ExpectedEvent]:
        """Let a member of ``side`` (None: either side) attack a base that they have not attacked yet."""
        self.require("inWar")
        sides = {"clan": (self.clan, self.opponent), "opponent": (self.opponent, self.clan)}
        pairs = [pair for name, pair in sides.items() if side in (None, name)]
        ready = [
            (fighter, against)
            for own, against in pairs
            for fighter in own.fighters
            if len(fighter.attacks) < self.attacks_per_member
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

    def has_attacks_left(self) -> bool:
        """Whether a member of either side has an attack left."""
        fighters = (*self.clan.fighters, *self.opponent.fighters)
        return any(len(fighter.attacks) < self.attacks_per_member for fighter in fighters)

    def shift(self, by: timedelta) -> None:
        """Shift start and end, as a maintenance does."""
        self.require("preparation", "inWar")
        self.start += by
        self.end += by

    def finish(self) -> list[ExpectedEvent]:
        """Change from battle to ended."""
        return [self._step("inWar", "warEnded"), self._ended(observed=True)]

    def finish_unseen(self) -> list[ExpectedEvent]:
        """End a war that is replaced before a poll can see its end, possibly before its battle."""
        self.require("preparation", "inWar")
        self.state = "warEnded"
        return [self._ended(observed=False)]

    def leave(self) -> list[ExpectedEvent]:
        """Leave an ended war; for the opponent it stays unchanged."""
        self.require("warEnded")
        return [state_changed("warEnded", "notInWar")]

    def result(self) -> Result:
        """Return the result for the clan if the war ended now."""
        ours, theirs = self.clan.score(self.opponent), self.opponent.score(self.clan)
        return "win" if ours > theirs else "lose" if ours < theirs else "tie"

    def require(self, *states: str) -> None:
        """Raise ImpossibleError unless the war is in one of these states."""
        if self.state not in states:
            raise ImpossibleError(
                f"the war against {self.opponent.name} is in {self.state}, not in {' or '.join(states)}"
            )

    def _terms(self) -> Json:
        return {
            "teamSize": len(self.clan.fighters),
            "attacksPerMember": self.attacks_per_member,
            "battleModifier": "none",
        }

    def _ended(self, *, observed: bool) -> ExpectedEvent:
        details = {"opponent_tag": self.opponent.tag, "result": self.result(), "observed": observed}
        return "war_ended", details

    def _step(self, expected: str, state: str) -> ExpectedEvent:
        self.require(expected)
        self.state = state
        return state_changed(expected, state)


@dataclass(slots=True)
class Side:
    """One of the two clans of a war."""

    tag: str
    name: str
    level: int
    fighters: list[Fighter]

    def score(self, against: Side) -> tuple[int, float]:
        """Return (stars, destruction in percent) from the best attack on each base of ``against``."""
        destruction = self.total_destruction(against) / len(against.fighters)
        return sum(attack.stars for attack in against.best_defenses()), round(destruction, 5)

    def total_destruction(self, against: Side) -> int:
        """Return the sum of the destruction by the best attack on each base of ``against``, in percent."""
        return sum(attack.destruction for attack in against.best_defenses())

    def best_defenses(self) -> list[Attack]:
        """Return the best attack on each base of this side that was attacked."""
        return [attack for base in self.fighters if (attack := base.best_defense) is not None]

    @property
    def attack_count(self) -> int:
        """The number of attacks by this side."""
        return sum(len(fighter.attacks) for fighter in self.fighters)

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
            "attacks": self.attack_count,
            "stars": stars,
            "destructionPercentage": destruction,
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


class WarLog:
    """The last ended wars of a clan, newest first."""

    def __init__(self) -> None:
        self._wars: deque[War] = deque()

    def add(self, war: War) -> War | None:
        """Add a war that has just ended; return the oldest one if it is dropped."""
        self._wars.appendleft(war)
        return self._wars.pop() if len(self._wars) > _MAX_LOG_LENGTH else None

    def body(self) -> Json:
        """Return the log as in the API, on one page."""
        return {"items": [war.log_body() for war in self._wars], "paging": {"cursors": {}}}


def line_up(players: Sequence[Player], rng: random.Random) -> list[Fighter]:
    """Place players on the map by town hall, and list them unordered, as the API does."""
    ranked = sorted(players, key=lambda player: -player.town_hall)
    fighters = [
        Fighter(player.tag, player.name, player.town_hall, position) for position, player in enumerate(ranked, 1)
    ]
    rng.shuffle(fighters)
    return fighters


def no_war_body() -> Json:
    """Return the war of a clan that is not in a war: sides without tag, name and members."""

    def side() -> Json:
        return {
            "badgeUrls": badge_urls("nobody"),
            "clanLevel": 0,
            "attacks": 0,
            "stars": 0,
            "destructionPercentage": 0,
        }

    return {"state": "notInWar", "clan": side(), "opponent": side()}


def state_changed(old: str, new: str) -> ExpectedEvent:
    """Return the expected event of a change of the war state."""
    return "war_state_changed", {"war_state_from": old, "war_state_to": new}


def api_time(moment: datetime) -> str:
    """Return a time in the API's format."""
    return f"{moment:%Y%m%dT%H%M%S}.000Z"
