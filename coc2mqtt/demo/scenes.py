"""Scenes of the demo's story: a clan war league and a raid weekend, from their start to their end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.world import World

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from coc2mqtt.demo.war import SideName

Json = dict[str, Any]
Action: TypeAlias = Callable[[World, str], object]
# Chosen when it is due, because the possible changes depend on the previous ones.
Decide: TypeAlias = Callable[[str], Action]
# The time of each change in seconds, the change, and the tag that it is about.
Plan: TypeAlias = list[tuple[float, Decide, str]]

# The smallest teams, so that a round has few attacks. All members attack, because the bridge publishes the result of a
# round with missed attacks only minutes later.
_TEAM_SIZE = 5
_ATTACKS_PER_ROUND = 2 * _TEAM_SIZE
# The districts of a raided clan.
_DISTRICTS = 4


class LeagueRound(NamedTuple):
    """The times of a round of a league: its draw, its battle, its attacks, and a change of its line-up.

    The end of the battle is announced ``delay`` seconds too early, and moved at ``delayed``. ``attacks`` are times, at
    each of which a share of all attacks is made.
    """

    drawn: float
    started: float
    ended: float
    attacks: Sequence[float]
    lineup: float | None = None
    lineup_side: SideName = "clan"
    delay: float = 0.0
    delayed: float = 0.0


def plan_league(clan: str, rounds: Sequence[LeagueRound], *, signed_up: float, speed: float) -> Plan:
    """Return the plan of a league of ``len(rounds) + 1`` clans; ``speed`` is the playback speed.

    The first round is drawn when the league starts. Ends, starts and draws at the same time are in this order.
    """
    plan: Plan = [(signed_up, always(World.sign_up), clan)]
    for number, one in enumerate(rounds, 1):
        terms = (
            timedelta(seconds=(one.started - one.drawn) / speed),
            timedelta(seconds=(one.ended - one.delay - one.started) / speed),
        )
        opening = _start_league(len(rounds) + 1, *terms) if number == 1 else _draw_round(*terms)
        plan += [(one.ended, always(_at_round(World.end_league_battle, number)), clan)]
        plan += [(one.started, always(_at_round(World.start_league_battle, number)), clan)]
        plan += [(one.drawn, always(opening), clan)]
        plan += [
            (time, always(_attack(number, count)), clan)
            for time, count in zip(one.attacks, _shares(_ATTACKS_PER_ROUND, len(one.attacks)), strict=True)
        ]
        if one.lineup is not None:
            plan += [(one.lineup, always(_change_lineup(number, one.lineup_side)), clan)]
        if one.delay:
            plan += [(one.delayed, always(_shift(number, timedelta(seconds=one.delay / speed))), clan)]
    return plan


def close_league(clan: str, *, ended: float, promoted: float, left: float, decide: Decide) -> Plan:
    """Return the plan after the last battle: the group ends, the league of the clan changes, and the group is gone."""
    return [(ended, always(World.end_league), clan), (promoted, decide, clan), (left, always(World.leave_league), clan)]


def plan_raids(world: World, clan: str, times: Sequence[float], *, speed: float, rng: random.Random) -> Plan:
    """Return the plan of a weekend from the first to the last of these times, with a change at each of them.

    Most changes are attacks. Another clan begins to raid the clan after a third of them and ends after two thirds.
    """
    started, *moments, ended = times
    duration = timedelta(seconds=(ended - started) / speed)

    def start_raids(world: World, tag: str) -> None:
        world.start_raids(tag, duration, districts=_DISTRICTS)

    def decide(tag: str) -> Action:
        return _next_raid_change(world, tag, rng)

    decisions: list[Decide] = [decide] * len(moments)
    decisions[len(moments) // 3] = always(_begin_defense)
    decisions[2 * len(moments) // 3] = always(World.raid_defense)
    return [
        (started, always(start_raids), clan),
        *((time, one, clan) for time, one in zip(moments, decisions, strict=True)),
        (ended, always(World.end_raids), clan),
    ]


def always(action: Action) -> Decide:
    """Return a decision for the same change in any case."""
    return lambda _: action


def _start_league(clans: int, preparation: timedelta, battle: timedelta) -> Action:
    def start_league(world: World, tag: str) -> None:
        world.start_league(tag, clans=clans, team_size=_TEAM_SIZE, preparation=preparation, battle=battle)

    return start_league


def _draw_round(preparation: timedelta, battle: timedelta) -> Action:
    def draw_round(world: World, tag: str) -> None:
        world.draw_round(tag, preparation, battle)

    return draw_round


def _at_round(change: Callable[[World, str, int], object], number: int) -> Action:
    def change_round(world: World, tag: str) -> None:
        change(world, tag, number)

    return change_round


def _attack(number: int, count: int) -> Action:
    def league_attack(world: World, tag: str) -> None:
        for _ in range(count):
            world.league_attack(tag, number=number)

    return league_attack


def _change_lineup(number: int, side: SideName) -> Action:
    def change_lineup(world: World, tag: str) -> None:
        world.change_lineup(tag, side, number)

    return change_lineup


def _shift(number: int, by: timedelta) -> Action:
    def shift_league_war(world: World, tag: str) -> None:
        world.shift_league_war(tag, by, number)

    return shift_league_war


def _next_raid_change(world: World, clan: str, rng: random.Random) -> Action:
    """Choose the next change of a raid weekend: an attack, if one is possible."""
    weekend: Json = (world.raid_seasons(clan, 1) or {})["items"][0]
    raid = weekend["attackLog"][-1]
    if raid["districtsDestroyed"] == raid["districtCount"]:
        return _raid
    return rng.choice((_attack_once, _attack_twice)) if _can_attack(world, clan, weekend) else _begin_defense


def _raid(world: World, clan: str) -> None:
    world.raid(clan, districts=_DISTRICTS)


def _begin_defense(world: World, clan: str) -> None:
    world.raid_defense(clan, attacks=2)


def _attack_once(world: World, clan: str) -> None:
    world.raid_attack(clan)


def _attack_twice(world: World, clan: str) -> None:
    world.raid_attack(clan)
    # The first one may have destroyed the clan, or be the last one that its members had left.
    with suppress(ImpossibleError):
        world.raid_attack(clan)


def _can_attack(world: World, clan: str, weekend: Json) -> bool:
    """Whether a member of the clan has an attack left."""
    used = {
        member["tag"]: member["attacks"] >= member["attackLimit"] + member["bonusAttackLimit"]
        for member in weekend["members"]
    }
    return not all(used.get(member["tag"], False) for member in (world.clan(clan) or {})["memberList"])


def _shares(total: int, parts: int) -> list[int]:
    """Return a number as nearly equal parts."""
    return [total * (part + 1) // parts - total * part // parts for part in range(parts)]
