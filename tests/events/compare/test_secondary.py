"""Events that only repeat what other events of the same response report are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.event import EventType
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, Json, clan, member, no_war, player, war
from tests.support.replay import Replay
from tests.support.war_steps import BEGIN, END, FIRST

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event

ANNA, BERT, CARLA = (member(tag) for tag in ("#2P2", "#2P8", "#2P9"))
NEXT = war("preparation", start="20261105T080000.000Z")


def compared(kind: Kind, *responses: Json, now: float = BEGIN, repeat: int = 1) -> list[Event]:
    """Return the events of the last response, which is polled ``repeat`` times; the first one is the baseline."""
    replay = Replay(kind, "#900PUCPV" if kind is Kind.PLAYER else CLAN_TAG, now=now)
    for response in responses[:-1]:
        replay.feed(response, after=0.0)
    before = len(replay.events)
    for _ in range(repeat):
        replay.feed(responses[-1])
    for event in replay.events:
        metadata_model(event.event_type).model_validate(event.metadata)
    return replay.events[before:]


def marks(events: list[Event]) -> list[tuple[str, Any]]:
    """Return each event's type with what marks it."""
    return [
        (event.event_type.value, event.metadata.get("caused_by") or event.metadata.get("explained_fields"))
        for event in events
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([ANNA], [ANNA, BERT], [("clan_updated", "member_joined"), ("member_joined", None)]),
        ([ANNA, BERT], [ANNA], [("clan_updated", "member_left"), ("member_left", None)]),
        (
            [ANNA],
            [BERT, CARLA],
            [
                ("clan_updated", "member_joined"),
                ("member_left", None),
                ("member_joined", None),
                ("member_joined", None),
            ],
        ),
        ([ANNA], [BERT], [("member_left", None), ("member_joined", None)]),
    ],
)
def test_member_count_is_secondary_to_joins_and_leaves(
    before: list[Json], after: list[Json], expected: list[tuple[str, Any]]
) -> None:
    assert marks(compared(Kind.CLAN, clan(*before), clan(*after))) == expected


def test_clan_update_with_other_changes_is_primary_and_describes_only_these() -> None:
    updated, joined = compared(Kind.CLAN, clan(ANNA), clan(ANNA, BERT, clanPoints=2200))
    assert marks([updated, joined]) == [("clan_updated", ["members"]), ("member_joined", None)]
    assert [change.field for change in updated.changes] == ["clanPoints", "members"]
    summary = EventRecord.of(updated).summary
    assert "2,200" in summary
    assert "member" not in summary


def test_member_count_that_the_members_do_not_explain_is_primary() -> None:
    # The list is longer than the count was.
    (updated, joined) = compared(Kind.CLAN, clan(ANNA, members=1), clan(ANNA, BERT, CARLA, members=2))[:2]
    assert marks([updated, joined]) == [("clan_updated", None), ("member_joined", None)]
    replay = Replay(Kind.CLAN, CLAN_TAG, track_members=False)
    replay.feed(clan(ANNA))
    replay.feed(clan(ANNA, BERT))
    assert marks(replay.events) == [("clan_updated", None)]


def test_preparation_is_secondary_to_the_declaration_of_the_war() -> None:
    events = compared(Kind.WAR, no_war(), war("preparation"))
    assert marks(events) == [("war_new", None), ("war_state_changed", "war_new")]


def test_battle_of_a_war_whose_declaration_was_not_observed_is_primary() -> None:
    events = compared(Kind.WAR, no_war(), war("inWar", FIRST))
    assert marks(events) == [("war_new", None), ("war_state_changed", None), ("war_attack_new", None)]


def test_start_of_the_battle_is_primary() -> None:
    assert marks(compared(Kind.WAR, war("preparation"), war("inWar"))) == [("war_state_changed", None)]


def test_end_of_the_battle_is_secondary_only_to_a_result_in_the_same_response() -> None:
    battle, over = war("inWar", FIRST), war("warEnded", FIRST)
    assert marks(compared(Kind.WAR, battle, over, now=END - 30)) == [("war_state_changed", None)]
    events = compared(Kind.WAR, battle, over, now=END + 3600)
    assert marks(events) == [("war_state_changed", "war_ended"), ("war_ended", None)]


def test_cancelled_war_explains_that_the_clan_is_not_in_a_war() -> None:
    start = END - 86_400
    events = compared(Kind.WAR, war("preparation"), no_war(), now=start - 3600, repeat=5)
    assert marks(events) == [("war_ended", None), ("war_state_changed", "war_ended")]


def test_war_left_after_its_reported_end_is_primary() -> None:
    over = war("warEnded", FIRST)
    assert marks(compared(Kind.WAR, over, no_war())) == [("war_state_changed", None)]


def test_next_war_explains_its_preparation_and_not_the_end_of_the_last() -> None:
    events = compared(Kind.WAR, war("inWar", FIRST), NEXT)
    assert marks(events) == [("war_ended", None), ("war_new", None), ("war_state_changed", "war_new")]
    assert events[2].metadata["war_id"] == events[1].metadata["war_id"] != events[0].metadata["war_id"]


def achievement(name: str, value: int, **fields: Any) -> Json:
    return {"name": name, "stars": 2, "value": value, "target": 20, "info": "i", "village": "home", **fields}


ORDER, OTHER = {"tag": "#2PP", "name": "The Order"}, {"tag": OPPONENT_TAG, "name": "Other"}
HALL, GOLD = achievement("Bigger & Better", 15), achievement("Gold Grab", 3)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            {"clan": ORDER, "role": "coLeader", "donations": 7},
            {"donations": 0},
            [("player_clan_left", None), ("player_updated", "player_clan_left")],
        ),
        (
            {},
            {"clan": ORDER, "role": "member"},
            [("player_clan_joined", None), ("player_updated", "player_clan_joined")],
        ),
        (
            {"clan": ORDER, "role": "leader", "donations": 7, "donationsReceived": 9},
            {"clan": OTHER, "role": "member", "donations": 0, "donationsReceived": 0},
            [
                ("player_clan_left", None),
                ("player_clan_joined", None),
                ("player_updated", "player_clan_joined"),
            ],
        ),
        ({}, {"clan": ORDER, "role": "leader"}, [("player_clan_joined", None), ("player_updated", None)]),
        (
            {"trophies": 4000},
            {"clan": ORDER, "role": "member", "trophies": 4001},
            [("player_clan_joined", None), ("player_updated", ["role"])],
        ),
        ({"clan": ORDER, "role": "member"}, {"clan": ORDER, "role": "admin"}, [("player_updated", None)]),
        (
            {"townHallLevel": 15, "achievements": [GOLD, HALL]},
            {"townHallLevel": 16, "achievements": [GOLD, {**HALL, "value": 16}]},
            [("townhall_upgraded", None), ("player_updated", "townhall_upgraded")],
        ),
        (
            {"builderHallLevel": 9, "achievements": [achievement("Master Engineering", 9)]},
            {"builderHallLevel": 10, "achievements": [achievement("Master Engineering", 10)]},
            [("builderhall_upgraded", None), ("player_updated", "builderhall_upgraded")],
        ),
        (
            {"townHallLevel": 15, "achievements": [GOLD, HALL]},
            {"townHallLevel": 16, "achievements": [{**GOLD, "value": 4}, {**HALL, "value": 16}]},
            [("townhall_upgraded", None), ("player_updated", None)],
        ),
        (
            {"townHallLevel": 15, "achievements": [GOLD, HALL]},
            {"townHallLevel": 16, "achievements": [GOLD, {**HALL, "value": 16, "target": 30}]},
            [("townhall_upgraded", None), ("player_updated", None)],
        ),
    ],
)
def test_player_update_is_secondary_if_events_of_the_response_explain_all_of_it(
    before: Json, after: Json, expected: list[tuple[str, Any]]
) -> None:
    # A response with lower donations is accepted when it is repeated.
    assert marks(compared(Kind.PLAYER, player(**before), player(**after), repeat=6)) == expected


def test_secondary_event_keeps_its_place_changes_and_summary() -> None:
    updated, _ = compared(Kind.CLAN, clan(ANNA), clan(ANNA, BERT))
    assert updated.event_type is EventType.CLAN_UPDATED
    assert [(one.field, one.old_value, one.new_value) for one in updated.changes] == [("members", 1, 2)]
    assert "2" in EventRecord.of(updated).summary
