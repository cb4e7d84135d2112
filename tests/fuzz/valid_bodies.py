"""Valid bodies: the responses for a clan, its war, war log and raids, and a player, change after change."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.demo import World
from coc2mqtt.events.resource import Kind
from tests.support.raids import START, WEEK, play_weekend, seasons

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Game:
    """The bodies of each kind in chronological order, those of the war log, and the tags."""

    bodies: dict[Kind, list[Json]]
    war_logs: list[Json]
    tags: dict[Kind, str]


@cache
def game() -> Game:
    """Play a game that contains every kind of change."""
    world = World(now=lambda: NOON, members=10, clans=1, players=1)
    (clan,), (player,) = world.clan_tags, world.player_tags
    bodies: dict[Kind, list[Json]] = {kind: [] for kind in (Kind.CLAN, Kind.WAR, Kind.PLAYER)}
    war_logs: list[Json] = []

    def record(bodies_so_far: list[Json], body: Json | None) -> None:
        # The world returns its own objects, which change later.
        copied = orjson.loads(orjson.dumps(body))
        if body is not None and copied not in bodies_so_far[-1:]:
            bodies_so_far.append(copied)

    changes = _changes(world, clan, player)
    for number in range(len(changes) + 1):
        for change, tag in changes[number - 1 : number]:
            change(tag)
        record(bodies[Kind.CLAN], world.clan(clan))
        record(bodies[Kind.WAR], world.current_war(clan))
        record(bodies[Kind.PLAYER], world.player(player))
        record(war_logs, world.war_log(clan))
    rng = random.Random(1)
    weekends = [body for start in (START - WEEK, START) for body in play_weekend(rng, start)]
    bodies[Kind.RAID] = [seasons(), *map(seasons, weekends)]
    return Game(bodies, war_logs, {Kind.CLAN: clan, Kind.WAR: clan, Kind.RAID: clan, Kind.PLAYER: player})


def _changes(world: World, clan: str, player: str) -> list[tuple[Callable[[str], object], str]]:
    of_clan = [
        *(world.join, world.promote, world.donate, world.declare_war, world.leave, world.start_battle, world.attack),
        *(world.attack, world.rename_member, world.attack, world.gain_points, world.end_war, world.demote),
        *(world.clear_war, world.donate, world.declare_war, world.start_battle, world.attack, world.replace_war),
        *(world.upgrade_member_town_hall, world.start_battle, world.attack, world.reset_season),
        *(world.level_up, world.upgrade_capital_hall, world.change_capital_league),
    ]
    of_player = [
        *(world.upgrade_troop, world.upgrade_spell, world.upgrade_hero, world.upgrade_equipment, world.wear_equipment),
        *(world.upgrade_town_hall, world.upgrade_town_hall_weapon, world.upgrade_builder_hall, world.boost_super_troop),
        *(world.end_super_troop, world.complete_achievement, world.rename_player, world.change_league),
        *(world.change_labels, world.change_war_preference, world.win_trophies, world.leave_clan, world.join_clan),
        world.contribute,
    ]
    return [*((verb, clan) for verb in of_clan), *((verb, player) for verb in of_player)]
