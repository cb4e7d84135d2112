"""The activity of members over ends of seasons, downtimes, stale responses, returns and changed limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.events.polling.test_activity import ANN, BOB, DAY, HOUR, MINUTE, NOON, activity, ann, roster, watching
from tests.support.bodies import clan, member

if TYPE_CHECKING:
    from tests.support.replay import Replay

Json = dict[str, Any]

CAT = "#2PC"
# A Monday at 05:00, at which a season ends.
SEASON_END = datetime(2026, 11, 30, 5, tzinfo=UTC).timestamp()


def three(ann: int, bob: int, cat: int, **fields: Any) -> Json:
    return clan(member(ANN, donations=ann, **fields), member(BOB, donations=bob), member(CAT, donations=cat))


def with_limit(replay: Replay, inactive_after: float | None) -> None:
    """Reload with another limit, and wait until it is applied."""
    replay._options["inactive_after"] = inactive_after
    replay.restart()
    replay.feed(roster(bob=150), after=MINUTE)


def test_member_with_more_donations_after_the_end_of_a_season_than_before() -> None:
    replay = watching(three(2, 900, 800), now=SEASON_END - 5 * MINUTE)
    for _ in range(2):
        replay.feed(three(5, 0, 0), after=6 * MINUTE)
    assert "season_reset" in [event.event_type.value for event in replay.events]
    assert (ann(replay).donations_today, ann(replay).donations_week) == (5, 5)


def test_donations_of_a_new_season_belong_to_its_first_day_after_a_downtime() -> None:
    replay = watching(three(100, 900, 800), now=SEASON_END - 4 * HOUR)
    replay.restart()
    for _ in range(3):
        replay.feed(three(40, 0, 0), after=2 * HOUR)
    assert (ann(replay).donations_today, ann(replay).donations_week) == (40, 40)


def test_donation_after_the_end_of_a_season_is_seen_but_the_end_is_not() -> None:
    replay = watching(three(100, 900, 800), now=SEASON_END - 5 * MINUTE)
    reset = three(7, 0, 0, leagueTier={"id": 105000001, "name": "Skeleton League 1"}, trophies=0, clanRank=3)
    for _ in range(2):
        replay.feed(reset, after=6 * MINUTE)
    assert ann(replay).last_seen == replay.now
    assert {activity(replay).members[tag].last_seen for tag in (BOB, CAT)} == {SEASON_END - 5 * MINUTE}


def test_slightly_lower_donations_are_not_donated_again() -> None:
    replay = watching(now=NOON)
    replay.feed(roster(120))
    for _ in range(3):
        replay.feed(roster(118), after=5 * MINUTE)
    assert replay.accepted["memberList"][0]["donations"] == 118
    assert (ann(replay).donations_today, ann(replay).last_seen) == (20, NOON + MINUTE)


def test_member_who_returned_unobserved_donates_from_zero() -> None:
    replay = watching()
    for _ in range(3):
        replay.feed(roster(9), after=5 * MINUTE)
    assert ann(replay).donations_today == 9
    assert ann(replay).last_seen > NOON


@pytest.mark.parametrize(
    ("house", "is_seen"), [({"elements": 0, "new": 1}, False), ({}, False), ({"elements": 2}, True)]
)
def test_house_with_more_or_less_details_is_not_a_choice(house: Json, is_seen: bool) -> None:
    replay = watching(roster(playerHouse={"elements": 0}))
    replay.feed(roster(playerHouse=house))
    assert (ann(replay).last_seen == replay.now) is is_seen


def test_attack_is_not_lost_in_a_response_that_is_ignored() -> None:
    replay = watching()
    replay.api.max_age = 60.0
    replay.feed(roster(role="admin"))
    replay._poller.see_members([BOB], replay.now)  # type: ignore[attr-defined]  # a clan's poller
    seen_at = replay.now
    assert replay.feed(roster(clanRank=9), after=1.0) == [], "stale"
    replay.feed(roster(role="admin", clanRank=8), after=3 * MINUTE)
    assert activity(replay).members[BOB].last_seen == seen_at


def test_longer_limit_makes_members_active_until_it_is_reached() -> None:
    replay = watching(inactive_after=3 * DAY)
    replay.feed(roster(bob=60), after=2 * DAY)
    assert replay.feed(roster(bob=61), after=2 * DAY) == ["member_donations", "member_inactive"]
    with_limit(replay, 5 * DAY)
    replay.feed(roster(bob=151), after=HOUR)
    assert activity(replay).inactive_members == 0
    assert replay.feed(roster(bob=152), after=DAY) == ["member_donations", "member_inactive"]
    assert replay.events[-1].metadata["days"] == 5.0


def test_shorter_limit_reports_only_those_who_were_not_reported() -> None:
    replay = watching(inactive_after=5 * DAY)
    replay.feed(roster(bob=60), after=3 * DAY)
    with_limit(replay, 2 * DAY)
    assert replay.feed(roster(bob=151), after=HOUR) == ["member_donations", "member_inactive"]
    with_limit(replay, DAY)
    assert replay.feed(roster(bob=151), after=HOUR) == []


def test_without_a_limit_from_now_on_nobody_is_inactive() -> None:
    replay = watching(inactive_after=DAY)
    replay.feed(roster(bob=60), after=2 * DAY)
    assert activity(replay).inactive_members == 1
    with_limit(replay, None)
    replay.feed(roster(bob=151), after=HOUR)
    assert activity(replay).inactive_members == 0


@pytest.mark.parametrize(("down_from", "counted"), [(3.5 * HOUR, (30, 30)), (2 * HOUR, (0, 30))])
def test_day_that_begins_during_a_downtime(down_from: float, counted: tuple[int, int]) -> None:
    tuesday = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
    replay = watching(now=tuesday + down_from)
    replay.restart()
    replay.feed(roster(130), after=7 * HOUR - down_from)
    assert (ann(replay).donations_today, ann(replay).donations_week) == counted
