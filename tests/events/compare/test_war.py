from __future__ import annotations

import math
from typing import Any

import pytest

from coc2mqtt.events.compare.war import next_war_poll, war_id
from coc2mqtt.events.compare.war_diff import initial_war_memo, war_looks_stale
from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import Snapshot
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, Json, attack, no_war, war
from tests.support.war_steps import END, FIRST, SECOND, THIRD, in_battle, play, step, types


def play_types(*responses: Json) -> list[str]:
    names = []
    for event in play(*responses):
        detail = event.metadata.get("war_state_to") or event.metadata.get("order") or event.metadata.get("result")
        names.append(f"{event.event_type.value}{'' if detail is None else f' {detail}'}")
    return names


def test_war_is_reported_from_declaration_to_end() -> None:
    assert play_types(
        no_war(),
        war("preparation"),
        war("inWar"),
        war("inWar", FIRST),
        war("inWar", FIRST, SECOND),
        war("warEnded", FIRST, SECOND, THIRD),
        no_war(),
    ) == [
        "war_new",
        "war_state_changed preparation",
        "war_state_changed inWar",
        "war_attack_new 1",
        "war_attack_new 2",
        "war_attack_new 3",
        "war_state_changed warEnded",
        "war_ended win",
        "war_state_changed notInWar",
    ]


@pytest.mark.parametrize(
    ("end", "end_at"),
    [("20261103T070000.000Z", "2026-11-03T07:00:00.000+00:00"), (None, None), ("soon", None)],
)
def test_new_war_has_its_times_in_iso_8601_and_in_the_format_of_the_api(end: str | None, end_at: str | None) -> None:
    new, _ = play(no_war(), {**war("preparation"), "endTime": end})
    assert {key: value for key, value in new.metadata.items() if key.endswith(("_at", "_time"))} == {
        "preparation_start_at": "2026-11-01T08:00:00.000+00:00",
        "start_at": "2026-11-02T07:00:00.000+00:00",
        "end_at": end_at,
        "preparation_start_time": "20261101T080000.000Z",
        "start_time": "20261102T070000.000Z",
        "end_time": end,
    }


def test_first_response_in_battle_is_the_baseline() -> None:
    assert play_types(war("inWar", FIRST), war("inWar", FIRST)) == []
    assert play_types(war("inWar", FIRST), war("inWar", FIRST, SECOND)) == ["war_attack_new 2"]


def test_war_that_ended_before_the_first_response_does_not_end_again() -> None:
    assert play_types(war("warEnded", FIRST), war("warEnded", FIRST), no_war()) == ["war_state_changed notInWar"]


def test_attack_has_attacker_defender_and_result() -> None:
    events = play(war("inWar", FIRST), war("inWar", FIRST, SECOND, THIRD))
    ours = events[-1]
    assert ours.name == f"Name of {CLAN_TAG}"
    assert ours.metadata == {
        "war_id": war_id(war("inWar")),
        "opponent_tag": OPPONENT_TAG,
        "opponent_name": f"Name of {OPPONENT_TAG}",
        "attacker_tag": "#2P8",
        "attacker_name": "Name of #2P8",
        "attacker_position": 2,
        "attacker_town_hall": 15,
        "defender_tag": "#8Q2",
        "defender_name": "Name of #8Q2",
        "defender_position": 1,
        "defender_town_hall": 15,
        "stars": 3,
        "new_stars": 1,
        "destruction": 90,
        "order": 3,
        "duration": 120,
        "side": "clan",
    }
    assert events[0].metadata["side"] == "opponent"


def test_own_clan_is_found_on_the_opponents_side() -> None:
    (event,) = play(war("inWar", swapped=True), war("inWar", FIRST, swapped=True))
    assert event.metadata["side"] == "clan"
    assert event.metadata["opponent_tag"] == OPPONENT_TAG


def test_war_replaced_before_its_end_ends_with_unknown_result() -> None:
    events = play(war("inWar", FIRST), war("preparation", start="20261105T080000.000Z"))
    assert [event.event_type for event in events] == [
        EventType.WAR_ENDED,
        EventType.WAR_NEW,
        EventType.WAR_STATE_CHANGED,
    ]
    assert events[0].metadata["war_id"] == war_id(war("inWar"))
    assert events[0].metadata["observed"] is False
    assert events[0].metadata["result"] == "unknown"


@pytest.mark.parametrize("field", ["stars", "destructionPercentage"])
def test_result_is_unknown_if_a_score_is_missing(field: str) -> None:
    responses = [war(state, FIRST, attack("#8Q2", "#2P2", 2, stars=2)) for state in ("inWar", "warEnded")]
    for response in responses:
        del response["opponent"][field]
    assert play(*responses)[-1].metadata["result"] == "unknown"


def test_attack_with_same_order_in_next_war_is_reported() -> None:
    second = war("inWar", FIRST, start="20261105T080000.000Z")
    assert "war_attack_new 1" in play_types(war("warEnded", FIRST), second)


@pytest.mark.parametrize(
    ("ours", "theirs", "result"), [(3, 2, "win"), (2, 3, "lose"), (2, 2, "tie")], ids=["win", "lose", "tie"]
)
def test_result_is_decided_by_stars(ours: int, theirs: int, result: str) -> None:
    attacks = [attack("#2P2", "#8Q2", 1, ours), attack("#8Q2", "#2P2", 2, theirs)]
    ended = play(war("inWar", *attacks), war("warEnded", *attacks))[-1]
    assert ended.event_type is EventType.WAR_ENDED
    assert (ended.metadata["result"], ended.metadata["observed"]) == (result, True)
    assert (ended.metadata["stars"], ended.metadata["opponent_stars"]) == (ours, theirs)


@pytest.mark.parametrize(("percent", "result"), [(81.0, "win"), (79.0, "lose"), (80.0, "tie")])
def test_result_with_equal_stars_is_decided_by_destruction(percent: float, result: str) -> None:
    ended = war("warEnded", FIRST, attack("#8Q2", "#2P2", 2, stars=2))
    ended["clan"]["destructionPercentage"] = percent
    ended["opponent"]["destructionPercentage"] = 80.0
    assert play(war("inWar", FIRST), ended)[-1].metadata["result"] == result


@pytest.mark.parametrize("field", ["stars", "destructionPercentage", "attacks"])
@pytest.mark.parametrize("side", ["clan", "opponent"])
def test_changed_score_delays_the_result(side: str, field: str) -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 300)
    other = war("warEnded", FIRST)
    other[side][field] += 1
    snapshot, events = step(snapshot, other, END + 360)
    assert events == []
    _, events = step(snapshot, other, END + 415)
    assert types(events) == ["war_ended"]


def test_new_stars_exceed_the_best_attack_on_the_base() -> None:
    weak, strong, weaker = attack("#2P2", "#8Q2", 1, 1), attack("#2P8", "#8Q2", 2, 3), attack("#2P2", "#8Q2", 3, 2)
    events = play(war("inWar"), war("inWar", weak, strong, weaker))
    assert [event.metadata["new_stars"] for event in events] == [1, 2, 0]


def test_stale_response_causes_and_repeats_no_event() -> None:
    assert play_types(
        war("inWar", FIRST, SECOND),
        war("inWar", FIRST),
        war("inWar", FIRST, SECOND),
        war("inWar", FIRST, SECOND, THIRD),
    ) == ["war_attack_new 3"]
    assert play_types(war("inWar"), war("preparation"), war("inWar")) == []


def test_attacks_missing_for_long_are_not_reported_again() -> None:
    assert (
        play_types(war("inWar", FIRST, SECOND), war("inWar", FIRST), war("inWar", FIRST), war("inWar", FIRST, SECOND))
        == []
    )


def test_war_with_shifted_times_is_the_same_war() -> None:
    shifted: Json = {**war("preparation"), "startTime": "20261102T080000.000Z"}
    assert play_types(war("preparation"), shifted) == []


def test_unknown_state_is_ignored() -> None:
    unknown: dict[str, Any] = {**war("preparation"), "state": "matchmaking"}
    assert play_types(war("preparation"), unknown, war("inWar")) == ["war_state_changed inWar"]


def test_repeated_response_causes_no_event() -> None:
    response = war("warEnded", FIRST)
    assert play_types(no_war(), response)[0] == "war_new"
    assert play_types(response, response) == []


def test_state_change_is_reported_from_one_battle_to_the_next() -> None:
    events = play(war("inWar", FIRST), war("inWar", start="20261105T080000.000Z"))
    assert types(events) == ["war_ended", "war_new", "war_state_changed"]
    assert events[2].metadata["war_state_from"] == "warEnded"
    assert events[2].metadata["war_state_to"] == "inWar"


def test_war_with_same_start_but_other_opponent_replaces_the_first() -> None:
    second = war("inWar")
    second["opponent"]["tag"] = "#9QQ"
    assert types(play(war("inWar", FIRST), second)) == ["war_ended", "war_new", "war_state_changed"]


def test_response_about_the_previous_war_is_ignored() -> None:
    second = war("preparation", start="20261105T080000.000Z")
    assert play_types(war("warEnded", FIRST), second, war("warEnded", FIRST), second, war("warEnded", FIRST)) == [
        "war_new",
        "war_state_changed preparation",
    ]


def test_ended_war_after_no_war_looks_stale() -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 600)
    snapshot, _ = step(snapshot, no_war(), END + 660)
    assert war_looks_stale(snapshot, war("warEnded", FIRST), tag=CLAN_TAG, at=END + 700)


def test_change_to_no_war_has_the_id_of_the_last_war() -> None:
    event = play(war("warEnded", FIRST), no_war())[-1]
    assert event.metadata["war_id"] == war_id(war("warEnded"))
    assert event.metadata["opponent_tag"] == OPPONENT_TAG


def test_older_war_is_not_reported_if_it_is_confirmed() -> None:
    newer = war("inWar", FIRST, start="20261105T080000.000Z")
    snapshot = Snapshot(newer, initial_war_memo(newer))
    snapshot, events = step(snapshot, war("inWar", SECOND), END)
    assert events == []
    _, events = step(snapshot, newer, END)
    assert events == [], "the newer one continues"


@pytest.mark.parametrize(("at", "looks_stale"), [(END - 1, True), (END, False)])
def test_no_war_before_the_end_of_the_war_looks_stale(at: float, looks_stale: bool) -> None:
    assert war_looks_stale(in_battle(FIRST), no_war(), tag=CLAN_TAG, at=at) is looks_stale
    ended = Snapshot(war("warEnded"), initial_war_memo(war("warEnded")))
    assert not war_looks_stale(ended, no_war(), tag=CLAN_TAG, at=at)


def test_only_the_last_four_wars_are_kept() -> None:
    responses = [war("warEnded", FIRST, start=f"202611{day:02}T080000.000Z") for day in range(1, 29)]
    snapshot = Snapshot(responses[0], initial_war_memo(responses[0]))
    for response in responses[1:]:
        snapshot, _ = step(snapshot, response, END)
    assert len(snapshot.memo["wars"]) == 4


@pytest.mark.parametrize(
    ("response", "final", "at", "wait"),
    [
        (war("preparation"), False, 1_793_602_800.0 - 100, 101.0),
        (war("preparation"), False, 1_793_602_800.0 + 30, 60.0),
        (war("inWar"), False, END - 3600, 3601.0),
        (war("inWar"), False, END + 5, 60.0),
        (war("inWar"), False, END + 86_400, math.inf),
        (war("warEnded"), False, END + 5, 60.0),
        (war("warEnded"), True, END + 5, math.inf),
        (no_war(), True, END, math.inf),
        ({**war("inWar"), "endTime": "soon"}, False, END, math.inf),
        ({**war("inWar"), "state": "matchmaking"}, False, END, math.inf),
    ],
)
def test_next_poll_is_due_right_after_a_boundary_of_the_war(
    response: Json, final: bool, at: float, wait: float
) -> None:
    assert next_war_poll(response, final=final, at=at) == wait
