"""Events about a clan's level, its capital and a player's contributions, and the updates that they explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.summary import summarize
from coc2mqtt.translations.language import language_of
from tests.support.bodies import CLAN_TAG, Json, clan, player
from tests.support.replay import Replay

if TYPE_CHECKING:
    from coc2mqtt.events import Event

UNRANKED, BRONZE = {"id": 85000000, "name": "Unranked"}, {"id": 85000001, "name": "Bronze League III"}
CLANMATE = {
    "name": "Most Valuable Clanmate",
    "stars": 2,
    "value": 5000,
    "target": 40000,
    "village": "clanCapital",
    "info": "Contribute",
    "completionInfo": "Total Capital Gold contributed: 5000",
}


def capital(hall: int, *, camp: int = 4) -> Json:
    districts = [{"id": 70000000, "districtHallLevel": hall}, {"id": 70000001, "districtHallLevel": camp}]
    return {"capitalHallLevel": hall, "districts": districts}


def compared(kind: Kind, before: Json, after: Json, *, repeat: int = 1, **options: Any) -> list[Event]:
    replay = Replay(kind, "#900PUCPV" if kind is Kind.PLAYER else CLAN_TAG, **options)
    body = player if kind is Kind.PLAYER else clan
    assert replay.feed(body(**before), after=0.0) == []
    for _ in range(repeat):
        replay.feed(body(**after))
    for event in replay.events:
        metadata_model(event.event_type).model_validate(event.metadata)
    return replay.events


def marks(events: list[Event]) -> list[tuple[str, Any]]:
    return [
        (event.event_type.value, event.metadata.get("caused_by") or event.metadata.get("explained_fields"))
        for event in events
    ]


@pytest.mark.parametrize(
    ("before", "after", "event_type", "metadata", "fields"),
    [
        (
            {"clanLevel": 19},
            {"clanLevel": 20},
            "clan_level_up",
            {"old_value": 19, "new_value": 20},
            ["clanLevel"],
        ),
        (
            {"clanCapital": capital(9)},
            {"clanCapital": capital(10)},
            "capital_hall_upgraded",
            {"old_value": 9, "new_value": 10},
            ["clanCapital.capitalHallLevel", "clanCapital.districts"],
        ),
        (
            {"capitalLeague": UNRANKED},
            {"capitalLeague": BRONZE},
            "clan_capital_league_changed",
            {
                "old_id": 85000000,
                "old_name": "Unranked",
                "new_id": 85000001,
                "new_name": "Bronze League III",
                "direction": "promoted",
            },
            ["capitalLeague.id", "capitalLeague.name"],
        ),
    ],
)
def test_clan_progress_has_an_event_that_explains_the_update(
    before: Json, after: Json, event_type: str, metadata: Json, fields: list[str]
) -> None:
    updated, progress = compared(Kind.CLAN, before, after)
    assert marks([updated, progress]) == [("clan_updated", event_type), (event_type, None)]
    assert progress.metadata == metadata
    assert [change.field for change in updated.changes] == fields, "the update is as without the other event"


def test_capital_league_below_the_last_is_a_demotion() -> None:
    (_, changed) = compared(Kind.CLAN, {"capitalLeague": BRONZE}, {"capitalLeague": UNRANKED})
    assert changed.metadata["direction"] == "demoted"
    assert summarize(changed) == "The capital of The Order was demoted from Bronze League III to Unranked"


def test_clan_update_with_other_changes_is_primary() -> None:
    before = {"clanLevel": 19, "clanPoints": 5, "clanCapital": capital(9)}
    after = {"clanLevel": 20, "clanPoints": 6, "clanCapital": capital(10, camp=5)}
    events = compared(Kind.CLAN, before, after)
    assert marks(events) == [
        ("clan_updated", ["clanCapital.capitalHallLevel", "clanLevel"]),
        ("clan_level_up", None),
        ("capital_hall_upgraded", None),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"clanCapital": {}}, {"clanCapital": capital(2)}),
        ({}, {"clanCapital": capital(2), "capitalLeague": BRONZE}),
        ({"capitalLeague": BRONZE}, {}),
        ({"clanCapital": capital(9), "capitalLeague": BRONZE}, {"clanCapital": None, "capitalLeague": {"id": "x"}}),
        ({"capitalLeague": BRONZE}, {"capitalLeague": {**BRONZE, "name": "Bronze III"}}),
        ({"clanCapital": capital(9)}, {"clanCapital": {"capitalHallLevel": "10"}}),
    ],
)
def test_first_missing_and_malformed_values_are_no_progress(before: Json, after: Json) -> None:
    types = [event.event_type.value for event in compared(Kind.CLAN, before, after, repeat=6)]
    assert set(types) <= {"clan_updated"}


def test_stale_response_with_a_lower_capital_hall_causes_no_event() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(clan(clanCapital=capital(9)), after=0.0)
    assert replay.feed(clan(clanCapital=capital(10))) == ["clan_updated", "capital_hall_upgraded"]
    assert replay.feed(clan(clanCapital=capital(9), clanPoints=7)) == []
    assert replay.feed(clan(clanCapital=capital(10))) == []


def test_contribution_explains_its_field_and_achievement() -> None:
    before = {"clanCapitalContributions": 5000, "achievements": [CLANMATE]}
    gained = {**CLANMATE, "value": 5800, "completionInfo": "Total Capital Gold contributed: 5800"}
    events = compared(Kind.PLAYER, before, {"clanCapitalContributions": 5800, "achievements": [gained]})
    assert marks(events) == [("capital_contribution", None), ("player_updated", "capital_contribution")]
    assert events[0].metadata == {"amount": 800, "total": 5800}
    assert [change.field for change in events[1].changes] == ["achievements", "clanCapitalContributions"]
    assert summarize(events[0]).endswith("contributed 800 capital gold")


def test_contribution_does_not_explain_other_achievements() -> None:
    before = {"clanCapitalContributions": 5000, "achievements": [CLANMATE], "trophies": 1}
    after = {"clanCapitalContributions": 5800, "achievements": [{**CLANMATE, "value": 5700}], "trophies": 2}
    assert marks(compared(Kind.PLAYER, before, after)) == [
        ("capital_contribution", None),
        ("player_updated", ["clanCapitalContributions"]),
    ]


@pytest.mark.parametrize("after", [{"clanCapitalContributions": 400}, {}])
def test_lower_or_missing_contributions_are_nothing(after: Json) -> None:
    events = compared(Kind.PLAYER, {"clanCapitalContributions": 500}, after, repeat=6)
    assert "capital_contribution" not in [event.event_type.value for event in events]


def test_first_contributions_are_a_baseline() -> None:
    assert compared(Kind.PLAYER, {}, {"clanCapitalContributions": 500}) == []


def test_excluded_contributions_have_no_event() -> None:
    excluded = frozenset({"clanCapitalContributions"})
    events = compared(
        Kind.PLAYER, {"clanCapitalContributions": 500}, {"clanCapitalContributions": 600}, exclude_fields=excluded
    )
    assert events == []


def test_new_town_hall_explains_the_text_of_its_achievement() -> None:
    hall = {"name": "Bigger & Better", "stars": 3, "value": 15, "target": 8, "info": "i", "village": "home"}
    before = {**hall, "completionInfo": "Current Town Hall level: 15"}
    after = {**hall, "value": 16, "completionInfo": "Current Town Hall level: 16"}
    events = compared(
        Kind.PLAYER,
        {"townHallLevel": 15, "achievements": [before]},
        {"townHallLevel": 16, "achievements": [after]},
    )
    assert marks(events) == [("townhall_upgraded", None), ("player_updated", "townhall_upgraded")]


@pytest.mark.parametrize(
    ("kind", "before", "after", "german"),
    [
        (Kind.CLAN, {"clanLevel": 19}, {"clanLevel": 20}, "The Order hat Level 20 erreicht"),
        (
            Kind.CLAN,
            {"clanCapital": capital(9)},
            {"clanCapital": capital(10)},
            "The Order hat die Halle der Clanstadt auf Level 10 verbessert",
        ),
        (
            Kind.CLAN,
            {"capitalLeague": UNRANKED},
            {"capitalLeague": BRONZE},
            "Die Clanstadt von The Order ist von Unranked in Bronze League III aufgestiegen",
        ),
        (
            Kind.PLAYER,
            {"clanCapitalContributions": 500},
            {"clanCapitalContributions": 1700},
            "hat 1.200 Hauptstadtgold beigesteuert",
        ),
    ],
)
def test_progress_is_described_in_german(kind: Kind, before: Json, after: Json, german: str) -> None:
    events = compared(kind, before, after)
    (typed,) = [event for event in events if not event.event_type.value.endswith("_updated")]
    assert german in summarize(typed, language_of("de"))
