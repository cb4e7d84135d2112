"""The story of the demo: a minute that shows nearly every event, then one chapter after another.

The bridge polls each resource of the demo about once a second. So that it can tell each change from the next, changes
of one resource are ``_APART`` seconds apart at least, and all is quiet around a maintenance.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.demo.achievement import ALL_STARS
from coc2mqtt.demo.catalogue import (
    HIGHEST_BUILDER_HALL,
    HIGHEST_TOWN_HALL,
    HIGHEST_WEAPON,
    LARGEST_CLAN,
    MOST_BOOSTED,
)
from coc2mqtt.demo.names import seeded
from coc2mqtt.demo.script import Script, Step
from coc2mqtt.demo.world import World

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    Json = dict[str, Any]
    Verb = Callable[[World, str], object]
    # Which verb it is, is decided when its time has come: what is possible depends on what happened before.
    Decide = Callable[[str], Verb]
    Plan = list[tuple[float, Decide, str]]

_APART = 1.7
_LONGEST_PAUSE = 8.0
_QUIET_BEFORE = 2.5
_QUIET_AFTER = 3.5
_OPENING_ENDS = 62.0
_SMALLEST_CLAN = 8
_CAST = 4
_CHAPTERS_BETWEEN_MAINTENANCES = 4
_REPLACED_WARS = 0.3

_UNITS: dict[str, Verb] = {
    "troops": World.upgrade_troop,
    "spells": World.upgrade_spell,
    "heroes": World.upgrade_hero,
    "heroEquipment": World.upgrade_equipment,
}


def demo_script(world: World, seed: int = 1) -> Script:
    """Return the story of ``coc2mqtt demo``, for a world with a clan and a player to be watched at least.

    It is endless, and the same for equal worlds and seeds. The first step comes after 4 s. Within 45 s come a whole
    war, changes in clans and players, and a maintenance of 6 s; within 62 s nearly every change there is. A
    maintenance comes again every few minutes, and a season after it. Clans keep 8 to 50 members.
    """
    return Script(lambda speed: _Story(world, seed, speed).steps())


class _Round(NamedTuple):
    """When a war is declared, begun and over, and when somebody attacks."""

    declared: float
    begun: float
    attacks: Sequence[float]
    ended: float


class _Story:
    """Plans a chapter when the one before it is over; times count in seconds from the story's beginning."""

    def __init__(self, world: World, seed: int, speed: float) -> None:
        self._world = world
        self._rng = seeded(f"story {seed}")
        self._speed = speed

    def steps(self) -> Iterator[Step]:
        told = 0.0
        for plan in self._chapters():
            for time, decide, tag in sorted(plan, key=itemgetter(0)):
                verb = decide(tag)
                yield Step(time - told, f"{verb.__name__} {tag}".replace("_", " "), _bound(verb, tag))
                told = time

    def _chapters(self) -> Iterator[Plan]:
        yield self._opening()
        now = _OPENING_ENDS
        for number in count(1):
            plan, now = self._chapter(now)
            yield plan
            if number % _CHAPTERS_BETWEEN_MAINTENANCES == 0:
                ends = now + _QUIET_BEFORE + self._rng.uniform(6.0, 15.0)
                yield _maintenance(now + _QUIET_BEFORE, ends)
                now = ends + _QUIET_AFTER
                yield [(now, self._begin_season, self._rng.choice(self._world.clan_tags))]

    def _opening(self) -> Plan:
        clans, players = self._world.clan_tags, self._world.player_tags
        plan = self._wars(
            clans[0], [_Round(declared=4.0, begun=8.0, attacks=(9.6, 11.2, 12.8, 14.4), ended=16.0)], cleared=21.0
        )
        # The clan is left alone around 16.0, when the result of the war shows in it. A world may have one clan and one
        # player only: the others' turn comes when theirs is over.
        for time, decide, tag in (
            *((5.0, self._welcome, clans[0]), (7.0, _always(World.donate), clans[0])),
            *((9.0, _always(World.gain_points), clans[0]), (11.0, _always(World.promote), clans[0])),
            *((13.0, _always(World.upgrade_member_town_hall), clans[0]), (18.0, self._part, clans[0])),
            *((20.0, _always(World.rename_member), clans[0]), (22.0, self._welcome, clans[-1])),
            *((6.0, _always(World.upgrade_troop), players[0]), (8.0, _always(World.upgrade_spell), players[0])),
            *((10.0, _always(World.upgrade_hero), players[0]), (12.0, _always(World.upgrade_equipment), players[0])),
            *((14.0, _always(World.win_trophies), players[0]), (16.0, _always(World.upgrade_town_hall), players[0])),
            *((18.0, _always(World.rename_player), players[-1]), (20.0, _always(World.change_league), players[-1])),
            *((22.0, _always(World.change_labels), players[-1]), (24.0, self._live, players[-1])),
        ):
            plan.append((time, decide, tag))
        return plan + _maintenance(27.0, 33.0) + self._second_scene()

    def _second_scene(self) -> Plan:
        """Return what follows the first maintenance: a war whose end nobody sees, and what is rarer than the rest."""
        clans, players = self._world.clan_tags, self._world.player_tags
        unseen = _Round(declared=37.0, begun=41.0, attacks=(42.7, 44.4, 46.1), ended=47.8)
        plan = self._wars(clans[0], [unseen, _Round(47.8, begun=51.8, attacks=(53.5, 55.2), ended=56.9)], cleared=61.4)
        # The results show in the clan at 47.8 and 56.9.
        for time, decide, tag in (
            *((38.0, _always(World.donate), clans[0]), (40.0, _always(World.demote), clans[0])),
            *((42.0, self._begin_season, clans[-1]), (44.0, self._thrive, clans[0])),
            *((50.0, self._thrive, clans[-1]), (53.0, self._thrive, clans[0]), (59.0, self._thrive, clans[-1])),
            *((37.0, _always(World.boost_super_troop), players[0]), (41.0, _always(World.wear_equipment), players[0])),
            *(
                (45.0, _always(World.upgrade_town_hall_weapon), players[0]),
                (49.0, _always(World.end_super_troop), players[0]),
            ),
            *((55.0, self._live, players[0]), (59.0, self._live, players[0])),
            *(
                (39.0, _always(World.upgrade_builder_hall), players[-1]),
                (43.0, _always(World.change_war_preference), players[-1]),
            ),
            *((47.0, _always(World.complete_achievement), players[-1]), (51.0, self._migrate, players[-1])),
            *((53.0, self._migrate, players[-1]), (57.0, self._live, players[-1])),
        ):
            plan.append((time, decide, tag))
        return plan

    def _chapter(self, begin: float) -> tuple[Plan, float]:
        """Return what happens from ``begin`` on, and when the chapter is over: a war, and the lives of a few others."""
        rng, world = self._rng, self._world
        clans, players = _some(rng, world.clan_tags), _some(rng, world.player_tags)
        fighting = next((tag for tag in clans if not world.is_war_log_private(tag)), None)
        plan: Plan = []
        result_shows: list[float] = []
        end = begin + 40.0
        if fighting is not None:
            rounds = [self._round(begin + rng.uniform(_APART, 5.0))]
            if rng.random() < _REPLACED_WARS:
                rounds.append(self._round(rounds[0].ended))
            result_shows = [one.ended for one in rounds]
            end = result_shows[-1] + rng.uniform(4.5, 6.5)
            plan += self._wars(fighting, rounds, cleared=end)
        for tag in clans:
            taken = result_shows if tag == fighting else []
            times = [time for time in self._times(begin, end) if all(abs(time - other) >= _APART for other in taken)]
            plan += [(time, self._thrive, tag) for time in times]
            # The first clan stays open, so that there is always one whose wars can be seen.
            if tag not in (fighting, world.clan_tags[0]) and times:
                plan[-1] = (times[-1], self._toggle_war_log, tag)
        for tag in players:
            plan += [(time, self._live, tag) for time in self._times(begin, end)]
        return plan, end

    def _round(self, declared: float) -> _Round:
        begun = declared + self._rng.uniform(4.0, 7.0)
        attacks = list(self._times(begun, begun + self._rng.uniform(12.0, 25.0)))
        return _Round(declared, begun, attacks, attacks[-1] + self._rng.uniform(_APART, 4.0))

    def _wars(self, clan: str, rounds: Sequence[_Round], *, cleared: float) -> Plan:
        """Return wars of a clan of which each takes the place of the one before, so that only the last is seen to end.

        The bridge believes a result when it has seen it twice: it has 3.5 s for that at least before ``cleared``.
        """

        def attack(world: World, tag: str) -> None:
            world.attack(tag, "clan")

        def attack_back(world: World, tag: str) -> None:
            world.attack(tag, "opponent")

        plan: Plan = []
        for number, one in enumerate(rounds):
            plan += [(one.declared, _always(self._opening_of(one, replaces=number > 0)), clan)]
            plan += [(one.begun, _always(World.begin_battle), clan)]
            plan += [(time, _always((attack, attack_back)[n % 2]), clan) for n, time in enumerate(one.attacks)]
        return [*plan, (rounds[-1].ended, _always(World.end_war), clan), (cleared, _always(World.clear_war), clan)]

    def _opening_of(self, war: _Round, *, replaces: bool) -> Verb:
        preparation = timedelta(seconds=(war.begun - war.declared) / self._speed)
        battle = timedelta(seconds=(war.ended - war.begun) / self._speed)

        def declare_war(world: World, tag: str) -> None:
            world.declare_war(tag, preparation, battle)

        def replace_war(world: World, tag: str) -> None:
            world.replace_war(tag, preparation, battle)

        return replace_war if replaces else declare_war

    def _times(self, begin: float, end: float) -> Iterator[float]:
        time = begin + self._rng.uniform(_APART, _LONGEST_PAUSE / 2)
        while time <= end:
            yield time
            time += self._rng.uniform(_APART, _LONGEST_PAUSE)

    def _welcome(self, clan: str) -> Verb:
        return World.join if self._clan(clan)["members"] < LARGEST_CLAN else World.leave

    def _part(self, clan: str) -> Verb:
        return World.leave if self._clan(clan)["members"] > _SMALLEST_CLAN else World.join

    def _begin_season(self, clan: str) -> Verb:
        members = self._clan(clan)["memberList"]
        donated = any(member["donations"] or member["donationsReceived"] for member in members)
        return World.reset_season if donated else World.donate

    def _thrive(self, clan: str) -> Verb:
        """Choose what happens in a clan next."""
        members = self._clan(clan)["memberList"]
        roles = {member["role"] for member in members}
        verbs: list[Verb] = [World.donate, World.donate, World.gain_points, World.rename_member]
        verbs += [self._welcome(clan), self._part(clan)]
        if roles & {"member", "admin"}:
            verbs.append(World.promote)
        if roles & {"admin", "coLeader"}:
            verbs.append(World.demote)
        if any(member["townHallLevel"] < HIGHEST_TOWN_HALL for member in members):
            verbs.append(World.upgrade_member_town_hall)
        return self._rng.choice(verbs)

    def _toggle_war_log(self, clan: str) -> Verb:
        public = self._world.is_war_log_private(clan)

        def open_war_log(world: World, tag: str) -> None:
            world.set_war_log_public(tag, public=True)

        def close_war_log(world: World, tag: str) -> None:
            world.set_war_log_public(tag, public=False)

        return open_war_log if public else close_war_log

    def _live(self, player: str) -> Verb:
        """Choose what a player does next."""
        page = self._world.player(player) or {}
        verbs: list[Verb] = [World.win_trophies] * 2
        verbs += [World.rename_player, World.change_league, World.change_labels]
        verbs += [World.wear_equipment, World.change_war_preference, self._migrate(player)]
        verbs += [verb for units, verb in _UNITS.items() if any(one["level"] < one["maxLevel"] for one in page[units])]
        boosted = sum("superTroopIsActive" in troop for troop in page["troops"])
        verbs.append(World.boost_super_troop if boosted < MOST_BOOSTED else World.end_super_troop)
        if page["townHallLevel"] < HIGHEST_TOWN_HALL:
            verbs.append(World.upgrade_town_hall)
        if page["townHallWeaponLevel"] < HIGHEST_WEAPON:
            verbs.append(World.upgrade_town_hall_weapon)
        if page["builderHallLevel"] < HIGHEST_BUILDER_HALL:
            verbs.append(World.upgrade_builder_hall)
        if any(one["stars"] < ALL_STARS for one in page["achievements"]):
            verbs.append(World.complete_achievement)
        return self._rng.choice(verbs)

    def _migrate(self, player: str) -> Verb:
        page = self._world.player(player) or {}
        return World.leave_clan if "clan" in page else World.join_clan

    def _clan(self, tag: str) -> Json:
        return self._world.clan(tag) or {}


def _some(rng: random.Random, tags: Sequence[str]) -> list[str]:
    return rng.sample(tags, min(len(tags), _CAST))


def _always(verb: Verb) -> Decide:
    return lambda _: verb


def _bound(verb: Verb, tag: str) -> Callable[[World], object]:
    return lambda world: verb(world, tag)


def _maintenance(begins: float, ends: float) -> Plan:
    def begin_maintenance(world: World, _: str) -> None:
        world.begin_maintenance()

    def end_maintenance(world: World, _: str) -> None:
        world.end_maintenance()

    return [(begins, _always(begin_maintenance), "api"), (ends, _always(end_maintenance), "api")]
