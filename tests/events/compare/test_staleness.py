"""What is doubted, what confirms it, and what does not."""

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


def seen(kind: Kind, *answers: Json) -> Replay:
    replay = Replay(kind, answers[0]["tag"] if kind is Kind.PLAYER else CLAN_TAG)
    for answer in answers:
        replay.feed(answer)
    replay.events.clear()
    return replay


def test_an_answer_of_before_is_believed_when_it_comes_again_some_seconds_later() -> None:
    replay = seen(Kind.CLAN, BEFORE, NOW)
    assert [replay.feed(BEFORE), replay.feed(BEFORE, after=1)] == [[], []]
    assert replay.feed(BEFORE, after=4) == ["clan_updated", "member_left"]


@pytest.mark.parametrize("trouble", [MaintenanceError("down"), ServerError("502")])
def test_a_failure_in_between_ends_a_doubt(trouble: ClashError) -> None:
    replay = seen(Kind.CLAN, BEFORE, NOW)
    replay.feed(BEFORE)
    replay.feed(trouble, after=3600)
    assert replay.feed(BEFORE) == []
    assert replay.feed(NOW) == []


def test_a_private_war_log_in_between_ends_a_doubt() -> None:
    replay = seen(Kind.WAR, war("inWar", FIRST))
    replay.feed(war("preparation"))
    replay.feed(PrivateWarLogError("private"))
    assert replay.feed(war("preparation")) == []


def test_a_clock_that_is_set_back_confirms_nothing() -> None:
    replay = seen(Kind.CLAN, BEFORE, NOW)
    assert [replay.feed(BEFORE), replay.feed(BEFORE, after=-3600), replay.feed(NOW)] == [[], [], []]


def test_one_doubt_confirms_no_other() -> None:
    replay = seen(Kind.WAR, war("inWar", FIRST))
    assert [
        replay.feed(war("preparation")),
        replay.feed(no_war(), after=130),
        replay.feed(war("inWar", FIRST)),
    ] == [[]] * 3


def test_what_was_believed_again_is_no_copy_of_itself() -> None:
    replay = seen(Kind.CLAN, BEFORE, NOW, BEFORE, BEFORE)
    replay.feed(ServerError("502"))
    replay.feed(BEFORE)
    assert replay.latest == math.inf, "there is nothing to doubt"


def test_two_servers_of_which_one_lags_behind_tell_nothing_twice() -> None:
    short = {**NOW, "members": 4}
    replay = seen(Kind.CLAN, BEFORE)
    for _ in range(5):
        replay.feed(short)
        replay.feed(BEFORE)
    assert [event.event_type.value for event in replay.events] == ["clan_updated", "member_joined"]


def test_a_whole_list_after_short_ones_is_no_copy() -> None:
    replay = seen(Kind.CLAN, NOW, {**NOW, "memberList": []}, {**NOW, "memberList": [member(ANN)]})
    assert replay.feed(NOW) == []
    assert replay.feed({**NOW, "memberList": [member(ANN), member(BOB)]}) == [], (
        "nobody was missing from the one before"
    )


def test_who_is_missing_anew_is_not_gone_because_somebody_else_was() -> None:
    replay = seen(Kind.CLAN, NOW, {**NOW, "memberList": [member(ANN), member(BOB)]})
    other = {**NOW, "memberList": [member(ANN), member(CAT)]}
    assert [replay.feed(other), replay.feed(other, after=1)] == [[], []]
    assert replay.feed(other, after=4) == ["member_left"]


def test_the_state_of_a_war_never_goes_back() -> None:
    replay = seen(Kind.WAR, war("inWar", FIRST))
    assert [replay.feed(war("preparation"), after=130) for _ in range(3)] == [[]] * 3
    assert replay.feed(war("inWar", FIRST, SECOND)) == ["war_attack_new"]


def test_an_older_war_hides_neither_the_end_of_the_younger_one_nor_its_own_attacks() -> None:
    younger = war("inWar", FIRST, start="20261105T080000.000Z")
    replay = seen(Kind.WAR, war("inWar", FIRST), younger)
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


def test_half_a_player_that_comes_twice_takes_nothing_away() -> None:
    whole = player(warPreference="in")
    half = {key: value for key, value in whole.items() if key not in ("labels", "leagueTier", "warPreference")}
    replay = seen(Kind.PLAYER, whole)
    assert [
        replay.feed(half),
        replay.feed(half),
        replay.feed(half),
        replay.feed(whole),
        replay.feed(whole),
    ] == [[]] * 5


def test_who_has_not_looked_for_long_catches_up() -> None:
    replay = seen(Kind.CLAN, BEFORE)
    replay.feed(MaintenanceError("down"))
    assert replay.feed(NOW, after=7200) == ["clan_updated", "member_joined"]
    assert all(event.metadata["catch_up"] for event in replay.events)
    replay.events.clear()
    replay.feed(clan(member(ANN), member(BOB), member(CAT), member("#2PG")))
    assert not any("catch_up" in event.metadata for event in replay.events)


def test_a_snapshot_of_a_clock_that_was_wrong_ends_no_season() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG, now=1000.0)
    replay.feed(clan(member(ANN, donations=100)), after=0)
    replay.restart()
    assert replay.feed(clan(member(ANN, donations=110)), after=1_793_000_000.0) == ["member_donations"]
