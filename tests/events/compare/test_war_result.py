"""The result of a war, from its last responses, the opponent's responses or the war log."""

from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.compare.war_diff import initial_war_memo, war_ended_unobserved
from coc2mqtt.events.compare.war_result import WarOutcome, find_war_log_entry
from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import Snapshot
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, Json, no_war, war
from tests.support.war_steps import END, FIRST, SECOND, THIRD, in_battle, step, types


def test_result_is_reported_once_it_is_unchanged_and_no_attack_can_follow() -> None:
    snapshot, events = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    assert types(events) == ["war_state_changed"]
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 6)
    assert events == [], "not final a second later"
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 299)
    assert events == [], "an attack started in the last second may continue"
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 300)
    assert types(events) == ["war_ended"]
    snapshot, events = step(snapshot, war("warEnded", FIRST), END + 360)
    assert events == []


def test_late_last_attack_is_included_in_the_result() -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    snapshot, events = step(snapshot, war("warEnded", FIRST, SECOND), END + 300)
    assert types(events) == ["war_attack_new"]
    snapshot, events = step(snapshot, war("warEnded", FIRST, SECOND), END + 354)
    assert events == []
    snapshot, events = step(snapshot, war("warEnded", FIRST, SECOND), END + 355)
    assert types(events) == ["war_ended"]
    assert events[0].metadata["result"] == "lose"


def test_first_response_long_after_the_end_is_final() -> None:
    _, events = step(in_battle(FIRST), war("warEnded", FIRST), END + 600)
    assert types(events) == ["war_state_changed", "war_ended"]


def test_clock_set_back_only_delays_the_result() -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    snapshot, events = step(snapshot, war("warEnded", FIRST), END - 5000)
    assert events == []
    _, events = step(snapshot, war("warEnded", FIRST), END - 4940)
    assert types(events) == ["war_ended"]


@pytest.mark.parametrize("next_response", [no_war(), war("preparation", start="20261103T070500.000Z")])
def test_observed_end_is_reported_when_the_war_is_replaced(next_response: Json) -> None:
    snapshot, _ = step(in_battle(FIRST), war("warEnded", FIRST), END + 5)
    assert war_ended_unobserved(snapshot, next_response, tag=CLAN_TAG) is None
    _, events = step(snapshot, next_response, END + 10)
    assert events[0].event_type is EventType.WAR_ENDED
    assert (events[0].metadata["result"], events[0].metadata["observed"]) == ("win", True)


def test_war_ended_lists_members_with_unused_attacks() -> None:
    _, events = step(in_battle(FIRST), war("warEnded", FIRST, SECOND), END + 600)
    ended = events[-1].metadata
    assert ended["attacks_left"] == 3
    assert ended["members_attacks_left"] == [
        {"tag": "#2P8", "name": "Name of #2P8", "attacks_left": 2},
        {"tag": "#2P2", "name": "Name of #2P2", "attacks_left": 1},
    ]
    assert (ended["attacks"], ended["opponent_attacks"]) == (1, 1)


def test_members_have_one_attack_in_a_league_war() -> None:
    def league(state: str) -> Json:
        return {key: value for key, value in war(state, FIRST).items() if key != "attacksPerMember"}

    _, events = step(Snapshot(league("inWar"), initial_war_memo(league("inWar"))), league("warEnded"), END + 600)
    assert [member["tag"] for member in events[-1].metadata["members_attacks_left"]] == ["#2P8"]


NEXT = war("preparation", start="20261103T070500.000Z")


def test_replaced_war_is_completed_from_the_opponents_response() -> None:
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


def log_entry(**fields: Any) -> Json:
    side = {"stars": 5, "destructionPercentage": 50.0, "attacks": 4}
    return {
        "result": "lose",
        "endTime": "20261103T075516.000Z",
        "clan": {"tag": CLAN_TAG, **side},
        "opponent": {"tag": OPPONENT_TAG, "stars": 6, "destructionPercentage": 60.0},
        **fields,
    }


def test_result_of_a_replaced_war_comes_from_the_war_log() -> None:
    _, events = step(in_battle(FIRST), NEXT, END + 900, WarOutcome(log_entry=log_entry()))
    ended = events[0].metadata
    assert (ended["result"], ended["observed"], ended["source"]) == ("lose", False, "war_log")
    assert (ended["stars"], ended["opponent_stars"], ended["members_attacks_left"]) == (5, 6, None)


@pytest.mark.parametrize(
    ("items", "is_found"),
    [
        ([log_entry()], True),
        ([log_entry(result=None)], False),
        ([log_entry(opponent={"tag": "#9QQ"})], False),
        ([log_entry(endTime="20261201T070000.000Z")], False),
        ([log_entry(endTime=7), {"result": "win"}, {}, log_entry(clan=None)], False),
        ([], False),
    ],
    ids=["shifted by a maintenance", "of a league", "another opponent", "weeks later", "malformed entries", "empty"],
)
def test_war_log_entry_is_found_by_opponent_and_approximate_end(items: list[Json], is_found: bool) -> None:
    entry = find_war_log_entry({"items": items}, war("inWar"), CLAN_TAG)
    assert entry == (items[0] if is_found else None)
