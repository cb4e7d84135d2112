"""Ranked battles after stale, incomplete, malformed and missing responses, after downtimes and clock jumps."""

from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.clash import NotFoundError
from coc2mqtt.clash.errors import InvalidResponseError, ServerError, UnreachableError
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.events.summary import summarize
from coc2mqtt.mqtt.payloads.ranked import ranked_payload
from tests.events.polling.test_ranked import (
    DAY,
    DRAGON,
    GROUP,
    HOUR,
    LEGEND,
    MINUTE,
    NEXT,
    NEXT_GROUP,
    TAG,
    WEEK,
    Player,
    battle,
    past,
)

HISTORY, LOG = f"/players/{TAG}/leaguehistory", f"/players/{TAG}/battlelog"


def group_path(group: str, week: int) -> str:
    return f"/leaguegroup/{group}/{week}?playerTag={TAG}"


def poll_for(subject: Player, seconds: float) -> list[str]:
    return [event for _ in range(int(seconds / (10 * MINUTE))) for event in subject.poll()]


@pytest.mark.parametrize("missing", [("#0", 0), (None, None)])
def test_response_without_the_group_neither_ends_nor_repeats_a_week(missing: tuple[Any, Any]) -> None:
    subject = Player()
    subject.battles[WEEK][0].append(battle(WEEK + HOUR))
    subject.poll()
    subject.signup = missing
    subject.battles[WEEK][0].append(battle(subject.now + 1))
    assert subject.poll() == ["ranked_attack_new"]
    subject.signup = (GROUP, WEEK)
    assert poll_for(subject, 12 * HOUR) == []


@pytest.mark.parametrize("next_signup", [(NEXT_GROUP, NEXT), ("#0", 0)])
def test_stale_response_repeats_neither_the_start_nor_the_result(next_signup: tuple[Any, Any]) -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.signup, subject.history, subject.tier = next_signup, [past(WEEK)], DRAGON
    assert "ranked_week_ended" in subject.poll(HOUR)
    subject.signup = (GROUP, WEEK)
    assert subject.poll() == []
    subject.restart()
    subject.signup = next_signup
    assert poll_for(subject, 12 * HOUR) == []


def test_week_ends_although_the_player_keeps_its_group() -> None:
    subject = Player(NEXT - 10 * MINUTE)
    subject.poll()
    assert poll_for(subject, 2 * HOUR) == [], "the clock may be wrong"
    subject.history, subject.tier = [past(WEEK)], DRAGON
    assert subject.poll() == ["ranked_week_ended"]
    assert subject.state.season is None
    assert poll_for(subject, 2 * HOUR) == []
    subject.signup = (NEXT_GROUP, NEXT)
    assert subject.poll() == ["ranked_week_started"]


@pytest.mark.parametrize(
    "time", [10**18, -(10**18), "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "20260230T000000.000Z", True]
)
def test_battle_with_an_impossible_time_is_ignored(time: object) -> None:
    subject = Player()
    subject.poll()
    subject.battles[WEEK][0].extend([{**battle(0), "creationTime": time}, battle(subject.now + 1)])
    assert subject.poll() == ["ranked_attack_new"]


@pytest.mark.parametrize("season", [10**18, 2**63, 5, -5, 1.5, True])
def test_impossible_season_keeps_the_known_week(season: object) -> None:
    subject = Player()
    subject.poll()
    subject.signup = (GROUP, season)
    assert subject.poll() == []
    snapshot = subject._state.snapshot(Resource(Kind.RANKED, TAG))
    assert snapshot is not None
    assert ranked_payload(snapshot).season == WEEK


def test_many_battles_are_not_repeated_and_those_of_old_weeks_forgotten() -> None:
    subject = Player()
    subject.poll()
    subject.battles[WEEK][0].extend(battle(WEEK + DAY + number, f"#{number}") for number in range(500))
    assert len(subject.poll()) == 400
    assert subject.poll() == []
    subject.signup, subject.history, subject.tier = (NEXT_GROUP, NEXT), [past(WEEK)], DRAGON
    subject.poll(7 * DAY)
    snapshot = subject._state.snapshot(Resource(Kind.RANKED, TAG))
    assert snapshot is not None
    assert snapshot.data is not None
    assert snapshot.data["reported"] == []


def test_failing_history_delays_no_battle_and_the_result_only_for_hours() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.signup, subject.failures[HISTORY] = (NEXT_GROUP, NEXT), ServerError("down", status=500)
    assert subject.poll(HOUR) == ["ranked_week_started"]
    subject.battles[NEXT][0].append(battle(subject.now + 1))
    assert subject.poll() == ["ranked_attack_new"]
    assert poll_for(subject, 12 * HOUR) == ["ranked_week_ended"]


def test_failing_group_of_the_present_week_does_not_delay_the_last_result() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.battles[WEEK][0].append(battle(NEXT - MINUTE))
    subject.signup, subject.history, subject.tier = (NEXT_GROUP, NEXT), [past(WEEK)], DRAGON
    subject.failures[group_path(NEXT_GROUP, NEXT)] = ServerError("down", status=500)
    assert subject.poll(HOUR) == ["ranked_attack_new", "ranked_week_ended", "ranked_week_started"]
    subject.battles[NEXT][0].append(battle(subject.now + 1))
    assert subject.poll() == []
    subject.failures.clear()
    assert subject.poll() == ["ranked_attack_new"]


def test_failing_group_of_the_last_week_delays_only_its_result() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.battles[WEEK][0].append(battle(NEXT - MINUTE))
    subject.signup, subject.history, subject.tier = (NEXT_GROUP, NEXT), [past(WEEK)], DRAGON
    subject.failures[group_path(GROUP, WEEK)] = InvalidResponseError("not an object")
    assert subject.poll(HOUR) == ["ranked_week_started"]
    subject.battles[NEXT][0].append(battle(subject.now + 1))
    assert subject.poll() == ["ranked_attack_new"]
    subject.failures.clear()
    assert subject.poll() == ["ranked_attack_new", "ranked_week_ended"]
    assert subject.events[-2].metadata["season"] == WEEK


def test_group_of_the_last_week_that_always_fails_delays_it_only_for_hours() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.signup, subject.history, subject.tier = (NEXT_GROUP, NEXT), [past(WEEK)], DRAGON
    subject.failures[group_path(GROUP, WEEK)] = ServerError("down", status=500)
    assert poll_for(subject, 12 * HOUR) == ["ranked_week_started", "ranked_week_ended"]


def test_unreachable_api_is_not_asked_for_everything() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.signup, subject.failure = (NEXT_GROUP, NEXT), UnreachableError("away")
    subject.poll(HOUR)
    before = len(subject.api.requests)
    assert subject.poll() == []
    assert len(subject.api.requests) - before == 1


def test_legend_day_waits_for_a_failing_group() -> None:
    subject = Player(WEEK + DAY)
    subject.tier = LEGEND
    subject.poll(HOUR)
    subject.battles[WEEK][0].append(battle(subject.now + HOUR))
    subject.failures[group_path(GROUP, WEEK)] = ServerError("down", status=500)
    assert subject.poll(DAY) == []
    subject.failures.clear()
    assert subject.poll() == ["ranked_attack_new", "legend_day_ended"]
    assert subject.events[-1].metadata["attacks"] == 1


def test_group_that_is_not_found_at_first_has_a_silent_baseline() -> None:
    subject = Player()
    subject.battles[WEEK][0].append(battle(WEEK + HOUR))
    subject.failure = NotFoundError("not found")
    subject.poll()
    subject.battles[WEEK][0].append(battle(subject.now + MINUTE))
    subject.failure = None
    assert subject.poll() == ["ranked_attack_new"]


def test_clock_that_was_ahead_at_first_silences_nothing() -> None:
    subject = Player(WEEK + 400 * DAY)
    subject.poll()
    subject.now = WEEK + 2 * DAY
    subject.poll()
    subject.battles[WEEK][0].append(battle(subject.now + MINUTE))
    assert subject.poll() == ["ranked_attack_new"]


def test_events_after_a_downtime_are_marked() -> None:
    subject = Player()
    subject.poll()
    subject.restart()
    subject.signup, subject.history, subject.tier = (NEXT_GROUP, NEXT), [past(WEEK)], DRAGON
    subject.poll(8 * DAY)
    ages = {event.event_type.value: event.metadata["snapshot_age_seconds"] for event in subject.events}
    assert ages == {"ranked_week_started": 8 * DAY, "ranked_week_ended": subject.now - NEXT}


def test_result_of_the_week_before_a_long_downtime_is_not_lost() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.signup = (NEXT_GROUP, NEXT)
    subject.poll(HOUR)
    subject.restart()
    subject.signup = (GROUP, NEXT + 7 * 86_400)
    subject.history = [past(WEEK), past(NEXT, placement=9)]
    assert subject.poll(8 * DAY) == ["ranked_week_ended", "ranked_week_ended", "ranked_week_started"]
    assert [event.metadata.get("placement") for event in subject.events[-3:]] == [5, 9, None]


def test_response_without_the_tier_ends_no_week_early() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.signup, subject.history, subject.tier = (NEXT_GROUP, NEXT), [past(WEEK)], {}
    assert subject.poll(HOUR) == ["ranked_week_started"]
    assert subject.state.tier.name == "Titan League 27"


def test_legend_days_during_a_downtime_are_reported() -> None:
    subject = Player(WEEK + DAY)
    subject.tier = LEGEND
    subject.poll(HOUR)
    subject.battles[WEEK][0].extend(battle(WEEK + day * DAY + 4 * HOUR, f"#{day}") for day in (1, 2, 3))
    subject.restart()
    subject.poll(3 * DAY)
    days = [event.metadata for event in subject.events if event.event_type.value == "legend_day_ended"]
    assert [day["attacks"] for day in days] == [1, 1, 1]
    assert [day.get("snapshot_age_seconds") for day in days] == [
        2 * DAY + HOUR,
        25 * HOUR,
        None,
    ]


@pytest.mark.parametrize(
    ("log", "later_events"),
    [
        (NotFoundError("not found"), 2),
        (ServerError("down", status=500), 2),
        ({"items": [{"battleType": "legend", "attack": True, "opponentPlayerTag": "#8QQ"}]}, 2),
        # Its older battles are not listed.
        ({"items": [{"battleType": "homeVillage", "battleTimestamp": WEEK + 2 * 86_400 - 60}] * 50}, 1),
    ],
)
def test_legend_day_with_unknown_battles_is_not_reported_as_empty(log: Any, later_events: int) -> None:
    subject = Player(WEEK + DAY)
    subject.tier, subject.signup = LEGEND, ("#0", 0)
    subject.poll(HOUR)
    subject.failures[LOG] = log
    assert subject.poll(DAY) == []
    del subject.failures[LOG]
    assert poll_for(subject, 26 * HOUR) == ["legend_day_ended"] * later_events


def test_battle_log_is_requested_only_at_the_end_of_a_day() -> None:
    subject = Player(WEEK + DAY)
    subject.tier, subject.signup = LEGEND, ("#0", 0)
    poll_for(subject, 3 * DAY)
    assert subject.api.requests == [LOG] * len(subject.events)


@pytest.mark.parametrize("field", ["stars", "destructionPercentage"])
def test_summary_of_a_battle_leaves_out_an_unknown_result(field: str) -> None:
    subject = Player()
    subject.poll()
    subject.battles[WEEK][0].append({**battle(subject.now + 1), field: None, "opponentName": None})
    subject.poll()
    assert summarize(subject.events[-1]) == "Kristen attacked #8QQ in a ranked battle"
