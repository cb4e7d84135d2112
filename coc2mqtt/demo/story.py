"""Scripts of changes in a world, and the story of the demo.

The story is a minute with nearly every event type, then an endless series of chapters. The bridge polls each
resource of the demo about once a second. Changes of one resource are at least ``_MIN_GAP_S`` seconds apart, so that a
poll sees each of them, and nothing changes around a maintenance.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from coc2mqtt.demo.catalogue import (
    HIGHEST_BUILDER_HALL,
    HIGHEST_TOWN_HALL,
    HIGHEST_WEAPON,
    LARGEST_CLAN,
    MOST_BOOSTED,
    seeded,
)
from coc2mqtt.demo.profile import ALL_STARS
from coc2mqtt.demo.world import World

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    Json = dict[str, Any]
    Action = Callable[[World, str], object]
    # Chosen when it is due, because the possible changes depend on the previous ones.
    Decide = Callable[[str], Action]
    Plan = list[tuple[float, Decide, str]]

_log = structlog.get_logger()

_MIN_GAP_S = 1.7
_MAX_GAP_S = 8.0
_QUIET_BEFORE_S = 2.5
_QUIET_AFTER_S = 3.5
_OPENING_END_S = 62.0
_MIN_CLAN_SIZE = 8
_MAX_ACTIVE = 4
_CHAPTERS_BETWEEN_MAINTENANCES = 4
_REPLACED_WAR_SHARE = 0.3

_UNITS: dict[str, Action] = {
    "troops": World.upgrade_troop,
    "spells": World.upgrade_spell,
    "heroes": World.upgrade_hero,
    "heroEquipment": World.upgrade_equipment,
}


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
    maintenance recurs every few minutes, followed by a new season. Clans keep 8 to 50 members.
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
        self._speed = speed

    def steps(self) -> Iterator[Step]:
        elapsed = 0.0
        for plan in self._chapters():
            for time, decide, tag in sorted(plan, key=itemgetter(0)):
                action = decide(tag)
                yield Step(time - elapsed, f"{action.__name__} {tag}".replace("_", " "), _bound(action, tag))
                elapsed = time

    def _chapters(self) -> Iterator[Plan]:
        yield self._opening()
        now = _OPENING_END_S
        for number in count(1):
            plan, now = self._chapter(now)
            yield plan
            if number % _CHAPTERS_BETWEEN_MAINTENANCES == 0:
                ends = now + _QUIET_BEFORE_S + self._rng.uniform(6.0, 15.0)
                yield _maintenance(now + _QUIET_BEFORE_S, ends)
                now = ends + _QUIET_AFTER_S
                yield [(now, self._start_season, self._rng.choice(self._world.clan_tags))]

    def _opening(self) -> Plan:
        clans, players = self._world.clan_tags, self._world.player_tags
        plan = self._wars(
            clans[0], [_Round(declared=4.0, started=8.0, attacks=(9.6, 11.2, 12.8, 14.4), ended=16.0)], cleared=21.0
        )
        # No change of the clan around 16.0, when it shows the result of the war. In a world with one clan and one
        # player, the first and the last one are the same, so their changes do not overlap.
        for time, decide, tag in (
            *((5.0, self._grow, clans[0]), (7.0, _always(World.donate), clans[0])),
            *((9.0, _always(World.gain_points), clans[0]), (11.0, _always(World.promote), clans[0])),
            *((13.0, _always(World.upgrade_member_town_hall), clans[0]), (18.0, self._shrink, clans[0])),
            *((20.0, _always(World.rename_member), clans[0]), (22.0, self._grow, clans[-1])),
            *((6.0, _always(World.upgrade_troop), players[0]), (8.0, _always(World.upgrade_spell), players[0])),
            *((10.0, _always(World.upgrade_hero), players[0]), (12.0, _always(World.upgrade_equipment), players[0])),
            *((14.0, _always(World.win_trophies), players[0]), (16.0, _always(World.upgrade_town_hall), players[0])),
            *((18.0, _always(World.rename_player), players[-1]), (20.0, _always(World.change_league), players[-1])),
            *((22.0, _always(World.change_labels), players[-1]), (24.0, self._change_player, players[-1])),
        ):
            plan.append((time, decide, tag))
        return plan + _maintenance(27.0, 33.0) + self._second_scene()

    def _second_scene(self) -> Plan:
        """Return the plan after the first maintenance: a war whose end no poll sees, and the rarer changes."""
        clans, players = self._world.clan_tags, self._world.player_tags
        unseen = _Round(declared=37.0, started=41.0, attacks=(42.7, 44.4, 46.1), ended=47.8)
        plan = self._wars(
            clans[0], [unseen, _Round(47.8, started=51.8, attacks=(53.5, 55.2), ended=56.9)], cleared=61.4
        )
        # The clan shows the results at 47.8 and 56.9.
        for time, decide, tag in (
            *((38.0, _always(World.donate), clans[0]), (40.0, _always(World.demote), clans[0])),
            *((42.0, self._start_season, clans[-1]), (44.0, self._change_clan, clans[0])),
            *(
                (50.0, self._change_clan, clans[-1]),
                (53.0, self._change_clan, clans[0]),
                (59.0, self._change_clan, clans[-1]),
            ),
            *((37.0, _always(World.boost_super_troop), players[0]), (41.0, _always(World.wear_equipment), players[0])),
            *(
                (45.0, _always(World.upgrade_town_hall_weapon), players[0]),
                (49.0, _always(World.end_super_troop), players[0]),
            ),
            *((55.0, self._change_player, players[0]), (59.0, self._change_player, players[0])),
            *(
                (39.0, _always(World.upgrade_builder_hall), players[-1]),
                (43.0, _always(World.change_war_preference), players[-1]),
            ),
            *((47.0, _always(World.complete_achievement), players[-1]), (51.0, self._change_membership, players[-1])),
            *((53.0, self._change_membership, players[-1]), (57.0, self._change_player, players[-1])),
        ):
            plan.append((time, decide, tag))
        return plan

    def _chapter(self, begin: float) -> tuple[Plan, float]:
        """Return the plan of a chapter from ``begin`` and its end: a war, and a few other changes."""
        rng, world = self._rng, self._world
        clans, players = _some(rng, world.clan_tags), _some(rng, world.player_tags)
        fighting = next((tag for tag in clans if not world.is_war_log_private(tag)), None)
        plan: Plan = []
        result_shows: list[float] = []
        end = begin + 40.0
        if fighting is not None:
            rounds = [self._round(begin + rng.uniform(_MIN_GAP_S, 5.0))]
            if rng.random() < _REPLACED_WAR_SHARE:
                rounds.append(self._round(rounds[0].ended))
            result_shows = [one.ended for one in rounds]
            end = result_shows[-1] + rng.uniform(4.5, 6.5)
            plan += self._wars(fighting, rounds, cleared=end)
        for tag in clans:
            taken = result_shows if tag == fighting else []
            times = [
                time for time in self._times(begin, end) if all(abs(time - other) >= _MIN_GAP_S for other in taken)
            ]
            plan += [(time, self._change_clan, tag) for time in times]
            # The first clan keeps a public war log, so that one clan always has visible wars.
            if tag not in (fighting, world.clan_tags[0]) and times:
                plan[-1] = (times[-1], self._toggle_war_log, tag)
        for tag in players:
            plan += [(time, self._change_player, tag) for time in self._times(begin, end)]
        return plan, end

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
            plan += [(one.declared, _always(self._opening_of(one, replaces=number > 0)), clan)]
            plan += [(one.started, _always(World.start_battle), clan)]
            plan += [(time, _always((attack, attack_back)[n % 2]), clan) for n, time in enumerate(one.attacks)]
        return [*plan, (rounds[-1].ended, _always(World.end_war), clan), (cleared, _always(World.clear_war), clan)]

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

    def _grow(self, clan: str) -> Action:
        return World.join if self._clan(clan)["members"] < LARGEST_CLAN else World.leave

    def _shrink(self, clan: str) -> Action:
        return World.leave if self._clan(clan)["members"] > _MIN_CLAN_SIZE else World.join

    def _start_season(self, clan: str) -> Action:
        members = self._clan(clan)["memberList"]
        donated = any(member["donations"] or member["donationsReceived"] for member in members)
        return World.reset_season if donated else World.donate

    def _change_clan(self, clan: str) -> Action:
        """Choose the next change of a clan."""
        members = self._clan(clan)["memberList"]
        roles = {member["role"] for member in members}
        actions: list[Action] = [World.donate, World.donate, World.gain_points, World.rename_member]
        actions += [self._grow(clan), self._shrink(clan)]
        if roles & {"member", "admin"}:
            actions.append(World.promote)
        if roles & {"admin", "coLeader"}:
            actions.append(World.demote)
        if any(member["townHallLevel"] < HIGHEST_TOWN_HALL for member in members):
            actions.append(World.upgrade_member_town_hall)
        return self._rng.choice(actions)

    def _toggle_war_log(self, clan: str) -> Action:
        public = self._world.is_war_log_private(clan)

        def open_war_log(world: World, tag: str) -> None:
            world.set_war_log_public(tag, public=True)

        def close_war_log(world: World, tag: str) -> None:
            world.set_war_log_public(tag, public=False)

        return open_war_log if public else close_war_log

    def _change_player(self, player: str) -> Action:
        """Choose the next change of a player."""
        page = self._world.player(player) or {}
        actions: list[Action] = [World.win_trophies] * 2
        actions += [World.rename_player, World.change_league, World.change_labels]
        actions += [World.wear_equipment, World.change_war_preference, self._change_membership(player)]
        actions += [
            action for units, action in _UNITS.items() if any(one["level"] < one["maxLevel"] for one in page[units])
        ]
        boosted = sum("superTroopIsActive" in troop for troop in page["troops"])
        actions.append(World.boost_super_troop if boosted < MOST_BOOSTED else World.end_super_troop)
        if page["townHallLevel"] < HIGHEST_TOWN_HALL:
            actions.append(World.upgrade_town_hall)
        if page["townHallWeaponLevel"] < HIGHEST_WEAPON:
            actions.append(World.upgrade_town_hall_weapon)
        if page["builderHallLevel"] < HIGHEST_BUILDER_HALL:
            actions.append(World.upgrade_builder_hall)
        if any(one["stars"] < ALL_STARS for one in page["achievements"]):
            actions.append(World.complete_achievement)
        return self._rng.choice(actions)

    def _change_membership(self, player: str) -> Action:
        page = self._world.player(player) or {}
        return World.leave_clan if "clan" in page else World.join_clan

    def _clan(self, tag: str) -> Json:
        return self._world.clan(tag) or {}


def _some(rng: random.Random, tags: Sequence[str]) -> list[str]:
    return rng.sample(tags, min(len(tags), _MAX_ACTIVE))


def _always(action: Action) -> Decide:
    return lambda _: action


def _bound(action: Action, tag: str) -> Callable[[World], object]:
    return lambda world: action(world, tag)


def _maintenance(begins: float, ends: float) -> Plan:
    def start_maintenance(world: World, _: str) -> None:
        world.start_maintenance()

    def end_maintenance(world: World, _: str) -> None:
        world.end_maintenance()

    return [(begins, _always(start_maintenance), "api"), (ends, _always(end_maintenance), "api")]
