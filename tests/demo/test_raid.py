"""A raid weekend from its start to its medals, and the capital of a clan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.demo import ImpossibleError, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import ScriptedChange

Json = dict[str, Any]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def weekend_of(world: World, number: int = 0) -> Json:
    body = world.raid_seasons(world.clan_tags[0])
    assert body is not None
    return dict(body["items"][number])


def of_type(changes: list[ScriptedChange], event_type: str) -> list[Json]:
    return [change.details for change in changes if change.event_type == event_type]


def raider_of(world: World, tag: str) -> Json:
    [raider] = [member for member in weekend_of(world)["members"] if member["tag"] == tag]
    return dict(raider)


def destroy_clan(world: World, clan: str) -> list[ScriptedChange]:
    """Attack until the present opponent is destroyed; return the events of the last attack."""
    changes: list[ScriptedChange] = []
    while not of_type(changes, "raid_clan_destroyed"):
        changes = world.raid_attack(clan)
    return changes


def test_clan_that_never_raided_has_no_weekend(world: World) -> None:
    assert world.raid_seasons(world.clan_tags[0]) == {"items": [], "paging": {"cursors": {}}}
    assert world.raid_seasons("#2PP") is None


def test_weekend_starts_with_all_districts_of_its_first_opponent() -> None:
    world = World(now=lambda: NOON)
    started, opponent = world.start_raids(world.clan_tags[0], timedelta(minutes=3), districts=5)
    weekend = weekend_of(world)
    assert (weekend["state"], weekend["startTime"], weekend["endTime"]) == (
        "ongoing",
        "20261124T120000.000Z",
        "20261124T120300.000Z",
    )
    assert weekend["members"] == weekend["defenseLog"] == []
    [raid] = weekend["attackLog"]
    assert (raid["attackCount"], raid["districtCount"], raid["districtsDestroyed"]) == (0, 5, 0)
    assert [district["id"] for district in raid["districts"]] == list(range(70000000, 70000005))
    assert all("attacks" not in district for district in raid["districts"])
    assert (started.event_type, opponent.details["raid_index"]) == ("raid_started", 1)
    assert opponent.details["defender_tag"] == raid["defender"]["tag"]
    with pytest.raises(ImpossibleError, match="raids already"):
        world.start_raids(world.clan_tags[0])


def test_newest_attack_on_a_district_is_first(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_raids(clan)
    first, second, third = [(world.clan(clan) or {})["memberList"][place]["tag"] for place in (0, 1, 0)]
    for member, gained in ((first, 30), (second, 25), (third, 45)):
        world.raid_attack(clan, member, gained)
    district = weekend_of(world)["attackLog"][0]["districts"][-1]
    assert [(one["attacker"]["tag"], one["destructionPercent"], one["stars"]) for one in district["attacks"]] == [
        (first, 100, 3),
        (second, 55, 1),
        (first, 30, 0),
    ]
    attacks = of_type(world.changes, "raid_attack_new")
    assert [(one["order"], one["destruction"], one["gained"], one["finished"]) for one in attacks] == [
        (1, 30, 30, False),
        (2, 55, 25, False),
        (3, 100, 45, True),
    ]
    [destroyed] = of_type(world.changes, "raid_district_destroyed")
    assert (destroyed["attacks"], destroyed["loot"], destroyed["last_attacker_tag"]) == (
        3,
        district["totalLooted"],
        first,
    )


def test_finishing_hit_earns_one_bonus_attack(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_raids(clan)
    member = (world.clan(clan) or {})["memberList"][0]["tag"]
    limits = []
    for gained in (40, 60, 40, 60):
        world.raid_attack(clan, member, gained)
        limits.append(raider_of(world, member)["bonusAttackLimit"])
    assert limits == [0, 1, 1, 1], "the second finishing hit earns nothing"
    assert raider_of(world, member)["attacks"] == 4
    for _ in range(2):
        world.raid_attack(clan, member, 10)
    with pytest.raises(ImpossibleError, match=f"no member {member} of .* has an attack left"):
        world.raid_attack(clan, member)


def test_destroyed_clan_is_replaced_by_another_or_the_same(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_raids(clan)
    with pytest.raises(ImpossibleError, match=r"districts of .* are left"):
        world.raid(clan)
    last = destroy_clan(world, clan)
    assert [change.event_type for change in last] == [
        "raid_attack_new",
        "raid_district_destroyed",
        "raid_clan_destroyed",
    ]
    with pytest.raises(ImpossibleError, match="is completed"):
        world.raid_attack(clan)
    world.raid(clan, again=True)
    destroy_clan(world, clan)
    world.raid(clan)
    tags = [raid["defender"]["tag"] for raid in weekend_of(world)["attackLog"]]
    assert tags[0] == tags[1] != tags[2]
    assert [one["raid_index"] for one in of_type(world.changes, "raid_opponent_new")] == [1, 2, 3]


def test_only_a_completed_raid_on_the_clan_has_an_event(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_raids(clan)
    assert world.raid_defense(clan, 2) == []
    [raid] = weekend_of(world)["defenseLog"]
    assert raid["attackCount"] == 2
    [change] = world.raid_defense(clan)
    [raid] = weekend_of(world)["defenseLog"]
    assert change.details == {
        "attacker_tag": raid["attacker"]["tag"],
        "attacks": raid["attackCount"],
        "districts_destroyed": raid["districtCount"],
    }
    world.raid_defense(clan, 1)
    assert len(weekend_of(world)["defenseLog"]) == 2


def test_api_counts_raids_on_the_clan_but_the_event_does_not(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_raids(clan)
    world.raid_attack(clan)
    for _ in range(2):
        world.raid_defense(clan)
    [ended] = world.end_raids(clan)
    assert weekend_of(world)["raidsCompleted"] == 2
    assert ended.details["raids_completed"] == 0


def test_medals_appear_at_the_end_or_later(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_raids(clan)
    destroy_clan(world, clan)
    world.raid_defense(clan)
    assert (weekend_of(world)["offensiveReward"], weekend_of(world)["defensiveReward"]) == (0, 0)
    assert world.end_raids(clan, rewarded=False) == []
    weekend = weekend_of(world)
    assert (weekend["state"], weekend["offensiveReward"], weekend["defensiveReward"]) == ("ended", 0, 0)
    [ended] = world.reward_raids(clan)
    weekend = weekend_of(world)
    offense, defense = weekend["offensiveReward"], weekend["defensiveReward"]
    assert min(offense, defense) > 0
    assert (ended.details["loot"], ended.details["max_medals"]) == (weekend["capitalTotalLoot"], 6 * offense + defense)
    assert {district["stars"] for district in weekend["attackLog"][0]["districts"]} == {0}, "as recorded"
    with pytest.raises(ImpossibleError, match="without medals"):
        world.reward_raids(clan)


def test_only_the_last_weekend_lists_members_and_attacks(world: World) -> None:
    clan = world.clan_tags[0]
    for _ in range(5):
        world.start_raids(clan)
        world.raid_attack(clan)
        world.end_raids(clan)
    assert len((world.raid_seasons(clan) or {})["items"]) == 3
    last, older = weekend_of(world), weekend_of(world, 1)
    assert older.keys() == last.keys() - {"members"}
    listed = [["attacks" in one["attackLog"][0]["districts"][-1] for one in (last, older)]]
    assert listed == [[True, False]]


def test_member_who_left_still_counts(world: World) -> None:
    clan = world.clan_tags[0]
    member = next(one["tag"] for one in (world.clan(clan) or {})["memberList"] if one["role"] == "member")
    world.start_raids(clan)
    world.raid_attack(clan, member)
    world.leave(clan, member)
    assert raider_of(world, member)["attacks"] == 1
    with pytest.raises(ImpossibleError, match="has an attack left"):
        world.raid_attack(clan, member)


@pytest.mark.parametrize(
    "deed", [World.raid, World.raid_attack, World.raid_defense, World.end_raids, World.reward_raids]
)
def test_change_without_a_weekend_is_impossible(world: World, deed: Callable[[World, str], object]) -> None:
    with pytest.raises(ImpossibleError):
        deed(world, world.clan_tags[0])
    assert world.changes == []


@pytest.mark.parametrize(
    ("verb", "event_type", "field"),
    [
        (World.level_up, "clan_level_up", "clanLevel"),
        (World.upgrade_capital_hall, "capital_hall_upgraded", "clanCapital"),
        (World.change_capital_league, "clan_capital_league_changed", "capitalLeague"),
    ],
)
def test_clan_change_has_an_event_besides_the_field(
    world: World, verb: Callable[[World, str], list[Any]], event_type: str, field: str
) -> None:
    clan = world.clan_tags[0]
    before = world.clan(clan) or {}
    updated, changed = verb(world, clan)
    after = world.clan(clan) or {}
    assert (updated.details, changed.event_type) == ({"fields": [field]}, event_type)
    assert {key for key in after if after[key] != before[key]} == {field}


def test_contribution_has_amount_and_total(world: World) -> None:
    player = world.player_tags[0]
    before = (world.player(player) or {})["clanCapitalContributions"]
    contributed, updated = world.contribute(player, 700)
    assert updated.details == {"fields": ["clanCapitalContributions"]}
    assert contributed.details == {"amount": 700, "total": before + 700}
    assert (world.player(player) or {})["clanCapitalContributions"] == before + 700
