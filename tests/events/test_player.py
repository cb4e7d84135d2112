from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.event import Change, EventType
from coc2mqtt.events.player import compare_player
from tests.events.builders import player, unit


def test_the_same_player_makes_no_event() -> None:
    assert compare_player(player(), player(), at=1.0) == []


@pytest.mark.parametrize(
    ("field", "event_type"),
    [
        ("troops", EventType.TROOP_UPGRADED),
        ("spells", EventType.SPELL_UPGRADED),
        ("heroes", EventType.HERO_UPGRADED),
        ("heroEquipment", EventType.HERO_EQUIPMENT_UPGRADED),
    ],
)
def test_a_unit_that_rose_is_an_upgrade(field: str, event_type: EventType) -> None:
    (event,) = compare_player(player(**{field: [unit("X", 4)]}), player(**{field: [unit("X", 6)]}), at=2.0)
    assert (event.event_type, event.tag, event.name, event.timestamp) == (event_type, "#900PUCPV", "Kristen", 2.0)
    assert event.changes == (Change(f"{field}.X", 4, 6),)
    assert event.metadata == {"name": "X", "old_level": 4, "new_level": 6, "village": "home", "max_level": 20}


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
