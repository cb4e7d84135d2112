"""A tour of a world: each kind of change once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from coc2mqtt.demo.changes import ImpossibleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo.world import World


def all_changes(world: World) -> list[Callable[[], object]]:
    """Return one change of each kind, in a possible order, for a world with two clans and two players to watch."""
    clan, other = world.clan_tags
    player, second = world.player_tags
    return [
        lambda: world.join(clan),
        lambda: world.promote(clan),
        lambda: world.donate(clan),
        lambda: world.declare_war(clan),
        lambda: world.rename_member(clan),
        lambda: world.upgrade_member_town_hall(clan),
        lambda: world.start_battle(clan),
        lambda: world.attack(clan, "clan"),
        lambda: world.attack(clan, "opponent"),
        lambda: world.gain_points(clan),
        lambda: world.level_up(clan),
        lambda: world.upgrade_capital_hall(clan),
        lambda: world.change_capital_league(clan),
        lambda: (world.attack(clan), world.attack(clan), world.attack(clan)),
        lambda: world.end_war(clan),
        lambda: world.demote(clan),
        lambda: world.clear_war(clan),
        lambda: world.declare_war(clan),
        lambda: world.reset_season(clan),
        lambda: world.start_battle(clan),
        lambda: world.attack(clan),
        lambda: world.replace_war(clan),
        lambda: world.leave(clan),
        lambda: world.set_war_log_public(clan, False),
        lambda: world.set_war_log_public(clan, True),
        lambda: (world.join(other), world.join(other)),
        lambda: world.upgrade_troop(player),
        lambda: world.upgrade_spell(player),
        lambda: world.upgrade_hero(player),
        lambda: world.upgrade_equipment(player),
        lambda: world.upgrade_town_hall(player),
        lambda: world.upgrade_builder_hall(second),
        lambda: world.rename_player(second),
        lambda: world.change_league(second),
        lambda: world.change_labels(second),
        lambda: world.win_trophies(second),
        lambda: world.contribute(second),
        lambda: world.upgrade_town_hall_weapon(player),
        lambda: world.boost_super_troop(player),
        lambda: world.end_super_troop(player),
        lambda: world.wear_equipment(player),
        lambda: world.complete_achievement(second),
        lambda: world.change_war_preference(second),
        lambda: world.leave_clan(second),
        lambda: world.join_clan(second),
        lambda: world.move(clan, other),
        lambda: world.start_ranked_week(player),
        lambda: world.ranked_battle(player),
        lambda: world.ranked_battle(player, "defense"),
        lambda: world.earn_games_points(clan),
        *_league(world, clan),
        *_raids(world, clan),
    ]


def _league(world: World, clan: str) -> list[Callable[[], object]]:
    """Return a league of four clans, in which nobody misses an attack."""

    def attack() -> None:
        with suppress(ImpossibleError):
            while True:
                world.league_attack(clan)

    return [
        lambda: world.sign_up(clan),
        lambda: world.start_league(clan, clans=4),
        lambda: world.change_lineup(clan),
        lambda: world.change_lineup(clan, "opponent"),
        lambda: (world.start_league_battle(clan), world.draw_round(clan)),
        lambda: world.league_attack(clan, "clan"),
        lambda: world.league_attack(clan, "opponent"),
        attack,
        lambda: (world.end_league_battle(clan), world.start_league_battle(clan), world.draw_round(clan)),
        attack,
        lambda: world.start_league_battle(clan),
        lambda: world.end_league_battle(clan),
        attack,
        lambda: world.end_league_battle(clan),
        lambda: world.end_league(clan),
        lambda: world.promote_war_league(clan),
        lambda: world.leave_league(clan),
    ]


def _raids(world: World, clan: str) -> list[Callable[[], object]]:
    """Return a raid weekend, in which the clan destroys another one."""

    def destroy() -> None:
        with suppress(ImpossibleError):
            while True:
                world.raid_attack(clan)

    return [
        lambda: world.start_raids(clan, districts=3),
        lambda: world.raid_attack(clan, gained=40),
        lambda: world.raid_attack(clan, gained=60),
        lambda: world.raid_defense(clan, attacks=3),
        destroy,
        lambda: world.raid(clan),
        lambda: (world.raid_attack(clan), world.raid_attack(clan)),
        lambda: world.raid_defense(clan),
        lambda: world.end_raids(clan),
    ]
