from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Snapshot
from coc2mqtt.events.war import compare_war, first_war, war_id
from tests.events.builders import CLAN_TAG, OPPONENT_TAG, Json, attack, no_war, war

FIRST = attack("#2P2", "#8Q2", 1, stars=2)
SECOND = attack("#8Q2", "#2P2", 2, stars=3)
THIRD = attack("#2P8", "#8Q2", 3, stars=3)


def play(*answers: Json) -> list[Event]:
    """Feed the answers one after the other, the first as the baseline; returns all events."""
    snapshot = Snapshot(answers[0], first_war(answers[0]))
    events: list[Event] = []
    for answer in answers[1:]:
        comparison = compare_war(snapshot, answer, tag=CLAN_TAG, at=1.0)
        snapshot = Snapshot(comparison.data, comparison.memo)
        events += comparison.events
    return events


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
