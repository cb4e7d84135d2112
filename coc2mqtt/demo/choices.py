"""The choice of the next change in the demo's story: one that is possible now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.demo.catalogue import (
    HIGHEST_BUILDER_HALL,
    HIGHEST_CAPITAL_HALL,
    HIGHEST_TOWN_HALL,
    HIGHEST_WEAPON,
    LARGEST_CLAN,
    LOWEST_WAR_LEAGUE_ID,
    MOST_BOOSTED,
    WAR_LEAGUES,
)
from coc2mqtt.demo.profile import ALL_STARS
from coc2mqtt.demo.world import World

if TYPE_CHECKING:
    import random

    from coc2mqtt.demo.scenes import Action

Json = dict[str, Any]

_MIN_CLAN_SIZE = 8
_HIGHEST_LEVEL = 30
_UNITS: dict[str, Action] = {
    "troops": World.upgrade_troop,
    "spells": World.upgrade_spell,
    "heroes": World.upgrade_hero,
    "heroEquipment": World.upgrade_equipment,
}


class Choices:
    """Chooses changes of the clans and players of a world, so that its clans keep 8 to 50 members."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def grow(self, clan: str) -> Action:
        """Choose the arrival of a member, or a departure from a full clan."""
        return _grow(self._clan(clan)["members"])

    def shrink(self, clan: str) -> Action:
        """Choose the departure of a member, or an arrival in a small clan."""
        return _shrink(self._clan(clan)["members"])

    def move(self, clan: str) -> Action:
        """Choose that a member moves to the other clan, if that is another one and has room."""
        other = self._world.clan_tags[-1]
        size, size_there = (self._clan(one)["members"] for one in (clan, other))
        if other == clan or size <= _MIN_CLAN_SIZE or size_there >= LARGEST_CLAN:
            return self.shrink(clan)

        def move_member(world: World, tag: str) -> None:
            world.move(tag, other)

        return move_member

    def start_season(self, clan: str) -> Action:
        """Choose a new season, or a donation if nobody has donated."""
        members = self._clan(clan)["memberList"]
        donated = any(member["donations"] or member["donationsReceived"] for member in members)
        return World.reset_season if donated else World.donate

    def change_clan(self, clan: str) -> Action:
        """Choose the next change of a clan."""
        body = self._clan(clan)
        members = body["memberList"]
        roles = {member["role"] for member in members}
        actions: list[Action] = [World.donate, World.donate, World.gain_points, World.rename_member]
        actions += [_grow(len(members)), _shrink(len(members)), World.change_capital_league]
        if body["clanLevel"] < _HIGHEST_LEVEL:
            actions.append(World.level_up)
        if body["clanCapital"]["capitalHallLevel"] < HIGHEST_CAPITAL_HALL:
            actions.append(World.upgrade_capital_hall)
        if roles & {"member", "admin"}:
            actions.append(World.promote)
        if roles & {"admin", "coLeader"}:
            actions.append(World.demote)
        if any(member["townHallLevel"] < HIGHEST_TOWN_HALL for member in members):
            actions.append(World.upgrade_member_town_hall)
        return self._rng.choice(actions)

    def upgrade_capital(self, clan: str) -> Action:
        """Choose an upgrade of the capital hall, or points for a clan with the highest one."""
        level = self._clan(clan)["clanCapital"]["capitalHallLevel"]
        return World.upgrade_capital_hall if level < HIGHEST_CAPITAL_HALL else World.gain_points

    def toggle_war_log(self, clan: str) -> Action:
        """Choose to make the war log public or private, whichever it is not."""
        public = self._world.is_war_log_private(clan)

        def open_war_log(world: World, tag: str) -> None:
            world.set_war_log_public(tag, public=True)

        def close_war_log(world: World, tag: str) -> None:
            world.set_war_log_public(tag, public=False)

        return open_war_log if public else close_war_log

    def change_war_league(self, clan: str) -> Action:
        """Choose a promotion of a clan in the upper half of its group, otherwise a demotion."""
        standings = self._world.league_standings(clan)
        [position] = [one.position for one in standings if one.tag == clan]
        number = self._clan(clan)["warLeague"]["id"] - LOWEST_WAR_LEAGUE_ID
        rises = position <= len(standings) // 2 and number < len(WAR_LEAGUES) - 1

        def demote_war_league(world: World, tag: str) -> None:
            world.promote_war_league(tag, -1)

        return World.promote_war_league if rises or number == 0 else demote_war_league

    def change_player(self, player: str) -> Action:
        """Choose the next change of a player."""
        page = self._world.player(player) or {}
        actions: list[Action] = [World.win_trophies] * 2
        actions += [World.rename_player, World.change_league, World.change_labels, World.contribute]
        actions += [World.wear_equipment, World.change_war_preference, self.change_membership(player)]
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

    def change_membership(self, player: str) -> Action:
        """Choose that a player leaves their clan, or joins one."""
        page = self._world.player(player) or {}
        return World.leave_clan if "clan" in page else World.join_clan

    def _clan(self, tag: str) -> Json:
        return self._world.clan(tag) or {}


def _grow(members: int) -> Action:
    return World.join if members < LARGEST_CLAN else World.leave


def _shrink(members: int) -> Action:
    return World.leave if members > _MIN_CLAN_SIZE else World.join
