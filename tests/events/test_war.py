from __future__ import annotations

import math
from typing import Any

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Snapshot
from coc2mqtt.events.war import next_look, war_id
from coc2mqtt.events.war_compare import compare_war, ended_unseen, first_war, war_goes_back
from coc2mqtt.events.war_result import Outcome, find_in_log
from tests.events.builders import CLAN_TAG, OPPONENT_TAG, Json, attack, no_war, war

# After the end of the war of the builders (Unix time in seconds).
BEGIN = 1_794_000_000.0
FIRST = attack("#2P2", "#8Q2", 1, stars=2)
SECOND = attack("#8Q2", "#2P2", 2, stars=3)
THIRD = attack("#2P8", "#8Q2", 3, stars=3)


def play(*answers: Json) -> list[Event]:
    """Feed the answers a minute apart, the first as the baseline and none that goes back; returns all events."""
    snapshot = Snapshot(answers[0], first_war(answers[0]))
    events: list[Event] = []
    for minute, answer in enumerate(answers[1:], 1):
        at = BEGIN + 60.0 * minute
        if not war_goes_back(snapshot, answer, tag=CLAN_TAG, at=at):
            comparison = compare_war(snapshot, answer, tag=CLAN_TAG, at=at)
            snapshot = Snapshot(answer, comparison.memo)
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


END = 1_793_689_200.0  # of the war of the builders, 2026-11-03 07:00


def step(snapshot: Snapshot, answer: Json, at: float, outcome: Outcome | None = None) -> tuple[Snapshot, list[Event]]:
    comparison = compare_war(snapshot, answer, tag=CLAN_TAG, at=at, outcome=outcome)
    return Snapshot(answer, comparison.memo), comparison.events


def types(events: list[Event]) -> list[str]:
    return [event.event_type.value for event in events]


def in_battle(*attacks: Json) -> Snapshot:
    answer = war("inWar", *attacks)
    return Snapshot(answer, first_war(answer))


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
    assert ended_unseen(snapshot, next_answer, tag=CLAN_TAG) is None
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

    _, events = step(Snapshot(league("inWar"), first_war(league("inWar"))), league("warEnded"), END + 600)
    assert [member["tag"] for member in events[-1].metadata["members_attacks_left"]] == ["#2P8"]


NEXT = war("preparation", start="20261103T070500.000Z")


def test_what_the_opponent_shows_of_a_war_that_was_replaced_unseen_is_told_as_well() -> None:
    snapshot = in_battle(FIRST)
    assert ended_unseen(snapshot, NEXT, tag=CLAN_TAG) == war("inWar", FIRST)
    final = war("warEnded", FIRST, SECOND, THIRD, swapped=True)
    _, events = step(snapshot, NEXT, END + 900, Outcome(war=final))
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
    _, events = step(in_battle(FIRST), NEXT, END + 900, Outcome(entry=logged()))
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
    entry = find_in_log({"items": items}, war("inWar"), CLAN_TAG)
    assert entry == (items[0] if found else None)


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
    assert war_goes_back(snapshot, war("warEnded", FIRST), tag=CLAN_TAG, at=END + 700)


def test_that_a_clan_is_in_no_war_any_more_says_which_one_it_was() -> None:
    event = play(war("warEnded", FIRST), no_war())[-1]
    assert event.metadata["war_id"] == war_id(war("warEnded"))
    assert event.metadata["opponent_tag"] == OPPONENT_TAG


def test_an_older_war_that_is_believed_in_the_end_is_not_told() -> None:
    newer = war("inWar", FIRST, start="20261105T080000.000Z")
    snapshot = Snapshot(newer, first_war(newer))
    snapshot, events = step(snapshot, war("inWar", SECOND), END)
    assert events == []
    _, events = step(snapshot, newer, END)
    assert events == [], "and the newer one goes on as it was"


@pytest.mark.parametrize(("at", "goes_back"), [(END - 1, True), (END, False)])
def test_no_war_is_gone_before_its_end(at: float, goes_back: bool) -> None:
    assert war_goes_back(in_battle(FIRST), no_war(), tag=CLAN_TAG, at=at) is goes_back
    ended = Snapshot(war("warEnded"), first_war(war("warEnded")))
    assert not war_goes_back(ended, no_war(), tag=CLAN_TAG, at=at)


def test_a_few_wars_are_remembered_and_no_more() -> None:
    answers = [war("warEnded", FIRST, start=f"202611{day:02}T080000.000Z") for day in range(1, 29)]
    snapshot = Snapshot(answers[0], first_war(answers[0]))
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
    assert next_look(answer, settled=settled, at=at) == wait
