"""Member lists that are shorter than the member count from the first poll on."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, Json, clan, member
from tests.support.replay import Replay

SIX = [f"#2P{letter}" for letter in "0289PY"]
NEW, OTHER = "#2PL", "#2PQ"


def listing(*tags: str, members: int = 8) -> Json:
    return {**clan(*map(member, tags)), "members": members}


def accepted_short_list(**options: float) -> Replay:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = options.get("max_age", 0.0)
    for _ in range(int(options.get("polls", 3))):
        assert replay.feed(listing(*SIX)) == []
    return replay


def test_short_list_is_accepted_after_three_equal_polls_and_logged_once() -> None:
    with capture_logs() as lines:
        replay = accepted_short_list()
        assert [one["tag"] for one in replay.accepted["memberList"]] == SIX
        replay.feed(listing(*SIX))
    assert [(line["event"], line["listed"], line["members"]) for line in lines] == [
        ("member list is shorter than the member count", 6, 8)
    ]


@pytest.mark.parametrize("members", [8, 9])
def test_joins_and_leaves_are_detected_with_an_accepted_short_list(members: int) -> None:
    replay = accepted_short_list()
    assert "member_joined" in replay.feed(listing(*SIX, NEW, members=members))
    assert replay.events[-1].metadata["member_tag"] == NEW
    replay.restart()
    shrunk = listing(*SIX[1:], NEW)
    assert "member_left" not in replay.feed(shrunk), "it has to be confirmed"
    assert "member_left" in replay.feed(shrunk)
    assert replay.events[-1].metadata["member_tag"] == SIX[0]
    assert replay.feed(listing(*SIX[1:], NEW)) == []


def test_short_list_that_changes_each_time_is_not_accepted() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    for number in range(9):
        assert replay.feed(listing(*SIX[number % 3 :])) == []
    assert "memberList" not in replay.accepted
    assert [replay.feed(listing(*SIX, NEW, OTHER)), replay.feed(listing(*SIX, NEW, OTHER))] == [[], []]


def test_empty_list_is_never_accepted() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    for _ in range(9):
        assert replay.feed(listing()) == []
    assert "memberList" not in replay.accepted


def test_member_changes_after_a_day_without_lists_are_catch_up() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(listing(*SIX, members=6))
    unlisted = {key: value for key, value in listing(*SIX, members=6).items() if key != "memberList"}
    hours = [replay.feed({**unlisted, "clanPoints": hour}, after=3600.0) for hour in range(24)]
    assert hours == [["clan_updated"]] * 24
    assert replay.feed(listing(*SIX[1:], NEW, members=6)) == ["clan_updated", "member_left", "member_joined"]
    ages = [event.metadata.get("snapshot_age_seconds") for event in replay.events[-3:]]
    assert ages == [None, 86_460.0, 86_460.0]
    replay.feed(listing(*SIX[1:], NEW, OTHER, members=7))
    assert "catch_up" not in replay.events[-1].metadata
    assert replay.feed(listing(*SIX[1:], NEW, OTHER, members=7)) == []


def test_member_changes_after_one_missing_list_are_not_catch_up() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(listing(*SIX, members=6))
    replay.feed({**listing(members=6), "clanPoints": 7})
    replay.feed(listing(*SIX, NEW, members=7))
    assert replay.events[-1].event_type.value == "member_joined"
    assert "catch_up" not in replay.events[-1].metadata


def test_short_list_of_one_cache_entry_counts_once() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = 120.0
    for _ in range(12):
        replay.feed(listing(*SIX), after=20.0)
    assert "memberList" not in replay.accepted, "four minutes are at most three cache entries"
    for _ in range(7):
        replay.feed(listing(*SIX), after=20.0)
    assert "memberList" in replay.accepted
    assert replay.feed(listing(*SIX, NEW, members=9), after=120.0) == ["clan_updated", "member_joined"]
