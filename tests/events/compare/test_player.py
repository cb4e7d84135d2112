from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.compare.player import compare_player, player_looks_stale, restore_progress
from coc2mqtt.events.event import Change, EventType
from tests.support.bodies import player, unit


def test_the_same_player_makes_no_event() -> None:
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
def test_a_unit_that_rose_is_an_upgrade(field: str, event_type: EventType, category: str) -> None:
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
def test_a_troop_is_told_by_what_it_is(name: str, village: str, category: str) -> None:
    troops = [[unit(name, level, village)] for level in (1, 2)]
    (event,) = compare_player(player(troops=troops[0]), player(troops=troops[1]), at=1.0)
    assert event.metadata["category"] == category


def test_each_baby_dragon_is_its_own() -> None:
    new = player(troops=[unit("Barbarian", 10), unit("Baby Dragon", 6), unit("Baby Dragon", 9, "builderBase")])
    (event,) = compare_player(player(), new, at=1.0)
    assert event.metadata["village"] == "home"
    assert (event.metadata["old_level"], event.metadata["new_level"]) == (5, 6)


def test_a_new_unit_is_an_unlock() -> None:
    (event,) = compare_player(player(spells=[]), player(spells=[unit("Lightning Spell", 1)]), at=1.0)
    assert event.metadata["old_level"] is None


@pytest.mark.parametrize("troops", [[unit("Barbarian", 9)], []], ids=["lower", "gone"])
def test_a_level_that_fell_or_a_unit_that_vanished_is_nothing(troops: list[dict[str, Any]]) -> None:
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
def test_a_field_with_an_event_of_its_own(
    field: str, old: Any, new: Any, event_type: EventType, values: tuple[Any, Any]
) -> None:
    (event,) = compare_player(player(**{field: old}), player(**{field: new}), at=1.0)
    assert event.event_type is event_type
    assert (event.metadata["old_value"], event.metadata["new_value"]) == values


def test_a_list_of_units_that_the_api_never_gave_before_is_no_unlock_of_all_that_it_holds() -> None:
    old = player()
    del old["heroEquipment"]
    assert compare_player(old, player(), at=1.0) == []
    (event,) = compare_player(player(heroEquipment=[]), player(), at=1.0)
    assert event.event_type is EventType.HERO_EQUIPMENT_UPGRADED


def test_the_weapon_of_a_town_hall_rises_and_begins_anew_with_the_next_hall() -> None:
    (event,) = compare_player(player(townHallWeaponLevel=2), player(townHallWeaponLevel=3), at=1.0)
    assert event.event_type is EventType.TOWNHALL_WEAPON_UPGRADED
    assert (event.metadata["old_value"], event.metadata["new_value"]) == (2, 3)
    old = player(townHallWeaponLevel=5)
    new = player(townHallLevel=16, townHallWeaponLevel=1)
    assert [event.event_type for event in compare_player(old, restore_progress(old, new), at=1.0)] == [
        EventType.TOWNHALL_UPGRADED
    ]
    assert restore_progress(new, old)["townHallWeaponLevel"] == 1, "an older answer has an older weapon"


def test_the_boost_of_a_super_troop_starts_and_ends() -> None:
    normal, boosted = unit("Super Archer", 1), {**unit("Super Archer", 1), "superTroopIsActive": True}
    (started,) = compare_player(player(troops=[normal]), player(troops=[boosted]), at=1.0)
    (ended,) = compare_player(player(troops=[boosted]), player(troops=[normal]), at=1.0)
    assert (started.event_type, started.metadata["name"]) == (EventType.SUPER_TROOP_STARTED, "Super Archer")
    assert (ended.event_type, ended.metadata["name"]) == (EventType.SUPER_TROOP_ENDED, "Super Archer")


def test_a_hero_who_puts_something_else_on_says_what() -> None:
    def king(*worn: str) -> dict[str, Any]:
        return {**unit("Barbarian King", 80), "equipment": [unit(name, 9) for name in worn]}

    (event,) = compare_player(
        player(heroes=[king("Vampstache", "Rage Vial")]), player(heroes=[king("Rage Vial", "Spiky Ball")]), at=1.0
    )
    assert event.event_type is EventType.HERO_EQUIPMENT_CHANGED
    assert event.metadata["name"] == "Barbarian King"
    assert (event.metadata["added"], event.metadata["removed"]) == (["Spiky Ball"], ["Vampstache"])
    assert compare_player(player(heroes=[king("A", "B")]), player(heroes=[king("B", "A")]), at=1.0) == []
    assert compare_player(player(), player(heroes=[king("A")]), at=1.0) == [], "nothing was said of it before"


def test_the_war_preference_is_told() -> None:
    (event,) = compare_player(player(warPreference="in"), player(warPreference="out"), at=1.0)
    assert event.event_type is EventType.PLAYER_WAR_PREFERENCE_CHANGED
    assert (event.metadata["old_value"], event.metadata["new_value"]) == ("in", "out")


def test_from_one_clan_to_another_is_a_leave_and_a_join() -> None:
    order, others = {"tag": "#2PP", "name": "The Order"}, {"tag": "#8QQ", "name": "The Others"}
    left, joined = compare_player(player(clan=order), player(clan=others), at=1.0)
    assert (left.event_type, left.metadata) == (
        EventType.PLAYER_CLAN_LEFT,
        {"clan_tag": "#2PP", "clan_name": "The Order"},
    )
    assert (joined.event_type, joined.metadata["clan_tag"]) == (EventType.PLAYER_CLAN_JOINED, "#8QQ")
    assert [event.event_type for event in compare_player(player(clan=order), player(), at=1.0)] == [
        EventType.PLAYER_CLAN_LEFT
    ]
    renamed = {**order, "name": "The Old Order"}
    assert [event.event_type for event in compare_player(player(clan=order), player(clan=renamed), at=1.0)] == [
        EventType.PLAYER_UPDATED
    ]


def test_an_achievement_is_completed_with_its_third_star_and_known_by_its_text_too() -> None:
    def safe(info: str, stars: int, value: int = 0) -> dict[str, Any]:
        return {"name": "Keep Your Account Safe!", "village": "home", "info": info, "stars": stars, "value": value}

    old = player(achievements=[safe("network", 0), safe("id", 2)])
    (event,) = compare_player(old, player(achievements=[safe("network", 0), safe("id", 3, 1)]), at=1.0)
    assert event.event_type is EventType.ACHIEVEMENT_COMPLETED
    assert event.metadata == {"name": "Keep Your Account Safe!", "village": "home", "info": "id", "stars": 3}
    (event,) = compare_player(old, player(achievements=[safe("network", 1), safe("id", 2)]), at=1.0)
    assert event.event_type is EventType.PLAYER_UPDATED, "one star is progress"
    both = player(achievements=[safe("network", 1), safe("id", 3)])
    assert [event.event_type for event in compare_player(old, both, at=1.0)] == [
        EventType.ACHIEVEMENT_COMPLETED,
        EventType.PLAYER_UPDATED,
    ]


def test_the_goal_that_an_achievement_names_is_no_part_of_what_it_is() -> None:
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


def test_what_a_hero_wears_is_kept_where_an_answer_does_not_say_it() -> None:
    def king(**fields: Any) -> dict[str, Any]:
        return player(heroes=[{**unit("Barbarian King", 80), **fields}])

    silent = restore_progress(king(equipment=[unit("A", 1)]), king())
    (event,) = compare_player(silent, restore_progress(silent, king(equipment=[unit("B", 1)])), at=1.0)
    assert (event.metadata["added"], event.metadata["removed"]) == (["B"], ["A"])


def test_of_a_unit_whose_level_fell_the_rest_is_the_newest() -> None:
    boosted = {**unit("Super Archer", 2), "superTroopIsActive": True}
    completed = restore_progress(player(troops=[unit("Super Archer", 3)]), player(troops=[boosted]))
    assert completed["troops"] == [{**boosted, "level": 3}]


def test_a_weapon_is_never_lost_while_its_hall_stays() -> None:
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
def test_less_of_what_only_grows_is_an_older_answer(field: str) -> None:
    assert player_looks_stale(player(**{field: 9}), player(**{field: 8}))
    assert not player_looks_stale(player(**{field: 9}), player(**{field: 10}))


def test_what_every_player_has_is_missing_from_half_an_answer() -> None:
    half = player()
    del half["labels"]
    assert player_looks_stale(player(), half)
    assert not player_looks_stale(player(clan={"tag": "#2PP"}, role="member"), player())


def test_a_league_says_in_which_direction_it_went() -> None:
    lower, higher = ({"id": 105000020 + step, "name": f"Golem League {20 + step}"} for step in (0, 1))
    (up,) = compare_player(player(leagueTier=lower), player(leagueTier=higher), at=1.0)
    (down,) = compare_player(player(leagueTier=higher), player(leagueTier=lower), at=1.0)
    assert (up.metadata["direction"], down.metadata["direction"]) == ("promoted", "demoted")


def test_labels_say_what_was_added_and_removed() -> None:
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
def test_an_excluded_field_has_no_event_of_any_kind(fields: dict[str, Any], own: str) -> None:
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


def test_an_old_answer_with_league_and_without_league_tier() -> None:
    old, new = player(league={"name": "Gold"}), player(league={"name": "Crystal"})
    del old["leagueTier"], new["leagueTier"]
    (event,) = compare_player(old, new, at=1.0)
    assert event.event_type is EventType.PLAYER_LEAGUE_CHANGED
    assert event.metadata["new_value"] == "Crystal"


def test_the_step_from_league_to_league_tier_is_no_change_of_league() -> None:
    old = player(league={"name": "Gold"})
    del old["leagueTier"]
    assert compare_player(old, player(), at=1.0) == []


def test_the_order_of_labels_does_not_matter() -> None:
    old, new = player(labels=[{"name": "A"}, {"name": "B"}]), player(labels=[{"name": "B"}, {"name": "A"}])
    assert compare_player(old, new, at=1.0) == []


def test_everything_else_is_one_update_with_its_fields_in_order() -> None:
    (event,) = compare_player(player(), player(trophies=4100, attackWins=3), at=1.0)
    assert event.event_type is EventType.PLAYER_UPDATED
    assert event.changes == (Change("attackWins", None, 3), Change("trophies", 4000, 4100))


def test_included_and_excluded_fields_hold_for_every_event() -> None:
    new = player(trophies=1, attackWins=1, townHallLevel=16, spells=[unit("Lightning Spell", 9)], name="Kris")
    everything = {event.event_type for event in compare_player(player(), new, at=1.0)}
    assert len(everything) == 4
    included = compare_player(player(), new, at=1.0, include_fields=frozenset({"spells", "trophies"}))
    assert [event.event_type for event in included] == [EventType.SPELL_UPGRADED, EventType.PLAYER_UPDATED]
    assert [change.field for change in included[1].changes] == ["trophies"]
    excluded = compare_player(player(), new, at=1.0, exclude_fields=frozenset({"spells", "trophies", "name"}))
    assert [event.event_type for event in excluded] == [EventType.TOWNHALL_UPGRADED, EventType.PLAYER_UPDATED]
