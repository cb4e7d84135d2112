"""Scripts of changes in a world, and the story of the demo.

The story is an opening of a minute and a half with every kind of change, then an endless series of chapters. The bridge
polls each resource of the demo about once a second. Changes of one resource are at least ``_MIN_GAP_S`` seconds apart,
so that a poll sees each of them, and nothing changes around a maintenance.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from coc2mqtt.demo.catalogue import seeded
from coc2mqtt.demo.choices import Choices
from coc2mqtt.demo.scenes import LeagueRound, always, close_league, plan_league, plan_raids
from coc2mqtt.demo.world import World

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from coc2mqtt.demo.scenes import Action, Plan

    Json = dict[str, Any]

_log = structlog.get_logger()

_MIN_GAP_S = 1.7
_MAX_GAP_S = 8.0
_MAX_STEADY_GAP_S = 2.4
_QUIET_BEFORE_S = 2.5
_QUIET_AFTER_S = 3.5
_OPENING_END_S = 92.0
_MAX_ACTIVE = 4
_CHAPTERS_BETWEEN_MAINTENANCES = 4
_REPLACED_WAR_SHARE = 0.3
# The shortest time of a reminder is a minute.
_LONG_BATTLE_S = 68.0


@dataclass(frozen=True)
class Step:
    """A change ``delay`` seconds of script time after the previous step."""

    delay: float
    describe: str
    apply: Callable[[World], object]


@dataclass(frozen=True)
class Script:
    """A timeline of steps; it may be endless.

    ``steps`` is called with the playback speed, because a war has the times of its start and end in advance. The next
    step is requested after the previous one was applied.
    """

    steps: Callable[[float], Iterator[Step]]


async def play(
    world: World,
    script: Script,
    *,
    speed: float = 1.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Apply the script to the world at ``speed`` times real time; return when it ends."""
    for step in script.steps(speed):
        await sleep(step.delay / speed)
        step.apply(world)
        _log.debug("demo step applied", step=step.describe)


def demo_script(world: World, seed: int = 1) -> Script:
    """Return the story of ``coc2mqtt demo`` for a world with at least one clan and one player to watch.

    It is endless, and the same for equal worlds and seeds. The first step is after 4 s. The first 45 s contain a
    complete war, changes of clans and players, and a maintenance of 6 s; the first 62 s nearly every kind of change. A
    raid weekend, and later every fourth war, lasts longer than a minute, so that a reminder is due. A maintenance
    recurs every few minutes, followed by a new season. Clans keep 8 to 50 members.
    """
    return Script(lambda speed: _Story(world, seed, speed).steps())


class _Round(NamedTuple):
    """The times of a war: declaration, battle start, attacks and end."""

    declared: float
    started: float
    attacks: Sequence[float]
    ended: float


class _Story:
    """Plans each chapter when the previous one is over; times are in seconds from the start of the story."""

    def __init__(self, world: World, seed: int, speed: float) -> None:
        self._world = world
        self._rng = seeded(f"story {seed}")
        self._choose = Choices(world, self._rng)
        self._speed = speed

    def steps(self) -> Iterator[Step]:
        elapsed = 0.0
        for plan in self._chapters():
            for time, decide, tag in sorted(plan, key=itemgetter(0)):
                action = decide(tag)
                describe = f"{action.__name__} {tag}".replace("_", " ").strip()
                yield Step(time - elapsed, describe, _bound(action, tag))
                elapsed = time

    def _chapters(self) -> Iterator[Plan]:
        yield self._opening()
        now = _OPENING_END_S
        for number in count(1):
            plan, now = self._chapter(number, now)
            yield plan
            if number % _CHAPTERS_BETWEEN_MAINTENANCES == 0:
                ends = now + _QUIET_BEFORE_S + self._rng.uniform(6.0, 15.0)
                yield _maintenance(now + _QUIET_BEFORE_S, ends)
                now = ends + _QUIET_AFTER_S
                yield [(now, self._choose.start_season, self._rng.choice(self._world.clan_tags))]

    def _opening(self) -> Plan:
        clans, players = self._world.clan_tags, self._world.player_tags
        plan = self._wars(
            clans[0], [_Round(declared=4.0, started=8.0, attacks=(9.6, 11.2, 12.8, 14.4), ended=16.0)], cleared=21.0
        )
        # No change of the clan around 16.0, when it shows the result of the war. In a world with one clan and one
        # player, the first and the last one are the same, so their changes do not overlap.
        for time, decide, tag in (
            *((5.0, self._choose.grow, clans[0]), (7.0, always(World.donate), clans[0])),
            *((9.0, always(World.gain_points), clans[0]), (11.0, always(World.promote), clans[0])),
            *((13.0, always(World.upgrade_member_town_hall), clans[0]), (18.0, self._choose.move, clans[0])),
            *((20.0, always(World.rename_member), clans[0]), (22.0, self._choose.grow, clans[-1])),
            *((6.0, always(World.upgrade_troop), players[0]), (8.0, always(World.upgrade_spell), players[0])),
            *((10.0, always(World.upgrade_hero), players[0]), (12.0, always(World.upgrade_equipment), players[0])),
            *((14.0, always(World.win_trophies), players[0]), (16.0, always(World.upgrade_town_hall), players[0])),
            *((18.0, always(World.rename_player), players[-1]), (20.0, always(World.change_league), players[-1])),
            *((22.0, always(World.change_labels), players[-1]), (24.0, self._choose.change_player, players[-1])),
        ):
            plan.append((time, decide, tag))
        return plan + _maintenance(27.0, 33.0) + self._second_scene() + self._third_scene() + self._first_league()

    def _second_scene(self) -> Plan:
        """Return the plan after the first maintenance: a war whose end no poll sees, and the rarer changes."""
        clans, players = self._world.clan_tags, self._world.player_tags
        unseen = _Round(declared=37.0, started=41.0, attacks=(42.7, 44.4, 46.1), ended=47.8)
        plan = self._wars(
            clans[0], [unseen, _Round(47.8, started=51.8, attacks=(53.5, 55.2), ended=56.9)], cleared=61.4
        )
        # The clan shows the results at 47.8 and 56.9.
        for time, decide, tag in (
            *((38.0, always(World.donate), clans[0]), (40.0, always(World.demote), clans[0])),
            *((42.0, self._choose.start_season, clans[-1]), (44.0, self._choose.change_clan, clans[0])),
            *(
                (50.0, self._choose.change_clan, clans[-1]),
                (53.0, self._choose.change_clan, clans[0]),
                (59.0, self._choose.change_clan, clans[-1]),
            ),
            *((37.0, always(World.boost_super_troop), players[0]), (41.0, always(World.wear_equipment), players[0])),
            *(
                (45.0, always(World.upgrade_town_hall_weapon), players[0]),
                (49.0, always(World.end_super_troop), players[0]),
            ),
            *((55.0, self._choose.change_player, players[0]), (59.0, self._choose.change_player, players[0])),
            *(
                (39.0, always(World.upgrade_builder_hall), players[-1]),
                (43.0, always(World.change_war_preference), players[-1]),
            ),
            *(
                (47.0, always(World.complete_achievement), players[-1]),
                (51.0, self._choose.change_membership, players[-1]),
            ),
            *((53.0, self._choose.change_membership, players[-1]), (57.0, self._choose.change_player, players[-1])),
        ):
            plan.append((time, decide, tag))
        return plan

    def _third_scene(self) -> Plan:
        """Return the plan of a raid weekend, which starts in the first scene, and of a clan's progress.

        It lasts longer than a minute, the shortest time of a reminder.
        """
        clans, players = self._world.clan_tags, self._world.player_tags
        times = [8.5, *self._steady(14.0, 20.0), *self._steady(38.5, 84.0)]
        plan = plan_raids(self._world, clans[0], times, speed=self._speed, rng=self._rng)
        for time, decide, tag in (
            *((64.0, always(World.level_up), clans[0]), (67.0, self._choose.upgrade_capital, clans[0])),
            *((70.0, always(World.change_capital_league), clans[0]), (74.0, self._choose.change_clan, clans[-1])),
            *((78.0, self._choose.change_clan, clans[0]), (82.0, self._choose.change_clan, clans[-1])),
            *((64.0, always(World.contribute), players[0]), (66.0, self._choose.change_player, players[-1])),
            *((71.0, self._choose.change_player, players[0]), (77.0, self._choose.change_player, players[-1])),
            *((72.0, always(World.earn_games_points), clans[0]), (80.0, always(World.earn_games_points), clans[-1])),
            *((74.0, always(World.start_ranked_week), players[0]), (80.0, always(World.ranked_battle), players[0])),
            (84.0, always(_defend), players[0]),
        ):
            plan.append((time, decide, tag))
        return plan

    def _first_league(self) -> Plan:
        """Return the plan of a league of eight clans.

        The maintenance delays the end of the second round, so that its battle overlaps with that of the third one.
        Between the battles of the third and the fourth round is a gap.
        """
        clan = self._world.clan_tags[-1]
        rounds = [
            LeagueRound(7.0, 12.0, 19.2, (13.8, 15.6, 17.4), lineup=8.8),
            LeagueRound(12.0, 19.2, 43.0, (21.0, 22.8, 40.8), lineup=15.6, delay=6.0, delayed=36.6),
            LeagueRound(19.2, 39.0, 50.2, (44.8, 46.6, 48.4), lineup=22.8, lineup_side="opponent"),
            LeagueRound(39.0, 54.0, 61.2, (55.8, 57.6, 59.4), lineup=52.0),
        ]
        for number in range(3):
            started = 61.2 + number * 7.2
            attacks = (started + 1.8, started + 3.6, started + 5.4)
            rounds.append(LeagueRound(rounds[-1].started, started, started + 7.2, attacks))
        plan = plan_league(clan, rounds, signed_up=5.0, speed=self._speed)
        return plan + close_league(clan, ended=84.8, promoted=86.6, left=90.5, decide=always(World.promote_war_league))

    def _league(self, begin: float, clan: str, busy: Sequence[float]) -> tuple[Plan, float]:
        """Return the plan of a league of four clans from ``begin``, and the time at which the clan's league changes.

        ``busy`` are the times of other changes of the clan. The plan ends 4 s after the returned time.
        """
        rng, drawn = self._rng, begin + 2.0
        started, rounds = begin + 6.5, []
        for number in range(3):
            attacks = (started + 1.8, started + 3.6)
            lineup = drawn + 2.0 if number == 0 else None
            rounds.append(LeagueRound(drawn, started, started + 5.4, attacks, lineup=lineup))
            # Every other battle starts late.
            drawn, started = started, started + rng.choice((5.4, 9.0))
        over = rounds[-1].ended
        promoted = max([over + 3.8, *(time + _MIN_GAP_S for time in busy if abs(over + 3.8 - time) < _MIN_GAP_S)])
        plan = plan_league(clan, rounds, signed_up=begin, speed=self._speed)
        decide = self._choose.change_war_league
        return plan + close_league(
            clan, ended=over + 2.0, promoted=promoted, left=promoted + 3.7, decide=decide
        ), promoted

    def _chapter(self, number: int, begin: float) -> tuple[Plan, float]:
        """Return the plan of a chapter from ``begin`` and its end: a war, a league or raids, and other changes."""
        rng, world = self._rng, self._world
        clans, players = _some(rng, world.clan_tags), _some(rng, world.player_tags)
        fighting = next((tag for tag in clans if not world.is_war_log_private(tag)), None)
        plan: Plan = []
        result_shows: list[float] = []
        end = begin + 40.0
        if fighting is not None:
            rounds = [self._round(begin + rng.uniform(_MIN_GAP_S, 5.0))]
            if number % _CHAPTERS_BETWEEN_MAINTENANCES == 1:
                # A reminder is due a minute before the end.
                rounds = [rounds[0]._replace(ended=rounds[0].started + _LONG_BATTLE_S)]
            elif rng.random() < _REPLACED_WAR_SHARE:
                rounds.append(self._round(rounds[0].ended))
            result_shows = [one.ended for one in rounds]
            end = result_shows[-1] + rng.uniform(4.5, 6.5)
            plan += self._wars(fighting, rounds, cleared=end)
        busy = result_shows if clans[-1] == fighting else []
        scene, promoted, end = self._scene(number, begin, end, clans[-1], busy)
        plan += scene
        for tag in clans:
            taken = [*(result_shows if tag == fighting else []), *(promoted if tag == clans[-1] else [])]
            times = [
                time for time in self._times(begin, end) if all(abs(time - other) >= _MIN_GAP_S for other in taken)
            ]
            plan += [(time, self._choose.change_clan, tag) for time in times]
            # The first clan keeps a public war log, so that one clan always has visible wars.
            if tag not in (fighting, world.clan_tags[0]) and times:
                plan[-1] = (times[-1], self._choose.toggle_war_log, tag)
        for tag in players:
            plan += [(time, self._choose.change_player, tag) for time in self._times(begin, end)]
        return plan, end

    def _scene(
        self, number: int, begin: float, end: float, clan: str, busy: Sequence[float]
    ) -> tuple[Plan, list[float], float]:
        """Return the plan of a league or a weekend, the times of changes of the clan itself in it, and its end.

        ``busy`` are the times of other changes of the clan.
        """
        if number % 2:
            plan, promoted = self._league(begin + _MIN_GAP_S, clan, busy)
            return plan, [promoted], max(end, promoted + 4.0)
        times = self._steady(begin + _MIN_GAP_S, end - _MIN_GAP_S)
        return plan_raids(self._world, clan, times, speed=self._speed, rng=self._rng), [], end

    def _round(self, declared: float) -> _Round:
        started = declared + self._rng.uniform(4.0, 7.0)
        attacks = list(self._times(started, started + self._rng.uniform(12.0, 25.0)))
        return _Round(declared, started, attacks, attacks[-1] + self._rng.uniform(_MIN_GAP_S, 4.0))

    def _wars(self, clan: str, rounds: Sequence[_Round], *, cleared: float) -> Plan:
        """Return successive wars of a clan that replace each other, so that polls see only the end of the last one.

        The bridge publishes a result after seeing it twice, for which it has at least 3.5 s before ``cleared``.
        """

        def attack(world: World, tag: str) -> None:
            world.attack(tag, "clan")

        def attack_back(world: World, tag: str) -> None:
            world.attack(tag, "opponent")

        plan: Plan = []
        for number, one in enumerate(rounds):
            plan += [(one.declared, always(self._opening_of(one, replaces=number > 0)), clan)]
            plan += [(one.started, always(World.start_battle), clan)]
            plan += [(time, always((attack, attack_back)[n % 2]), clan) for n, time in enumerate(one.attacks)]
        return [*plan, (rounds[-1].ended, always(World.end_war), clan), (cleared, always(World.clear_war), clan)]

    def _opening_of(self, war: _Round, *, replaces: bool) -> Action:
        preparation = timedelta(seconds=(war.started - war.declared) / self._speed)
        battle = timedelta(seconds=(war.ended - war.started) / self._speed)

        def declare_war(world: World, tag: str) -> None:
            world.declare_war(tag, preparation, battle)

        def replace_war(world: World, tag: str) -> None:
            world.replace_war(tag, preparation, battle)

        return replace_war if replaces else declare_war

    def _times(self, begin: float, end: float) -> Iterator[float]:
        time = begin + self._rng.uniform(_MIN_GAP_S, _MAX_GAP_S / 2)
        while time <= end:
            yield time
            time += self._rng.uniform(_MIN_GAP_S, _MAX_GAP_S)

    def _steady(self, begin: float, end: float) -> list[float]:
        """Return times from ``begin`` to ``end``, as near to each other as polls allow."""
        times = [begin]
        while end - times[-1] >= 2 * _MAX_STEADY_GAP_S:
            times.append(times[-1] + self._rng.uniform(_MIN_GAP_S, _MAX_STEADY_GAP_S))
        return [*times, end]


def _some(rng: random.Random, tags: Sequence[str]) -> list[str]:
    return rng.sample(tags, min(len(tags), _MAX_ACTIVE))


def _defend(world: World, player: str) -> None:
    world.ranked_battle(player, "defense")


def _bound(action: Action, tag: str) -> Callable[[World], object]:
    return lambda world: action(world, tag)


def _maintenance(begins: float, ends: float) -> Plan:
    def start_maintenance(world: World, _: str) -> None:
        world.start_maintenance()

    def end_maintenance(world: World, _: str) -> None:
        world.end_maintenance()

    return [(begins, always(start_maintenance), "api"), (ends, always(end_maintenance), "api")]
