"""How a war's result is found: in its last responses, those of the opponent, or the war log."""

from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.compare.war_diff import initial_war_memo, war_ended_unobserved
from coc2mqtt.events.compare.war_result import WarOutcome, find_war_log_entry
from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import Snapshot
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, Json, no_war, war
from tests.support.war_steps import END, FIRST, SECOND, THIRD, in_battle, step, types


def test_a_result_is_told_once_it_has_stayed_the_same_and_no_attack_can_follow() -> None:
    snapshot, events = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    assert types(events) == ["war_state_changed"]
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 6)
    assert events == [], "the same answer a moment later says nothing new"
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 299)
    assert events == [], "an attack that began in the last second may go on"
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 300)
    assert types(events) == ["war_ended"]
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 360)
    assert events == []


def test_a_last_attack_that_registers_late_is_in_the_result() -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    snapshot, events = step(snapshot, war("warEnded", FIRST, SECOND), END + 300)
    assert types(events) == ["war_attack_new"]
    snapshot, events = step(snapshot, war("warEnded", FIRST, SECOND), END + 354)
    assert events == []
    snapshot, events = step(snapshot, war("warEnded", FIRST, SECOND), END + 355)
    assert types(events) == ["war_ended"]
    assert events[0].metadata["result"] == "lose"


def test_long_after_the_end_the_first_answer_is_final() -> None:
    _, events = step(in_battle(FIRST), war("warEnded", FIRST), END + 600)
    assert types(events) == ["war_state_changed", "war_ended"]


def test_a_clock_that_is_set_back_only_makes_the_result_wait() -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    snapshot, events = step(snapshot, war("warEnded", FIRST), END - 5000)
    assert events == []
    _, events = step(snapshot, war("warEnded", FIRST), END - 4940)
    assert types(events) == ["war_ended"]


@pytest.mark.parametrize("next_answer", [no_war(), war("preparation", start="20261103T070500.000Z")])
def test_a_war_whose_end_was_seen_ends_when_it_is_replaced(next_answer: Json) -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    assert war_ended_unobserved(snapshot, next_answer, tag=CLAN_TAG) is None
    _, events = step(snapshot, next_answer, END + 10)
    assert events[0].event_type is EventType.WAR_ENDED
    assert (events[0].metadata["result"], events[0].metadata["observed"]) == ("win", True)


def test_a_war_ends_with_those_who_have_attacks_left_over() -> None:
    _, events = step(in_battle(FIRST), war("warEnded", FIRST, SECOND), END + 600)
    ended = events[-1].metadata
    assert ended["attacks_left"] == 3
    assert ended["members_attacks_left"] == [
        {"tag": "#2P8", "name": "Name of #2P8", "attacks_left": 2},
        {"tag": "#2P2", "name": "Name of #2P2", "attacks_left": 1},
    ]
    assert (ended["attacks"], ended["opponent_attacks"]) == (1, 1)


def test_in_a_league_war_everybody_has_one_attack() -> None:
    def league(state: str) -> Json:
        return {key: value for key, value in war(state, FIRST).items() if key != "attacksPerMember"}

    _, events = step(Snapshot(league("inWar"), initial_war_memo(league("inWar"))), league("warEnded"), END + 600)
    assert [member["tag"] for member in events[-1].metadata["members_attacks_left"]] == ["#2P8"]


NEXT = war("preparation", start="20261103T070500.000Z")


def test_what_the_opponent_shows_of_a_war_that_was_replaced_unseen_is_told_as_well() -> None:
    snapshot = in_battle(FIRST)
    assert war_ended_unobserved(snapshot, NEXT, tag=CLAN_TAG) == war("inWar", FIRST)
    final = war("warEnded", FIRST, SECOND, THIRD, swapped=True)
    _, events = step(snapshot, NEXT, END + 900, WarOutcome(war=final))
    assert [event.metadata.get("order") for event in events] == [2, 3, None, None, None]
    assert types(events)[2:] == ["war_ended", "war_new", "war_state_changed"]
    ended = events[2].metadata
    assert (ended["result"], ended["observed"], ended["source"]) == ("win", False, "opponent")
    assert (ended["stars"], ended["opponent_stars"], ended["attacks_left"]) == (5, 3, 2)
    assert ended["opponent_tag"] == OPPONENT_TAG


def logged(**fields: Any) -> Json:
    side = {"stars": 5, "destructionPercentage": 50.0, "attacks": 4}
    return {
        "result": "lose",
        "endTime": "20261103T075516.000Z",
        "clan": {"tag": CLAN_TAG, **side},
        "opponent": {"tag": OPPONENT_TAG, "stars": 6, "destructionPercentage": 60.0},
        **fields,
    }


def test_the_result_of_a_war_that_was_replaced_unseen_comes_from_the_war_log() -> None:
    _, events = step(in_battle(FIRST), NEXT, END + 900, WarOutcome(log_entry=logged()))
    ended = events[0].metadata
    assert (ended["result"], ended["observed"], ended["source"]) == ("lose", False, "war_log")
    assert (ended["stars"], ended["opponent_stars"], ended["members_attacks_left"]) == (5, 6, None)


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([logged()], True),
        ([logged(result=None)], False),
        ([logged(opponent={"tag": "#9QQ"})], False),
        ([logged(endTime="20261201T070000.000Z")], False),
        ([logged(endTime=7), {"result": "win"}, {}, logged(clan=None)], False),
        ([], False),
    ],
    ids=["shifted by a maintenance", "of the league", "another opponent", "weeks later", "odd entries", "empty"],
)
def test_a_war_is_found_in_the_log_by_its_opponent_and_about_its_end(items: list[Json], found: bool) -> None:
    entry = find_war_log_entry({"items": items}, war("inWar"), CLAN_TAG)
    assert entry == (items[0] if found else None)
