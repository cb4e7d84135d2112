"""A war: two sides, frozen when it is declared, and the attacks that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.demo.catalogue import badge_urls
from coc2mqtt.demo.change import ImpossibleError
from coc2mqtt.demo.names import clan_name
from coc2mqtt.demo.player import draw_player
from coc2mqtt.demo.side import Attack, Side, line_up

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from coc2mqtt.demo.change import Sighting
    from coc2mqtt.demo.clan import Clan

Json = dict[str, Any]
SideName = Literal["clan", "opponent"]
Result = Literal["win", "lose", "tie"]

ATTACKS_PER_MEMBER = 2
TEAM_SIZES = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
# What a clan learns from a war: for each of its stars, and for winning it.
_EXP_PER_STAR = 6
_EXP_FOR_A_WIN = 40
_STARS = (0, 1, 2, 3)
_STAR_WEIGHTS = (1, 3, 8, 8)
_DESTRUCTION = {0: (0, 49), 1: (50, 75), 2: (50, 99), 3: (100, 100)}


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
            **self._terms(),
            "preparationStartTime": _time(self.preparation_start),
            "startTime": _time(self.start),
            "endTime": _time(self.end),
            "clan": self.clan.body(self.opponent),
            "opponent": self.opponent.body(self.clan),
        }

    def seen_by_opponent(self) -> War:
        """Return the same war with the sides exchanged."""
        return replace(self, clan=self.opponent, opponent=self.clan)

    def log_body(self) -> Json:
        """Return the war as the clan's war log shows it once it has ended: with less of the opponent."""
        clan, opponent = self.clan.summary(self.opponent), self.opponent.summary(self.clan)
        del opponent["attacks"]
        result = self.result()
        learned = _EXP_PER_STAR * clan["stars"] + (_EXP_FOR_A_WIN if result == "win" else 0)
        return {
            "result": result,
            "endTime": _time(self.end),
            **self._terms(),
            "clan": {**clan, "expEarned": learned},
            "opponent": opponent,
        }

    def begin_battle(self) -> list[Sighting]:
        """Go from preparation into battle."""
        return [self._step("preparation", "inWar")]

    def attack(self, side: SideName | None, rng: random.Random) -> list[Sighting]:
        """Let one of ``side`` (None: of either) attack a base that the attacker has not attacked yet."""
        self.require("inWar")
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

    def shift(self, by: timedelta) -> None:
        """Move the times to come, as a maintenance does."""
        self.require("preparation", "inWar")
        self.start += by
        self.end += by

    def finish(self) -> list[Sighting]:
        """Go from battle to the war's end."""
        return [self._step("inWar", "warEnded"), self._ended(observed=True)]

    def finish_unseen(self) -> list[Sighting]:
        """End the war, even before its battle, when another takes its place before anybody could look."""
        self.require("preparation", "inWar")
        self.state = "warEnded"
        return [self._ended(observed=False)]

    def leave(self) -> list[Sighting]:
        """Leave a war that has ended: it stays as it is, for whoever is still in it."""
        self.require("warEnded")
        return [_state_changed("warEnded", "notInWar")]

    def result(self) -> Result:
        """Return what the war is, or would be if it ended now, for the clan."""
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
            "attacksPerMember": ATTACKS_PER_MEMBER,
            "battleModifier": "none",
        }

    def _ended(self, *, observed: bool) -> Sighting:
        details = {"opponent_tag": self.opponent.tag, "result": self.result(), "observed": observed}
        return "war_ended", details

    def _step(self, expected: str, state: str) -> Sighting:
        self.require(expected)
        self.state = state
        return _state_changed(expected, state)


def declare(
    clan: Clan, rng: random.Random, tags: Iterator[str], *, now: datetime, preparation: timedelta, battle: timedelta
) -> tuple[War, list[Sighting]]:
    """Return a new war of the clan against an invented one, as large as its members allow, and its events.

    A war that the clan has already is taken to have ended, perhaps unseen.
    """
    size = max((size for size in TEAM_SIZES if size <= len(clan.members)), default=0)
    if not size:
        raise ImpossibleError(f"{clan.name} has fewer than {TEAM_SIZES[0]} members: let somebody join first")
    opponents = [draw_player(rng, next(tags)) for _ in range(size)]
    war = War(
        preparation_start=now,
        start=now + preparation,
        end=now + preparation + battle,
        clan=Side(clan.tag, clan.name, clan.level, line_up(rng.sample(clan.members, size), rng)),
        opponent=Side(next(tags), clan_name(rng), rng.randint(5, 25), line_up(opponents, rng)),
    )
    old_state = "notInWar" if clan.war is None else "warEnded"
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


def _state_changed(old: str, new: str) -> Sighting:
    return "war_state_changed", {"war_state_from": old, "war_state_to": new}


def _time(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}.000Z"
