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


def told(*answers: Json) -> list[str]:
    names = []
    for event in play(*answers):
        detail = event.metadata.get("war_state_to") or event.metadata.get("order") or event.metadata.get("result")
        names.append(f"{event.event_type.value}{'' if detail is None else f' {detail}'}")
    return names


def test_a_war_is_told_from_its_declaration_to_its_end() -> None:
    assert told(
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


def test_a_war_first_seen_in_battle_is_the_baseline() -> None:
    assert told(war("inWar", FIRST), war("inWar", FIRST)) == []
    assert told(war("inWar", FIRST), war("inWar", FIRST, SECOND)) == ["war_attack_new 2"]


def test_a_war_that_ended_before_the_first_look_does_not_end_again() -> None:
    assert told(war("warEnded", FIRST), war("warEnded", FIRST), no_war()) == ["war_state_changed notInWar"]


def test_an_attack_says_who_attacked_whom_and_what_it_won() -> None:
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


def test_the_own_clan_may_stand_on_the_other_side() -> None:
    (event,) = play(war("inWar", swapped=True), war("inWar", FIRST, swapped=True))
    assert event.metadata["side"] == "clan"
    assert event.metadata["opponent_tag"] == OPPONENT_TAG


def test_a_war_that_is_replaced_unseen_still_ends() -> None:
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
def test_result_without_the_figures_of_both_sides_is_unknown(field: str) -> None:
    answers = [war(state, FIRST, attack("#8Q2", "#2P2", 2, stars=2)) for state in ("inWar", "warEnded")]
    for answer in answers:
        del answer["opponent"][field]
    assert play(*answers)[-1].metadata["result"] == "unknown"


def test_two_wars_with_the_same_orders_do_not_hide_each_others_attacks() -> None:
    second = war("inWar", FIRST, start="20261105T080000.000Z")
    assert "war_attack_new 1" in told(war("warEnded", FIRST), second)


@pytest.mark.parametrize(
    ("ours", "theirs", "result"), [(3, 2, "win"), (2, 3, "lose"), (2, 2, "tie")], ids=["win", "lose", "tie"]
)
def test_the_result_is_by_stars_then_destruction(ours: int, theirs: int, result: str) -> None:
    attacks = [attack("#2P2", "#8Q2", 1, ours), attack("#8Q2", "#2P2", 2, theirs)]
    ended = play(war("inWar", *attacks), war("warEnded", *attacks))[-1]
    assert ended.event_type is EventType.WAR_ENDED
    assert (ended.metadata["result"], ended.metadata["observed"]) == (result, True)
    assert (ended.metadata["stars"], ended.metadata["opponent_stars"]) == (ours, theirs)


@pytest.mark.parametrize(("percent", "result"), [(81.0, "win"), (79.0, "lose"), (80.0, "tie")])
def test_of_as_many_stars_the_destruction_decides(percent: float, result: str) -> None:
    ended = war("warEnded", FIRST, attack("#8Q2", "#2P2", 2, stars=2))
    ended["clan"]["destructionPercentage"] = percent
    ended["opponent"]["destructionPercentage"] = 80.0
    assert play(war("inWar", FIRST), ended)[-1].metadata["result"] == result


@pytest.mark.parametrize("field", ["stars", "destructionPercentage", "attacks"])
@pytest.mark.parametrize("side", ["clan", "opponent"])
def test_whatever_of_the_score_changes_makes_the_result_wait(side: str, field: str) -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 300)
    other = war("warEnded", FIRST)
    other[side][field] += 1
    snapshot, events = step(snapshot, other, END + 360)
    assert events == []
    _, events = step(snapshot, other, END + 415)
    assert types(events) == ["war_ended"]


def test_a_base_counts_with_the_best_attack_on_it() -> None:
    weak, strong, weaker = attack("#2P2", "#8Q2", 1, 1), attack("#2P8", "#8Q2", 2, 3), attack("#2P2", "#8Q2", 3, 2)
    events = play(war("inWar"), war("inWar", weak, strong, weaker))
    assert [event.metadata["new_stars"] for event in events] == [1, 2, 0]


def test_an_older_answer_changes_nothing_and_repeats_nothing() -> None:
    assert told(
        war("inWar", FIRST, SECOND),
        war("inWar", FIRST),
        war("inWar", FIRST, SECOND),
        war("inWar", FIRST, SECOND, THIRD),
    ) == ["war_attack_new 3"]
    assert told(war("inWar"), war("preparation"), war("inWar")) == []


def test_attacks_that_were_forgotten_for_long_are_not_told_again() -> None:
    assert (
        told(war("inWar", FIRST, SECOND), war("inWar", FIRST), war("inWar", FIRST), war("inWar", FIRST, SECOND)) == []
    )


def test_shifted_times_are_taken_up_and_the_war_stays_the_same() -> None:
    shifted: Json = {**war("preparation"), "startTime": "20261102T080000.000Z"}
    assert told(war("preparation"), shifted) == []


def test_an_unknown_state_is_passed_over() -> None:
    unknown: dict[str, Any] = {**war("preparation"), "state": "matchmaking"}
    assert told(war("preparation"), unknown, war("inWar")) == ["war_state_changed inWar"]


def test_the_same_answer_twice_makes_no_event() -> None:
    answer = war("warEnded", FIRST)
    assert told(no_war(), answer)[0] == "war_new"
    assert told(answer, answer) == []


def test_from_one_battle_into_the_next_the_state_is_told() -> None:
    events = play(war("inWar", FIRST), war("inWar", start="20261105T080000.000Z"))
    assert types(events) == ["war_ended", "war_new", "war_state_changed"]
    assert events[2].metadata["war_state_from"] == "warEnded"
    assert events[2].metadata["war_state_to"] == "inWar"


def test_a_war_that_was_declared_in_the_same_moment_replaces_the_other() -> None:
    second = war("inWar")
    second["opponent"]["tag"] = "#9QQ"
    assert types(play(war("inWar", FIRST), second)) == ["war_ended", "war_new", "war_state_changed"]


def test_an_answer_about_the_war_before_brings_it_not_back() -> None:
    second = war("preparation", start="20261105T080000.000Z")
    assert told(war("warEnded", FIRST), second, war("warEnded", FIRST), second, war("warEnded", FIRST)) == [
        "war_new",
        "war_state_changed preparation",
    ]


def test_an_ended_war_that_comes_up_again_after_none_is_older() -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 600)
    snapshot, _ = step(snapshot, no_war(), END + 660)
    assert war_looks_stale(snapshot, war("warEnded", FIRST), tag=CLAN_TAG, at=END + 700)


def test_that_a_clan_is_in_no_war_any_more_says_which_one_it_was() -> None:
    event = play(war("warEnded", FIRST), no_war())[-1]
    assert event.metadata["war_id"] == war_id(war("warEnded"))
    assert event.metadata["opponent_tag"] == OPPONENT_TAG


def test_an_older_war_that_is_believed_in_the_end_is_not_told() -> None:
    newer = war("inWar", FIRST, start="20261105T080000.000Z")
    snapshot = Snapshot(newer, initial_war_memo(newer))
    snapshot, events = step(snapshot, war("inWar", SECOND), END)
    assert events == []
    _, events = step(snapshot, newer, END)
    assert events == [], "and the newer one goes on as it was"


@pytest.mark.parametrize(("at", "goes_back"), [(END - 1, True), (END, False)])
def test_no_war_is_gone_before_its_end(at: float, goes_back: bool) -> None:
    assert war_looks_stale(in_battle(FIRST), no_war(), tag=CLAN_TAG, at=at) is goes_back
    ended = Snapshot(war("warEnded"), initial_war_memo(war("warEnded")))
    assert not war_looks_stale(ended, no_war(), tag=CLAN_TAG, at=at)


def test_a_few_wars_are_remembered_and_no_more() -> None:
    answers = [war("warEnded", FIRST, start=f"202611{day:02}T080000.000Z") for day in range(1, 29)]
    snapshot = Snapshot(answers[0], initial_war_memo(answers[0]))
    for answer in answers[1:]:
        snapshot, _ = step(snapshot, answer, END)
    assert len(snapshot.memo["wars"]) == 4


@pytest.mark.parametrize(
    ("answer", "settled", "at", "wait"),
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
def test_a_war_wants_to_be_looked_at_right_after_its_boundaries(
    answer: Json, settled: bool, at: float, wait: float
) -> None:
    assert next_war_poll(answer, final=settled, at=at) == wait
