"""Changes of players besides levels and names: boosts, equipment, achievements, clans."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from coc2mqtt.demo import ImpossibleError, World

Json = dict[str, Any]


def player_of(world: World) -> Json:
    body = world.player(world.player_tags[0])
    assert body is not None
    return body


def clan_of(world: World, tag: str) -> Json:
    body = world.clan(tag)
    assert body is not None
    return body


def without(body: Json, *fields: str) -> Json:
    return {key: value for key, value in body.items() if key not in fields}


def active_super_troops(page: Json) -> set[str]:
    return {troop["name"] for troop in page["troops"] if troop.get("superTroopIsActive") is True}


def use_up(verb: Any, player: str) -> list[Json]:
    """Repeat a change until it is impossible; return the details of the events."""
    said = []
    with suppress(ImpossibleError):
        for _ in range(3000):
            [change] = verb(player)
            said.append(change.details)
    return said


def test_upgrade_contains_the_unit_category(world: World) -> None:
    player = world.player_tags[0]
    upgrades = [
        (details["name"], details["category"], details["village"])
        for verb in (world.upgrade_troop, world.upgrade_spell, world.upgrade_hero, world.upgrade_equipment)
        for details in use_up(verb, player)
    ]
    assert set(upgrades) >= {
        ("Barbarian", "troop", "home"),
        ("Wall Wrecker", "siege_machine", "home"),
        ("Battle Blimp", "siege_machine", "home"),
        ("L.A.S.S.I", "pet", "home"),
        ("Unicorn", "pet", "home"),
        ("Frosty", "pet", "home"),
        ("Baby Dragon", "troop", "home"),
        ("Baby Dragon", "builder_base_unit", "builderBase"),
        ("Rage Spell", "spell", "home"),
        ("Barbarian King", "hero", "home"),
        ("Battle Machine", "hero", "builderBase"),
        ("Rage Vial", "equipment", "home"),
    }


def test_super_troops_are_never_upgraded(world: World) -> None:
    names = {details["name"] for details in use_up(world.upgrade_troop, world.player_tags[0])}
    troops = {troop["name"]: troop for troop in player_of(world)["troops"]}
    for name in ("Super Barbarian", "Sneaky Goblin", "Super Wall Breaker"):
        assert name not in names
        assert (troops[name]["level"], troops[name]["maxLevel"], troops[name]["village"]) == (1, 1, "home")


def test_super_troop_is_active_during_its_boost(world: World) -> None:
    player = world.player_tags[0]
    before = player_of(world)
    assert active_super_troops(before) == set()
    [started] = world.boost_super_troop(player)
    assert started.event_type == "super_troop_started"
    assert active_super_troops(player_of(world)) == {started.details["name"]}
    [ended] = world.end_super_troop(player)
    assert (ended.event_type, ended.details) == ("super_troop_ended", started.details)
    assert player_of(world) == before


def test_at_most_two_super_troops_are_active(world: World) -> None:
    player = world.player_tags[0]
    names = {world.boost_super_troop(player)[0].details["name"] for _ in range(2)}
    assert active_super_troops(player_of(world)) == names
    assert len(names) == 2
    with pytest.raises(ImpossibleError, match="active already"):
        world.boost_super_troop(player)


def test_hero_replaces_one_item_of_equipment(world: World) -> None:
    for _ in range(20):
        before = player_of(world)
        [change] = world.wear_equipment(world.player_tags[0])
        after = player_of(world)
        assert change.event_type == "hero_equipment_changed"
        [(old, new)] = [
            (one, other) for one, other in zip(before["heroes"], after["heroes"], strict=True) if one != other
        ]
        had, has = ({piece["name"] for piece in hero["equipment"]} for hero in (old, new))
        assert change.details == {"name": new["name"], "added": [*(has - had)], "removed": [*(had - has)]}
        assert len(has) == len(has | had) - 1 == 2
        assert without(old, "equipment") == without(new, "equipment")
        assert without(before, "heroes") == without(after, "heroes")


def test_heroes_share_no_equipment(world: World) -> None:
    for _ in range(30):
        world.wear_equipment(world.player_tags[0])
    worn = [piece["name"] for hero in player_of(world)["heroes"] for piece in hero.get("equipment", [])]
    assert len(set(worn)) == len(worn) == 8


def test_new_town_hall_resets_the_weapon_without_an_event(world: World) -> None:
    player = world.player_tags[0]
    use_up(world.upgrade_town_hall_weapon, player)
    assert player_of(world)["townHallWeaponLevel"] == 5
    [change] = world.upgrade_town_hall(player)
    assert change.event_type == "townhall_upgraded"
    assert player_of(world)["townHallWeaponLevel"] == 1


def test_town_halls_from_12_have_a_weapon(world: World) -> None:
    pages = [page for one in clan_of(world, world.clan_tags[0])["memberList"] if (page := world.player(one["tag"]))]
    assert {("townHallWeaponLevel" in page, page["townHallLevel"] >= 12) for page in pages} == {
        (True, True),
        (False, False),
    }
    assert all("townHallWeaponLevel" in (world.player(tag) or {}) for tag in world.player_tags)


def test_member_who_reaches_town_hall_12_gets_a_weapon(world: World) -> None:
    clan = world.clan_tags[0]
    member = next(one["tag"] for one in clan_of(world, clan)["memberList"] if one["townHallLevel"] == 11)
    world.upgrade_member_town_hall(clan, member)
    assert (world.player(member) or {})["townHallWeaponLevel"] == 1


def test_achievement_is_completed_with_its_last_star(world: World) -> None:
    before = player_of(world)
    [change] = world.complete_achievement(world.player_tags[0])
    after = player_of(world)
    assert change.event_type == "achievement_completed"
    [(old, new)] = [
        (one, other) for one, other in zip(before["achievements"], after["achievements"], strict=True) if one != other
    ]
    assert change.details == {"name": new["name"], "village": new["village"]}
    assert old["stars"] < new["stars"] == 3
    assert new["value"] >= new["target"]
    assert without(before, "achievements") == without(after, "achievements")


def test_achievements_with_equal_names_are_completed_separately(world: World) -> None:
    said = use_up(world.complete_achievement, world.player_tags[0])
    twice = {"name": "Keep Your Account Safe!", "village": "home"}
    assert said.count(twice) == 2
    achievements = player_of(world)["achievements"]
    assert {one["stars"] for one in achievements} == {3}
    keys = [(one["name"], one["village"]) for one in achievements]
    assert len({*keys}) == len(keys) - 1
    assert len({(*key, one["info"]) for key, one in zip(keys, achievements, strict=True)}) == len(keys)
    assert {one["village"] for one in said} == {"home", "builderBase", "clanCapital"}


def test_player_who_left_has_no_clan_and_no_role(world: World) -> None:
    player = world.player_tags[0]
    before = player_of(world)
    home = before["clan"]
    left, updated = world.leave_clan(player)
    assert (left.event_type, left.details) == (
        "player_clan_left",
        {"clan_tag": home["tag"], "clan_name": home["name"]},
    )
    assert (updated.event_type, updated.details) == ("player_updated", {"fields": ["role"]})
    assert {left.kind, updated.kind} == {"player"}
    assert player_of(world) == without(before, "clan", "role")
    assert player not in {one["tag"] for one in clan_of(world, home["tag"])["memberList"]}


def test_player_who_joins_is_a_clan_member(world: World) -> None:
    player = world.player_tags[0]
    world.leave_clan(player)
    before = player_of(world)
    joined, updated = world.join_clan(player)
    after = player_of(world)
    home = after["clan"]
    assert (joined.event_type, joined.details) == (
        "player_clan_joined",
        {"clan_tag": home["tag"], "clan_name": home["name"]},
    )
    assert (updated.event_type, updated.details) == ("player_updated", {"fields": ["role"]})
    assert after["role"] == "member"
    assert without(after, "clan", "role") == before
    assert [one["role"] for one in clan_of(world, home["tag"])["memberList"] if one["tag"] == player] == ["member"]


def test_watched_players_move_between_unwatched_clans(world: World) -> None:
    player = world.player_tags[0]
    tags = set()
    for _ in range(20):
        world.leave_clan(player)
        world.join_clan(player)
        tags.add(player_of(world)["clan"]["tag"])
    assert len(tags) == 2
    assert tags.isdisjoint(world.clan_tags)


def test_impossible_clan_moves_are_rejected(world: World) -> None:
    player = world.player_tags[0]
    with pytest.raises(ImpossibleError, match="in a clan already"):
        world.join_clan(player)
    world.leave_clan(player)
    with pytest.raises(ImpossibleError, match="not in a clan"):
        world.leave_clan(player)


def test_player_without_clan_still_changes(world: World) -> None:
    player = world.player_tags[0]
    world.leave_clan(player)
    before = player_of(world)
    world.rename_player(player)
    world.upgrade_hero(player)
    assert player_of(world)["name"] != before["name"]


@pytest.mark.parametrize("players", [2, 60])
def test_watched_players_can_leave_and_every_clan_keeps_a_leader(players: int) -> None:
    world = World(clans=1, members=10, players=players)
    homes = {(world.player(tag) or {})["clan"]["tag"] for tag in world.player_tags}
    for tag in world.player_tags:
        world.leave_clan(tag)
    for home in homes:
        assert [one["role"] for one in clan_of(world, home)["memberList"]].count("leader") == 1
    for tag in world.player_tags:
        world.join_clan(tag)
