from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.compare.player import compare_player, player_looks_stale, restore_progress
from coc2mqtt.events.event import Change, EventType
from tests.support.bodies import player, unit
from tests.support.war_steps import types


def test_unchanged_player_causes_no_event() -> None:
    assert compare_player(player(), player(), at=1.0) == []


@pytest.mark.parametrize(
    ("field", "event_type", "category"),
    [
        ("troops", EventType.TROOP_UPGRADED, "troop"),
        ("spells", EventType.SPELL_UPGRADED, "spell"),
        ("heroes", EventType.HERO_UPGRADED, "hero"),
        ("heroEquipment", EventType.HERO_EQUIPMENT_UPGRADED, "equipment"),
    ],
)
def test_higher_level_of_a_unit_is_an_upgrade(field: str, event_type: EventType, category: str) -> None:
    (event,) = compare_player(player(**{field: [unit("X", 4)]}), player(**{field: [unit("X", 6)]}), at=2.0)
    assert (event.event_type, event.tag, event.name, event.timestamp) == (event_type, "#900PUCPV", "Kristen", 2.0)
    assert event.changes == (Change(f"{field}.X", 4, 6),)
    levels = {"name": "X", "old_level": 4, "new_level": 6, "max_level": 20}
    assert event.metadata == {**levels, "category": category, "village": "home"}


@pytest.mark.parametrize(
    ("name", "village", "category"),
    [
        ("Barbarian", "home", "troop"),
        ("Super Barbarian", "home", "troop"),
        ("Something New", "home", "troop"),
        ("Wall Wrecker", "home", "siege_machine"),
        ("L.A.S.S.I", "home", "pet"),
        ("Baby Dragon", "builderBase", "builder_base_unit"),
    ],
)
def test_troop_upgrade_has_the_category(name: str, village: str, category: str) -> None:
    troops = [[unit(name, level, village)] for level in (1, 2)]
    (event,) = compare_player(player(troops=troops[0]), player(troops=troops[1]), at=1.0)
    assert event.metadata["category"] == category


def test_units_of_the_same_name_are_distinguished_by_village() -> None:
    new = player(troops=[unit("Barbarian", 10), unit("Baby Dragon", 6), unit("Baby Dragon", 9, "builderBase")])
    (event,) = compare_player(player(), new, at=1.0)
    assert event.metadata["village"] == "home"
    assert (event.metadata["old_level"], event.metadata["new_level"]) == (5, 6)


def test_new_unit_has_no_old_level() -> None:
    (event,) = compare_player(player(spells=[]), player(spells=[unit("Lightning Spell", 1)]), at=1.0)
    assert event.metadata["old_level"] is None


@pytest.mark.parametrize("troops", [[unit("Barbarian", 9)], []], ids=["lower", "gone"])
def test_lower_level_or_missing_unit_causes_no_event(troops: list[dict[str, Any]]) -> None:
    old = player(troops=[unit("Barbarian", 10)])
    assert compare_player(old, player(troops=troops), at=1.0) == []


@pytest.mark.parametrize(
    ("field", "old", "new", "event_type", "values"),
    [
        ("townHallLevel", 15, 16, EventType.TOWNHALL_UPGRADED, (15, 16)),
        ("builderHallLevel", None, 1, EventType.BUILDERHALL_UPGRADED, (None, 1)),
        ("name", "Kristen", "Kris", EventType.PLAYER_NAME_CHANGED, ("Kristen", "Kris")),
        ("leagueTier", {"name": "A"}, {"name": "B"}, EventType.PLAYER_LEAGUE_CHANGED, ("A", "B")),
        ("labels", [{"name": "A"}], [{"name": "B"}], EventType.PLAYER_LABEL_CHANGED, (["A"], ["B"])),
    ],
)
def test_field_with_its_own_event_type_has_old_and_new_value(
    field: str, old: Any, new: Any, event_type: EventType, values: tuple[Any, Any]
) -> None:
    (event,) = compare_player(player(**{field: old}), player(**{field: new}), at=1.0)
    assert event.event_type is event_type
    assert (event.metadata["old_value"], event.metadata["new_value"]) == values


def test_new_list_of_units_is_a_baseline() -> None:
    old = player()
    del old["heroEquipment"]
    assert compare_player(old, player(), at=1.0) == []
    (event,) = compare_player(player(heroEquipment=[]), player(), at=1.0)
    assert event.event_type is EventType.HERO_EQUIPMENT_UPGRADED


def test_weapon_upgrade_is_reported_within_one_town_hall() -> None:
    (event,) = compare_player(player(townHallWeaponLevel=2), player(townHallWeaponLevel=3), at=1.0)
    assert event.event_type is EventType.TOWNHALL_WEAPON_UPGRADED
    assert (event.metadata["old_value"], event.metadata["new_value"]) == (2, 3)


def test_new_town_hall_starts_with_a_new_weapon() -> None:
    old = player(townHallWeaponLevel=5)
    new = player(townHallLevel=16, townHallWeaponLevel=1)
    assert types(compare_player(old, restore_progress(old, new), at=1.0)) == ["townhall_upgraded"]
    assert restore_progress(new, old)["townHallWeaponLevel"] == 1, "a stale response has an older weapon"


def test_super_troop_boost_starts_and_ends() -> None:
    normal, boosted = unit("Super Archer", 1), {**unit("Super Archer", 1), "superTroopIsActive": True}
    (started,) = compare_player(player(troops=[normal]), player(troops=[boosted]), at=1.0)
    (ended,) = compare_player(player(troops=[boosted]), player(troops=[normal]), at=1.0)
    assert (started.event_type, started.metadata["name"]) == (EventType.SUPER_TROOP_STARTED, "Super Archer")
    assert (ended.event_type, ended.metadata["name"]) == (EventType.SUPER_TROOP_ENDED, "Super Archer")


def king(*equipment: str) -> dict[str, Any]:
    return {**unit("Barbarian King", 80), "equipment": [unit(name, 9) for name in equipment]}


def test_changed_hero_equipment_is_reported() -> None:
    (event,) = compare_player(
        player(heroes=[king("Vampstache", "Rage Vial")]), player(heroes=[king("Rage Vial", "Spiky Ball")]), at=1.0
    )
    assert event.event_type is EventType.HERO_EQUIPMENT_CHANGED
    assert event.metadata["name"] == "Barbarian King"
    assert (event.metadata["added"], event.metadata["removed"]) == (["Spiky Ball"], ["Vampstache"])


def test_reordered_hero_equipment_causes_no_event() -> None:
    assert compare_player(player(heroes=[king("A", "B")]), player(heroes=[king("B", "A")]), at=1.0) == []


def test_first_hero_equipment_is_a_baseline() -> None:
    assert compare_player(player(), player(heroes=[king("A")]), at=1.0) == []


def test_changed_war_preference_is_reported() -> None:
    (event,) = compare_player(player(warPreference="in"), player(warPreference="out"), at=1.0)
    assert event.event_type is EventType.PLAYER_WAR_PREFERENCE_CHANGED
    assert (event.metadata["old_value"], event.metadata["new_value"]) == ("in", "out")


ORDER, OTHERS = {"tag": "#2PP", "name": "The Order"}, {"tag": "#8QQ", "name": "The Others"}


def test_change_of_clan_is_a_leave_and_a_join() -> None:
    left, joined = compare_player(player(clan=ORDER), player(clan=OTHERS), at=1.0)
    assert (left.event_type, left.metadata) == (
        EventType.PLAYER_CLAN_LEFT,
        {"clan_tag": "#2PP", "clan_name": "The Order"},
    )
    assert (joined.event_type, joined.metadata["clan_tag"]) == (EventType.PLAYER_CLAN_JOINED, "#8QQ")


def test_player_without_a_clan_has_left() -> None:
    assert types(compare_player(player(clan=ORDER), player(), at=1.0)) == ["player_clan_left"]


def test_renamed_clan_is_an_update() -> None:
    renamed = {**ORDER, "name": "The Old Order"}
    assert types(compare_player(player(clan=ORDER), player(clan=renamed), at=1.0)) == ["player_updated"]


def safe(info: str, stars: int, value: int = 0) -> dict[str, Any]:
    """Return an achievement; two of this name are distinguished by their texts."""
    return {"name": "Keep Your Account Safe!", "village": "home", "info": info, "stars": stars, "value": value}


OLD_ACHIEVEMENTS = player(achievements=[safe("network", 0), safe("id", 2)])


def test_achievement_is_completed_with_its_third_star() -> None:
    (event,) = compare_player(OLD_ACHIEVEMENTS, player(achievements=[safe("network", 0), safe("id", 3, 1)]), at=1.0)
    assert event.event_type is EventType.ACHIEVEMENT_COMPLETED
    assert event.metadata == {"name": "Keep Your Account Safe!", "village": "home", "info": "id", "stars": 3}


def test_first_star_of_an_achievement_is_an_update() -> None:
    new = player(achievements=[safe("network", 1), safe("id", 2)])
    assert types(compare_player(OLD_ACHIEVEMENTS, new, at=1.0)) == ["player_updated"]


def test_completion_and_progress_of_achievements_are_separate_events() -> None:
    new = player(achievements=[safe("network", 1), safe("id", 3)])
    assert types(compare_player(OLD_ACHIEVEMENTS, new, at=1.0)) == ["achievement_completed", "player_updated"]


def test_achievement_with_a_changed_goal_is_the_same() -> None:
    def grab(goal: str, stars: int) -> dict[str, Any]:
        return {"name": "Gold Grab", "village": "home", "info": f"Steal {goal} Gold", "stars": stars}

    old, new = player(achievements=[grab("1000000", 1)]), player(achievements=[grab("100000000", 3)])
    (event,) = compare_player(old, new, at=1.0)
    assert event.event_type is EventType.ACHIEVEMENT_COMPLETED
    stale = restore_progress(new, old)
    assert stale["achievements"] == new["achievements"], "a star is never lost"
    gone = restore_progress(old, player(achievements=[]))
    assert [event.event_type for event in compare_player(gone, restore_progress(gone, new), at=1.0)] == [
        EventType.ACHIEVEMENT_COMPLETED
    ]


def test_hero_equipment_is_kept_if_response_lacks_it() -> None:
    restored = restore_progress(player(heroes=[king("A")]), player(heroes=[unit("Barbarian King", 80)]))
    new = player(heroes=[king("B")])
    (event,) = compare_player(restored, restore_progress(restored, new), at=1.0)
    assert (event.metadata["added"], event.metadata["removed"]) == (["B"], ["A"])


def test_unit_with_a_lower_level_keeps_its_other_new_fields() -> None:
    boosted = {**unit("Super Archer", 2), "superTroopIsActive": True}
    completed = restore_progress(player(troops=[unit("Super Archer", 3)]), player(troops=[boosted]))
    assert completed["troops"] == [{**boosted, "level": 3}]


def test_weapon_level_is_kept_within_one_town_hall() -> None:
    old = player(townHallWeaponLevel=3)
    assert restore_progress(old, player(townHallWeaponLevel=2))["townHallWeaponLevel"] == 3
    assert restore_progress(old, player())["townHallWeaponLevel"] == 3
    next_hall = player(townHallLevel=16, townHallWeaponLevel=4)
    assert EventType.TOWNHALL_WEAPON_UPGRADED not in [
        event.event_type for event in compare_player(old, restore_progress(old, next_hall), at=1.0)
    ]


@pytest.mark.parametrize(
    "field",
    [
        *("expLevel", "bestTrophies", "bestBuilderBaseTrophies", "warStars", "clanCapitalContributions"),
        *("donations", "donationsReceived", "attackWins", "defenseWins"),
    ],
)
def test_player_with_a_decreased_value_looks_stale(field: str) -> None:
    assert player_looks_stale(player(**{field: 9}), player(**{field: 8}))
    assert not player_looks_stale(player(**{field: 9}), player(**{field: 10}))


def test_player_without_a_permanent_field_looks_stale() -> None:
    half = player()
    del half["labels"]
    assert player_looks_stale(player(), half)
    assert not player_looks_stale(player(clan={"tag": "#2PP"}, role="member"), player())


def test_league_change_has_its_direction() -> None:
    lower, higher = ({"id": 105000020 + step, "name": f"Golem League {20 + step}"} for step in (0, 1))
    (up,) = compare_player(player(leagueTier=lower), player(leagueTier=higher), at=1.0)
    (down,) = compare_player(player(leagueTier=higher), player(leagueTier=lower), at=1.0)
    assert (up.metadata["direction"], down.metadata["direction"]) == ("promoted", "demoted")


def test_label_change_has_added_and_removed_labels() -> None:
    old, new = player(labels=[{"name": "A"}, {"name": "B"}]), player(labels=[{"name": "B"}, {"name": "C"}])
    (event,) = compare_player(old, new, at=1.0)
    assert (event.metadata["added"], event.metadata["removed"]) == (["C"], ["A"])


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({"townHallWeaponLevel": 3}, "townHallWeaponLevel"),
        ({"troops": [{**unit("Barbarian", 10), "superTroopIsActive": True}]}, "troops"),
        ({"heroes": [{**unit("Barbarian King", 80), "equipment": [unit("B", 1)]}]}, "heroes"),
        ({"warPreference": "out"}, "warPreference"),
        ({"clan": {"tag": "#8QQ"}}, "clan"),
        ({"achievements": [{"name": "A", "stars": 3}]}, "achievements"),
    ],
)
def test_excluded_field_causes_no_event_of_any_type(fields: dict[str, Any], own: str) -> None:
    old = player(
        townHallWeaponLevel=2,
        troops=[unit("Barbarian", 10)],
        heroes=[{**unit("Barbarian King", 80), "equipment": [unit("A", 1)]}],
        warPreference="in",
        clan={"tag": "#2PP"},
        achievements=[{"name": "A", "stars": 2}],
    )
    new = {**old, **fields}
    assert compare_player(old, new, at=1.0) != []
    assert compare_player(old, new, at=1.0, exclude_fields=frozenset({own})) == []
    assert compare_player(old, new, at=1.0, include_fields=frozenset({"trophies"})) == []


def test_league_is_compared_if_there_is_no_league_tier() -> None:
    old, new = player(league={"name": "Gold"}), player(league={"name": "Crystal"})
    del old["leagueTier"], new["leagueTier"]
    (event,) = compare_player(old, new, at=1.0)
    assert event.event_type is EventType.PLAYER_LEAGUE_CHANGED
    assert event.metadata["new_value"] == "Crystal"


def test_first_league_tier_is_a_baseline() -> None:
    old = player(league={"name": "Gold"})
    del old["leagueTier"]
    assert compare_player(old, player(), at=1.0) == []


def test_reordered_labels_cause_no_event() -> None:
    old, new = player(labels=[{"name": "A"}, {"name": "B"}]), player(labels=[{"name": "B"}, {"name": "A"}])
    assert compare_player(old, new, at=1.0) == []


def test_other_fields_are_one_update_in_order() -> None:
    (event,) = compare_player(player(), player(trophies=4100, attackWins=3), at=1.0)
    assert event.event_type is EventType.PLAYER_UPDATED
    assert event.changes == (Change("attackWins", None, 3), Change("trophies", 4000, 4100))


def test_included_and_excluded_fields_apply_to_every_event() -> None:
    new = player(trophies=1, attackWins=1, townHallLevel=16, spells=[unit("Lightning Spell", 9)], name="Kris")
    everything = {event.event_type for event in compare_player(player(), new, at=1.0)}
    assert len(everything) == 4
    included = compare_player(player(), new, at=1.0, include_fields=frozenset({"spells", "trophies"}))
    assert [event.event_type for event in included] == [EventType.SPELL_UPGRADED, EventType.PLAYER_UPDATED]
    assert [change.field for change in included[1].changes] == ["trophies"]
    excluded = compare_player(player(), new, at=1.0, exclude_fields=frozenset({"spells", "trophies", "name"}))
    assert [event.event_type for event in excluded] == [EventType.TOWNHALL_UPGRADED, EventType.PLAYER_UPDATED]
