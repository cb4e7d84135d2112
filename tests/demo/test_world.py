"""The effects of each change and the events that it returns."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.demo import PROBE_TAG, ImpossibleError, World

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def clan_of(world: World) -> Json:
    body = world.clan(world.clan_tags[0])
    assert body is not None
    return body


def war_of(world: World) -> Json:
    body = world.current_war(world.clan_tags[0])
    assert body is not None
    return body


def player_of(world: World) -> Json:
    body = world.player(world.player_tags[0])
    assert body is not None
    return body


def without(body: Json, *fields: str) -> Json:
    return {key: value for key, value in body.items() if key not in fields}


def test_world_depends_only_on_the_seed() -> None:
    def look(seed: int) -> list[Json | None]:
        world = World(seed=seed)
        return [*map(world.clan, world.clan_tags), *map(world.player, world.player_tags)]

    assert look(7) == look(7)
    assert look(7) != look(8)


def test_new_world_has_two_clans_two_players_and_the_probe(world: World) -> None:
    assert len(world.clan_tags) == len(world.player_tags) == 2
    assert not world.is_war_log_private(world.clan_tags[0])
    assert world.is_war_log_private(world.clan_tags[1])
    probe = world.player(PROBE_TAG)
    assert probe is not None
    assert probe["tag"] == PROBE_TAG
    assert PROBE_TAG not in world.player_tags
    assert world.changes == []


def test_world_can_be_large() -> None:
    world = World(clans=1000, members=50, players=120)
    assert len(set(world.clan_tags)) == 1000
    assert len(set(world.player_tags)) == 120
    assert all(world.player(tag) for tag in world.player_tags)
    last = world.clan(world.clan_tags[-1])
    assert last is not None
    assert last["members"] == len(last["memberList"]) == 50


def test_unknown_tags_have_no_body(world: World) -> None:
    assert (world.clan("#2PP"), world.current_war("#2PP"), world.player("#2PP")) == (None, None, None)


def test_every_member_has_a_consistent_player_body(world: World) -> None:
    clan = clan_of(world)
    for member in clan["memberList"]:
        page = world.player(member["tag"])
        assert page is not None
        shared = set(member) & set(page)
        assert {"name", "role", "townHallLevel", "leagueTier", "trophies", "donations"} <= shared
        assert {key: page[key] for key in shared} == {key: member[key] for key in shared}
        assert page["clan"]["tag"] == clan["tag"]


def test_members_clan_lists_the_player_consistently(world: World) -> None:
    player = world.player_tags[0]
    world.rename_player(player)
    world.win_trophies(player)
    page = player_of(world)
    home = world.clan(page["clan"]["tag"])
    assert home is not None
    assert page["clan"]["tag"] not in world.clan_tags
    [member] = [member for member in home["memberList"] if member["tag"] == player]
    assert (member["name"], member["trophies"]) == (page["name"], page["trophies"])


def test_join_adds_one_member(world: World) -> None:
    before = clan_of(world)
    updated, joined = world.join(world.clan_tags[0])
    after = clan_of(world)
    assert (updated.event_type, updated.details) == ("clan_updated", {"fields": ["members"]})
    assert joined.event_type == "member_joined"
    tags = [{member["tag"] for member in body["memberList"]} for body in (before, after)]
    assert tags[1] - tags[0] == {joined.details["member_tag"]}
    assert after["members"] == before["members"] + 1
    assert without(before, "members", "memberList") == without(after, "members", "memberList")


def test_leaving_member_is_removed_from_the_world(world: World) -> None:
    member = next(one["tag"] for one in clan_of(world)["memberList"] if one["role"] == "member")
    updated, left = world.leave(world.clan_tags[0], member)
    assert (updated.details, left.event_type, left.details) == (
        {"fields": ["members"]},
        "member_left",
        {"member_tag": member},
    )
    assert member not in {one["tag"] for one in clan_of(world)["memberList"]}
    assert world.player(member) is None


def test_donation_counts_for_donor_and_receiver(world: World) -> None:
    before = {member["tag"]: member for member in clan_of(world)["memberList"]}
    giver = next(iter(before))
    given, received = world.donate(world.clan_tags[0], giver, 7)
    after = {member["tag"]: member for member in clan_of(world)["memberList"]}
    assert given.details == {"member_tag": giver, "donations": 7, "donationsReceived": 0}
    assert received.details["donationsReceived"] == 7
    assert after[giver]["donations"] == before[giver]["donations"] + 7
    other = received.details["member_tag"]
    assert after[other]["donationsReceived"] == before[other]["donationsReceived"] + 7


def test_new_season_resets_all_donations(world: World) -> None:
    before = clan_of(world)
    [change] = world.reset_season(world.clan_tags[0])
    after = clan_of(world)
    assert (change.event_type, change.kind, change.tag, change.details) == (
        "season_reset",
        "clan",
        world.clan_tags[0],
        {},
    )
    for old, new in zip(before["memberList"], after["memberList"], strict=True):
        assert new == {**old, "donations": 0, "donationsReceived": 0}
    assert without(before, "memberList") == without(after, "memberList")


def test_season_without_donations_cannot_be_reset(world: World) -> None:
    clan = world.clan_tags[0]
    world.reset_season(clan)
    with pytest.raises(ImpossibleError, match=r"nobody in .* has donated"):
        world.reset_season(clan)
    world.donate(clan)
    assert world.reset_season(clan)


def test_roles_range_from_member_to_co_leader(world: World) -> None:
    clan = world.clan_tags[0]
    member = next(one["tag"] for one in clan_of(world)["memberList"] if one["role"] == "member")
    steps = [world.promote(clan, member), world.promote(clan, member), world.demote(clan, member)]
    assert [(change.details["old_role"], change.details["new_role"]) for [change] in steps] == [
        ("member", "admin"),
        ("admin", "coLeader"),
        ("coLeader", "admin"),
    ]
    world.promote(clan, member)
    with pytest.raises(ImpossibleError, match=f"no member {member} of .* can be promoted"):
        world.promote(clan, member)


@pytest.mark.parametrize(
    ("verb", "fields"),
    [(World.rename_member, ["name"]), (World.upgrade_member_town_hall, ["townHallLevel"])],
)
def test_member_change_affects_only_its_fields(
    world: World, verb: Callable[[World, str], list[Any]], fields: list[str]
) -> None:
    before = {member["tag"]: member for member in clan_of(world)["memberList"]}
    [change] = verb(world, world.clan_tags[0])
    after = {member["tag"]: member for member in clan_of(world)["memberList"]}
    assert change.event_type == "member_updated"
    assert change.details["fields"] == fields
    different = [(tag, key) for tag, one in after.items() for key in one if one[key] != before[tag][key]]
    assert different == [(change.details["member_tag"], field) for field in fields]


UPGRADES = [
    (World.upgrade_troop, "troop_upgraded", "troops"),
    (World.upgrade_spell, "spell_upgraded", "spells"),
    (World.upgrade_hero, "hero_upgraded", "heroes"),
    (World.upgrade_equipment, "hero_equipment_upgraded", "heroEquipment"),
]


@pytest.mark.parametrize(("verb", "event_type", "field"), UPGRADES)
def test_upgrade_raises_one_unit_by_one_level(
    world: World, verb: Callable[[World, str], list[Any]], event_type: str, field: str
) -> None:
    before = player_of(world)
    [change] = verb(world, world.player_tags[0])
    after = player_of(world)
    assert (change.event_type, change.kind, change.tag) == (event_type, "player", world.player_tags[0])
    # Equipped items are also listed with their hero.
    assert without(before, field, "heroes") == without(after, field, "heroes")
    raised = [
        {"name": new["name"], "village": new["village"], "old_level": old["level"], "new_level": new["level"]}
        for old, new in zip(before[field], after[field], strict=True)
        if old["level"] != new["level"]
    ]
    assert raised == [without(change.details, "category")]
    assert change.details["new_level"] == change.details["old_level"] + 1


def test_equipped_items_have_the_level_of_the_equipment(world: World) -> None:
    for _ in range(40):
        world.upgrade_equipment(world.player_tags[0])
    body = player_of(world)
    levels = {unit["name"]: unit["level"] for unit in body["heroEquipment"]}
    worn = [unit for hero in body["heroes"] for unit in hero.get("equipment", [])]
    assert len(worn) == 8
    assert all(unit["level"] == levels[unit["name"]] for unit in worn)


@pytest.mark.parametrize(
    ("verb", "event_type", "field"),
    [
        (World.upgrade_town_hall, "townhall_upgraded", "townHallLevel"),
        (World.upgrade_town_hall_weapon, "townhall_weapon_upgraded", "townHallWeaponLevel"),
        (World.upgrade_builder_hall, "builderhall_upgraded", "builderHallLevel"),
        (World.change_war_preference, "player_war_preference_changed", "warPreference"),
        (World.rename_player, "player_name_changed", "name"),
        (World.change_league, "player_league_changed", "leagueTier"),
        (World.change_labels, "player_label_changed", "labels"),
    ],
)
def test_player_change_has_one_field_with_old_and_new_value(
    world: World, verb: Callable[[World, str], list[Any]], event_type: str, field: str
) -> None:
    def value(body: Json) -> Any:
        match body[field]:
            case {"name": name}:
                return name
            case [*labels]:
                return sorted(label["name"] for label in labels)
            case plain:
                return plain

    before = player_of(world)
    [change] = verb(world, world.player_tags[0])
    after = player_of(world)
    assert change.event_type == event_type
    assert change.details == {"old_value": value(before), "new_value": value(after)}
    assert value(before) != value(after)
    # A new town hall resets the weapon.
    assert without(before, field, "townHallWeaponLevel") == without(after, field, "townHallWeaponLevel")


def test_new_trophy_record_changes_a_second_field(world: World) -> None:
    seen = set()
    for _ in range(60):
        before = player_of(world)
        [change] = world.win_trophies(world.player_tags[0])
        after = player_of(world)
        assert change.event_type == "player_updated"
        assert change.details["fields"] == sorted(key for key in after if after[key] != before[key])
        assert after["bestTrophies"] >= after["trophies"]
        seen.add(tuple(change.details["fields"]))
    assert seen == {("trophies",), ("bestTrophies", "trophies")}


def test_maintenance_starts_and_ends_once(world: World) -> None:
    world.start_maintenance()
    with pytest.raises(ImpossibleError, match="already started"):
        world.start_maintenance()
    world.end_maintenance()
    with pytest.raises(ImpossibleError, match="not in maintenance"):
        world.end_maintenance()
    assert [(change.event_type, change.kind, change.tag) for change in world.changes] == [
        ("maintenance_start", "api", "api"),
        ("maintenance_end", "api", "api"),
    ]


def leader_leaves(world: World) -> object:
    leader = next(one["tag"] for one in clan_of(world)["memberList"] if one["role"] == "leader")
    return world.leave(world.clan_tags[0], leader)


@pytest.mark.parametrize(
    "deed",
    [
        leader_leaves,
        lambda world: world.start_battle(world.clan_tags[0]),
        lambda world: world.attack(world.clan_tags[0]),
        lambda world: world.end_war(world.clan_tags[0]),
        lambda world: world.clear_war(world.clan_tags[0]),
        lambda world: world.replace_war(world.clan_tags[0]),
        lambda world: world.shift_war(world.clan_tags[0], timedelta(hours=1)),
        lambda world: world.declare_war(world.clan_tags[1]),
        lambda world: world.set_war_log_public(world.clan_tags[0], public=True),
        lambda world: world.promote(world.clan_tags[0], "#2PP"),
        lambda world: world.end_maintenance(),
        lambda world: world.end_super_troop(world.player_tags[0]),
        lambda world: world.join_clan(world.player_tags[0]),
    ],
)
def test_impossible_change_changes_nothing(world: World, deed: Callable[[World], object]) -> None:
    before = clan_of(world), war_of(world), player_of(world)
    with pytest.raises(ImpossibleError):
        deed(world)
    assert (clan_of(world), war_of(world), player_of(world)) == before
    assert world.changes == []


def test_full_clan_rejects_players_and_small_clan_rejects_wars() -> None:
    full, small = World(members=50), World(members=4)
    with pytest.raises(ImpossibleError, match="full"):
        full.join(full.clan_tags[0])
    with pytest.raises(ImpossibleError, match="fewer than 5"):
        small.declare_war(small.clan_tags[0])


def use_up(verb: Callable[[str], object], player: str) -> None:
    with suppress(ImpossibleError):
        for _ in range(200):
            verb(player)


def test_units_and_halls_stop_at_their_highest_level(world: World) -> None:
    player = world.player_tags[0]
    for verb in (world.upgrade_spell, world.upgrade_town_hall, world.upgrade_builder_hall):
        use_up(verb, player)
        with pytest.raises(ImpossibleError):
            verb(player)
    body = player_of(world)
    assert (body["townHallLevel"], body["builderHallLevel"]) == (18, 10)
    assert all(unit["level"] == unit["maxLevel"] for unit in body["spells"])


@pytest.mark.parametrize("deed", [lambda world: world.join("#2PP"), lambda world: world.upgrade_troop("#JY9J2Y99")])
def test_only_watched_resources_change(world: World, deed: Callable[[World], object]) -> None:
    with pytest.raises(KeyError):
        deed(world)


def test_tags_are_normalised(world: World) -> None:
    members = [member["tag"] for tag in world.clan_tags for member in (world.clan(tag) or {})["memberList"]]
    tags = [*world.clan_tags, *world.player_tags, *members]
    assert len(set(tags)) == len(tags)
    assert [normalize_tag(tag) for tag in tags] == tags
