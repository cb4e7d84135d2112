"""Raid weekends: stale and malformed responses, defences, the state and the pace."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.clash import NotFoundError
from tests.support.raid_replay import ANN, BOB, ENEMY, FRIDAY, HOUR, MONDAY, attack_events, last, state, watching
from tests.support.raids import CAMP, PEAK, START, WEEK, Weekend, seasons

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def test_stale_response_of_the_weekend_causes_no_event(weekend: Weekend) -> None:
    before = weekend.response
    replay = watching(before)
    weekend.attack(BOB, 100)
    assert replay.feed(weekend.response) == ["raid_attack_new", "raid_district_destroyed"]
    assert replay.feed(before) == []
    assert state(replay).attacks == 3, "an older response is not accepted"
    for _ in range(3):
        assert replay.feed(before, after=200) == [], "accepted silently once it is confirmed"
    assert replay.feed(weekend.response) == []
    weekend.attack(BOB, 20, district=PEAK)
    assert replay.feed(weekend.response) == ["raid_attack_new"]


def without_last_attack(season: Json) -> None:
    del season["attackLog"][0]["districts"][1]["attacks"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda season: season.update(startTime="20261120T070000.000Z"),
        lambda season: season.update(state="ongoing"),
        lambda season: season.update(capitalTotalLoot=season["capitalTotalLoot"] - 1),
        lambda season: season.update(totalAttacks=season["totalAttacks"] - 1),
        lambda season: season["attackLog"].clear(),
        lambda season: season["defenseLog"].clear(),
        lambda season: season["members"].clear(),
        lambda season: season["members"][0].update(attacks=1),
        without_last_attack,
        lambda season: season["attackLog"][0]["defender"].update(tag="#YYY"),
    ],
    ids=["start", "state", "loot", "attacks", "log", "defenses", "members", "member", "attack", "defender"],
)
def test_response_with_less_than_before_is_checked_again_soon(
    weekend: Weekend, change: Callable[[Json], object]
) -> None:
    weekend.defend("#8Q2", CAMP)
    weekend.finish()
    replay = watching(weekend.response, now=MONDAY + HOUR)
    accepted = replay.accepted
    odd = weekend.season
    change(odd)
    assert replay.feed(seasons(odd)) == []
    assert replay.accepted == accepted
    assert (replay.earliest, replay.latest) == (0.0, 130.0)


def test_ended_weekend_does_not_continue(weekend: Weekend) -> None:
    before = weekend.response
    replay = watching(before, now=MONDAY)
    weekend.finish()
    assert replay.feed(weekend.response, after=400) == ["raid_ended"]
    for _ in range(3):
        assert replay.feed(before, after=200) == []
    assert state(replay).state == "ended"
    assert replay.feed(weekend.response) == []


def test_completed_raids_on_the_clan_are_reported_if_wanted(weekend: Weekend) -> None:
    quiet, replay = watching(weekend.response), watching(weekend.response, report_defenses=True)
    weekend.defend("#8Q2", PEAK)
    assert replay.feed(weekend.response) == []
    weekend.defend("#8Q8", PEAK, CAMP)
    assert replay.feed(weekend.response) == ["raid_defense_ended"]
    assert replay.events[-1].metadata == {
        "attacker_tag": "#8Q8",
        "attacker_name": "Name of #8Q8",
        "attacks": 2,
        "districts_destroyed": 2,
    }
    assert quiet.feed(weekend.response) == []
    assert state(replay).raids_completed == 0, "the raids on the clan are not its own"


def test_district_without_stars_is_destroyed(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    weekend.attack(ANN, 100, stars=0)
    assert replay.feed(weekend.response) == ["raid_attack_new", "raid_district_destroyed"]


def test_member_without_a_finished_attack_is_listed(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    weekend.join(BOB)
    assert replay.feed(weekend.response) == []
    assert [(one["tag"], one["attacks_left"]) for one in state(replay).members] == [(ANN, 3), (BOB, 5)]


def test_log_with_other_clans_causes_no_event(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    other = Weekend()
    for tag in ("#8Q2", "#8Q8"):
        other.raid(tag)
        for destruction in (10, 20, 30):
            other.attack(ANN, destruction)
    for _ in range(3):
        assert replay.feed(other.response, after=200) == []
    other.attack(BOB, 40)
    assert replay.feed(other.response) == ["raid_attack_new"]


def test_malformed_entries_of_logs_keep_the_positions_of_the_others(weekend: Weekend) -> None:
    weekend.attack(ANN, 100)
    weekend.attack(ANN, 100, district=PEAK)
    weekend.raid("#8Q2")
    weekend.attack(BOB, 10)
    replay = watching(weekend.response)
    weekend.attack(BOB, 20)
    odd = weekend.season
    odd["attackLog"][0] = None
    odd["attackLog"][1]["districts"][1]["attacks"][1] = 7
    for _ in range(3):
        replay.feed(seasons(odd), after=200)
    replay.feed(weekend.response)
    assert [(one["raid_index"], one["order"]) for one in attack_events(replay.events)] == [(2, 2)]


def test_lost_and_malformed_totals_keep_their_last_values(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    odd = {**weekend.season, "capitalTotalLoot": "much", "members": None}
    assert replay.feed(seasons(odd)) == []
    assert (state(replay).loot, len(state(replay).members)) == (700, 1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": None},
        {"items": [7]},
        {"items": [{"state": "ended"}]},
        {"items": [{"startTime": "20261127T070000.000Z"}]},
        {"items": [{"state": "ended", "startTime": "Friday"}]},
        {"items": [{"state": "ended", "startTime": "99991231T070000.000Z"}]},
    ],
)
def test_response_without_a_weekend_is_an_error(weekend: Weekend, body: Json) -> None:
    replay = watching(weekend.response)
    assert replay.feed(body) == ["poll_error"]
    assert replay.events[-1].metadata["endpoint"] == "capitalraidseasons"
    weekend.attack(ANN, 80)
    assert replay.feed(weekend.response) == ["raid_attack_new"]


def test_missing_clan_is_reported_by_its_own_poller(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    assert replay.feed(NotFoundError("not found")) == []
    assert replay.feed(weekend.response) == []


def test_state_of_a_weekend_has_its_totals_and_an_estimate(weekend: Weekend) -> None:
    weekend.attack(BOB, 100)
    replay = watching(weekend.response)
    shown = state(replay)
    assert (shown.state, shown.start_time, shown.end_time) == (
        "ongoing",
        "20261127T070000.000Z",
        "20261130T070000.000Z",
    )
    assert (shown.loot, shown.attacks, shown.attacks_left, shown.districts_destroyed) == (1000, 3, 8, 1)
    assert shown.opponent == (ENEMY, f"Name of {ENEMY}", 1)
    # A district hall of level 3 gives 350 medals, shared by three attacks.
    assert (shown.estimated_medals, shown.offensive_reward, shown.max_medals) == (117, None, None)
    weekend.attack(BOB, 100, district=PEAK)
    weekend.finish(238, 40)
    replay.feed(weekend.response, after=3 * 86_400)
    shown = state(replay)
    assert (shown.state, shown.opponent, shown.raids_completed) == ("ended", None, 1)
    assert (shown.estimated_medals, shown.offensive_reward, shown.max_medals) == (None, 238, 6 * 238 + 40)


def test_medals_are_not_estimated_for_an_unknown_hall() -> None:
    weekend = Weekend()
    weekend.raid(ENEMY, hall=6)
    weekend.attack(ANN, 100)
    assert state(watching(weekend.response)).estimated_medals is None


def test_pace_is_the_interval_in_the_weekend_and_slow_before(weekend: Weekend) -> None:
    last_week = Weekend(START - WEEK)
    last_week.finish()
    replay = watching(last_week.response, now=FRIDAY - 86_400)
    assert replay.earliest == 360.0
    replay.feed(last_week.response, after=86_400 - 100)
    assert 100.0 < replay.earliest <= 106.0, "due soon after the start, but not all clans at once"
    replay.feed(last_week.response, after=110)
    assert replay.earliest == 0.0
    replay.feed(weekend.response, after=HOUR)
    assert replay.earliest == 0.0
    assert replay.latest == MONDAY - replay.now + 60


def test_pace_is_the_interval_until_the_end_is_reported(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - 60)
    replay.feed(weekend.response, after=360)
    assert (replay.earliest, replay.latest) == (0.0, 300.0)
    weekend.finish()
    assert replay.feed(weekend.response, after=timedelta(minutes=5).total_seconds()) == ["raid_ended"]
    assert replay.earliest == 360.0


def test_weekend_after_the_longest_pause_is_not_marked_as_caught_up(weekend: Weekend) -> None:
    replay = watching(seasons(), now=FRIDAY - 86_400, interval=3600)
    assert replay.earliest == 6 * HOUR
    replay.feed(weekend.response, after=6 * HOUR)
    assert "catch_up" not in replay.events[0].metadata
    weekend.attack(BOB, 80)
    replay.feed(weekend.response, after=8 * HOUR)
    assert replay.events[-1].metadata["catch_up"] is True


def test_pace_of_an_unchanged_response_is_the_same(weekend: Weekend) -> None:
    weekend.finish()
    replay = watching(weekend.response, now=MONDAY + HOUR)
    replay.feed(weekend.response)
    assert replay.earliest == 360.0


def test_huge_numbers_are_removed(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    odd = weekend.season
    odd["members"][0]["attackLimit"] = odd["capitalTotalLoot"] = 2**64 - 1
    odd["attackLog"][0]["districts"][0]["id"] = 2**63
    for _ in range(3):
        assert replay.feed(seasons(odd), after=200) == []
    assert (state(replay).loot, state(replay).attacks_left) == (700, 3)


def test_weekend_in_which_the_clan_does_not_raid_starts_and_ends_without_attacks() -> None:
    quiet = Weekend()
    quiet.defend(ENEMY, PEAK, CAMP)
    # The API omits the members then.
    running = {key: value for key, value in quiet.season.items() if key != "members"}
    replay = watching(seasons())
    assert replay.feed(seasons(running)) == ["raid_started"]
    shown = state(replay)
    assert (shown.attacks, shown.attacks_left, shown.opponent, shown.estimated_medals) == (0, 0, None, None)
    ended = {**running, "state": "ended", "defensiveReward": 30}
    assert replay.feed(seasons(ended), after=3 * 86_400) == ["raid_ended"]
    result = last(replay, "raid_ended")
    assert (result["attacks"], result["members"], result["attacks_left"], result["max_medals"]) == (0, 0, 0, 30)


@pytest.mark.parametrize("seconds", [-60, 60])
def test_corrected_start_is_not_another_weekend(weekend: Weekend, seconds: int) -> None:
    replay = watching(seasons())
    replay.feed(weekend.response)
    weekend.attack(BOB, 90)
    corrected = weekend.season
    corrected["startTime"] = (START + timedelta(seconds=seconds)).strftime("%Y%m%dT%H%M%S.000Z")
    assert replay.feed(seasons(corrected)) == ["raid_attack_new"]
    assert replay.feed(weekend.response) == []
    # A weekend of its own does not have the attacks of the last one.
    other = Weekend(START + timedelta(hours=1))
    other.raid(ENEMY)
    assert replay.feed(other.response, after=600.0)[:2] == ["raid_ended", "raid_started"]


def test_one_response_with_a_weekend_of_next_year_is_ignored(weekend: Weekend) -> None:
    replay = watching(seasons())
    replay.feed(weekend.response)
    wrong = weekend.season
    wrong["startTime"] = "20271001T070000.000Z"
    wrong["attackLog"] = []
    assert replay.feed(seasons(wrong)) == []
    weekend.attack(BOB, 90)
    assert replay.feed(weekend.response, after=600.0) == ["raid_attack_new"]
