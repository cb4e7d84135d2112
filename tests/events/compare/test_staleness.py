"""Which responses are suspected to be stale, and what confirms them."""

from __future__ import annotations

import math

import pytest

from coc2mqtt.clash import ClashError, MaintenanceError, PrivateWarLogError, ServerError
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, Json, attack, clan, member, no_war, player, war
from tests.support.replay import Replay

ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"
BEFORE, NOW = clan(member(ANN), member(BOB)), clan(member(ANN), member(BOB), member(CAT))
FIRST, SECOND = attack("#2P2", "#8Q2", 1), attack("#8Q2", "#2P2", 2)


def replay_of(kind: Kind, *responses: Json) -> Replay:
    replay = Replay(kind, responses[0]["tag"] if kind is Kind.PLAYER else CLAN_TAG)
    for response in responses:
        replay.feed(response)
    replay.events.clear()
    return replay


def test_stale_looking_response_is_accepted_if_repeated_seconds_later() -> None:
    replay = replay_of(Kind.CLAN, BEFORE, NOW)
    assert [replay.feed(BEFORE), replay.feed(BEFORE, after=1)] == [[], []]
    assert replay.feed(BEFORE, after=4) == ["clan_updated", "member_left"]


@pytest.mark.parametrize("failure", [MaintenanceError("down"), ServerError("502")])
def test_failure_in_between_discards_suspicion(failure: ClashError) -> None:
    replay = replay_of(Kind.CLAN, BEFORE, NOW)
    replay.feed(BEFORE)
    replay.feed(failure, after=3600)
    assert replay.feed(BEFORE) == []
    assert replay.feed(NOW) == []


def test_private_war_log_in_between_discards_suspicion() -> None:
    replay = replay_of(Kind.WAR, war("inWar", FIRST))
    replay.feed(war("preparation"))
    replay.feed(PrivateWarLogError("private"))
    assert replay.feed(war("preparation")) == []


def test_clock_set_back_confirms_nothing() -> None:
    replay = replay_of(Kind.CLAN, BEFORE, NOW)
    assert [replay.feed(BEFORE), replay.feed(BEFORE, after=-3600), replay.feed(NOW)] == [[], [], []]


def test_different_suspicions_do_not_confirm_each_other() -> None:
    replay = replay_of(Kind.WAR, war("inWar", FIRST))
    assert [
        replay.feed(war("preparation")),
        replay.feed(no_war(), after=130),
        replay.feed(war("inWar", FIRST)),
    ] == [[]] * 3


def test_accepted_response_is_not_suspected_as_a_copy() -> None:
    replay = replay_of(Kind.CLAN, BEFORE, NOW, BEFORE, BEFORE)
    replay.feed(ServerError("502"))
    replay.feed(BEFORE)
    assert replay.latest == math.inf, "no confirmation is pending"


def test_lagging_server_causes_no_repeated_events() -> None:
    short = {**NOW, "members": 4}
    replay = replay_of(Kind.CLAN, BEFORE)
    for _ in range(5):
        replay.feed(short)
        replay.feed(BEFORE)
    assert [event.event_type.value for event in replay.events] == ["clan_updated", "member_joined"]


def test_complete_list_after_short_ones_is_accepted() -> None:
    replay = replay_of(Kind.CLAN, NOW, {**NOW, "memberList": []}, {**NOW, "memberList": [member(ANN)]})
    assert replay.feed(NOW) == []
    assert replay.feed({**NOW, "memberList": [member(ANN), member(BOB)]}) == [], "the response before was complete"


def test_absence_of_one_member_does_not_confirm_that_of_another() -> None:
    replay = replay_of(Kind.CLAN, NOW, {**NOW, "memberList": [member(ANN), member(BOB)]})
    other = {**NOW, "memberList": [member(ANN), member(CAT)]}
    assert [replay.feed(other), replay.feed(other, after=1)] == [[], []]
    assert replay.feed(other, after=4) == ["member_left"]


def test_state_of_a_war_never_goes_back() -> None:
    replay = replay_of(Kind.WAR, war("inWar", FIRST))
    assert [replay.feed(war("preparation"), after=130) for _ in range(3)] == [[]] * 3
    assert replay.feed(war("inWar", FIRST, SECOND)) == ["war_attack_new"]


def test_older_war_hides_neither_later_war_nor_its_own_attacks() -> None:
    younger = war("inWar", FIRST, start="20261105T080000.000Z")
    replay = replay_of(Kind.WAR, war("inWar", FIRST), younger)
    for _ in range(3):
        replay.feed(war("warEnded", FIRST, SECOND), after=130)
    assert [event.metadata["order"] for event in replay.events] == [2]
    replay.events.clear()
    assert replay.feed(war("preparation", start="20261108T080000.000Z")) == [
        "war_ended",
        "war_new",
        "war_state_changed",
    ]
    assert replay.events[0].metadata["war_id"].startswith("20261105")


def test_incomplete_player_causes_no_event_even_if_repeated() -> None:
    complete = player(warPreference="in")
    incomplete = {key: value for key, value in complete.items() if key not in ("labels", "leagueTier", "warPreference")}
    replay = replay_of(Kind.PLAYER, complete)
    assert [
        replay.feed(incomplete),
        replay.feed(incomplete),
        replay.feed(incomplete),
        replay.feed(complete),
        replay.feed(complete),
    ] == [[]] * 5


def test_events_after_a_long_gap_are_marked_as_catch_up() -> None:
    replay = replay_of(Kind.CLAN, BEFORE)
    replay.feed(MaintenanceError("down"))
    assert replay.feed(NOW, after=7200) == ["clan_updated", "member_joined"]
    assert all(event.metadata["catch_up"] for event in replay.events)
    replay.events.clear()
    replay.feed(clan(member(ANN), member(BOB), member(CAT), member("#2PG")))
    assert not any("catch_up" in event.metadata for event in replay.events)


def test_snapshot_with_a_wrong_clock_ends_no_season() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG, now=1000.0)
    replay.feed(clan(member(ANN, donations=100)), after=0)
    replay.restart()
    assert replay.feed(clan(member(ANN, donations=110)), after=1_793_000_000.0) == ["member_donations"]
