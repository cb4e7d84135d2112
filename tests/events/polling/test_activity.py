"""The donations of the day and the week, when members were last seen, and who is inactive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.compare.activity import MemberActivity, clan_activity
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, clan, member
from tests.support.replay import Replay

if TYPE_CHECKING:
    from coc2mqtt.events.compare.activity import ClanActivity

Json = dict[str, Any]

ANN, BOB = "#2PA", "#2PB"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
# A Tuesday at noon; the day started at 05:00, and no season ends in this week.
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def roster(ann: int = 100, bob: int = 50, **fields: Any) -> Json:
    """Return a clan in which Ann and Bob have these donations; the other fields are Ann's."""
    return clan(member(ANN, donations=ann, **fields), member(BOB, donations=bob))


def watching(first: Json | None = None, *, now: float = NOON, **options: Any) -> Replay:
    replay = Replay(Kind.CLAN, CLAN_TAG, now=now, track_activity=True, **options)
    assert replay.feed(first or roster(), after=0.0) == []
    return replay


def activity(replay: Replay) -> ClanActivity:
    found = clan_activity(replay.snapshot)
    assert found is not None
    return found


def ann(replay: Replay) -> MemberActivity:
    return activity(replay).members[ANN]


def test_first_response_is_the_baseline() -> None:
    replay = watching()
    assert activity(replay) == (0, 0, 0, {tag: MemberActivity(0, 0, NOON) for tag in (ANN, BOB)})


def test_donations_are_summed_up_by_day_and_week() -> None:
    replay = watching()
    replay.feed(roster(110))
    replay.feed(roster(130, 55))
    assert (ann(replay).donations_today, ann(replay).donations_week) == (30, 30)
    assert activity(replay)[:2] == (35, 35)
    replay.feed(roster(130, 55), after=16.5 * HOUR)
    replay.feed(roster(131, 55), after=HOUR)  # Wednesday
    assert (ann(replay).donations_today, ann(replay).donations_week) == (1, 31)
    for _ in range(6):
        replay.feed(roster(131, 55), after=DAY)
    assert activity(replay)[:2] == (0, 0)


def test_sums_of_the_day_end_at_five_although_the_response_is_unchanged() -> None:
    replay = watching()
    replay.feed(roster(120))
    body = roster(120)
    replay.feed(body)
    committed = replay.snapshot
    replay.feed(body)
    assert replay.snapshot is committed
    replay.feed(body, after=17 * HOUR)
    assert activity(replay)[:2] == (0, 20)


def test_donations_after_the_end_of_a_season_are_counted_from_zero() -> None:
    monday = datetime(2026, 11, 30, 4, 59, tzinfo=UTC).timestamp()
    replay = watching(roster(900, 800), now=monday)
    replay.feed(roster(905, 800), after=30.0)
    assert activity(replay).donations_today == 5
    assert replay.feed(roster(2, 0), after=300.0) == []  # may be stale
    assert replay.feed(roster(3, 0), after=300.0) == ["season_reset"]
    assert (ann(replay).donations_today, ann(replay).donations_week) == (3, 3)


def test_donations_of_a_long_absence_belong_to_no_day() -> None:
    replay = watching()
    replay.restart()
    replay.feed(roster(180), after=2 * DAY)
    assert (ann(replay).donations_today, ann(replay).donations_week) == (0, 80)


def test_sums_survive_a_restart() -> None:
    replay = watching()
    replay.feed(roster(120))
    replay.restart()
    replay.feed(roster(125))
    assert ann(replay).donations_today == 25


def test_stale_response_changes_nothing() -> None:
    replay = watching()
    replay.feed(roster(120))
    before = activity(replay)
    replay.feed(roster(118))
    assert activity(replay) == before
    replay.feed(roster(121))
    assert ann(replay).donations_today == 21


def test_member_who_returns_starts_again() -> None:
    replay = watching()
    replay.feed(roster(120))
    replay.feed(clan(member(BOB, donations=50)))
    assert ANN not in activity(replay).members
    replay.feed(roster(0))
    assert ann(replay) == MemberActivity(0, 0, replay.now)


@pytest.mark.parametrize(
    "change",
    [{"ann": 101}, {"townHallLevel": 16}, {"expLevel": 201}, {"name": "Anna"}, {"playerHouse": {"elements": 1}}],
)
def test_own_change_of_a_member_is_seen(change: Json) -> None:
    replay = watching(roster(expLevel=200, playerHouse={"elements": 0}))
    replay.feed(roster(**{"expLevel": 200, "playerHouse": {"elements": 0}, **change}))
    assert ann(replay).last_seen == replay.now
    assert activity(replay).members[BOB].last_seen == NOON


@pytest.mark.parametrize("change", [{"role": "admin"}, {"donationsReceived": 99}, {"trophies": 3990}, {"clanRank": 2}])
def test_change_by_others_is_not_seen(change: Json) -> None:
    replay = watching()
    replay.feed(roster(**change))
    assert ann(replay).last_seen == NOON


def test_attack_elsewhere_is_seen() -> None:
    replay = watching()
    body = roster()
    replay.feed(body)
    replay._poller.see_members([ANN], replay.now)  # type: ignore[attr-defined]  # a clan's poller
    replay.feed(body)
    assert ann(replay).last_seen == replay.now - MINUTE


def test_inactive_member_is_reported_once_until_seen() -> None:
    replay = watching(inactive_after=3 * DAY)
    for hours in range(1, 80):
        events = replay.feed(roster(bob=50 + hours), after=HOUR)
        if "member_inactive" in events:
            break
    assert hours == 72
    (event,) = [one for one in replay.events if one.event_type.value == "member_inactive"]
    assert event.metadata == {
        "member_tag": ANN,
        "member_name": f"Name of {ANN}",
        "role": "member",
        "days": 3.0,
        "last_seen_at": "2026-11-24T12:00:00.000+00:00",
    }
    assert activity(replay).inactive_members == 1
    replay.restart()
    assert "member_inactive" not in replay.feed(roster(bob=200), after=5 * HOUR)
    assert "member_inactive" not in replay.feed(roster(ann=101, bob=201), after=HOUR)
    assert activity(replay).inactive_members == 0
    reported = [replay.feed(roster(ann=101, bob=201 + hours), after=HOUR) for hours in range(1, 80)]
    assert sum("member_inactive" in events for events in reported) == 1


def test_inactive_member_is_reported_although_the_response_is_unchanged() -> None:
    replay = watching(inactive_after=DAY)
    body = roster()
    replay.feed(body, after=HOUR)
    assert replay.feed(body, after=22 * HOUR) == []
    assert replay.feed(body, after=HOUR) == ["member_inactive", "member_inactive"]
    assert replay.feed(body, after=DAY) == []


def test_inactive_member_waits_after_a_start_for_what_wars_show() -> None:
    replay = watching(inactive_after=DAY)
    replay.restart()
    body = roster()
    assert replay.feed(body, after=2 * DAY) == []
    assert replay.feed(body, after=5 * MINUTE) == []
    replay._poller.see_members([ANN], replay.now)  # type: ignore[attr-defined]  # attacked in a war meanwhile
    assert replay.feed(body, after=6 * MINUTE) == ["member_inactive"]
    assert replay.events[-1].metadata["member_tag"] == BOB


@pytest.mark.parametrize("jump", [-2 * DAY, 2 * DAY])
def test_set_clock_makes_nobody_inactive(jump: float) -> None:
    replay = watching(inactive_after=DAY)
    replay.feed(roster(101, 51), after=HOUR)
    replay.set_clock(jump)
    assert replay.feed(roster(102, 51), after=HOUR) == ["member_donations"]
    assert activity(replay).inactive_members == 0


def test_without_a_limit_nobody_is_inactive() -> None:
    replay = watching()
    assert replay.feed(roster(), after=400 * DAY) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(60.0, 3500.0)), max_size=40))
def test_sums_equal_the_increases_since_the_day_began(steps: list[tuple[int, float]]) -> None:
    replay = watching()
    total, donated = 100, [(NOON, 0)]
    for number, (increase, after) in enumerate(steps):
        total += increase
        replay.feed(roster(total, clanRank=number + 2), after=after)
        donated.append((replay.now, increase))
    day = (replay.now - 5 * HOUR) // DAY
    today = sum(increase for at, increase in donated if (at - 5 * HOUR) // DAY == day)
    assert ann(replay).donations_today == today
