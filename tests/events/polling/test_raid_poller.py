"""Raid weekends: the pitfalls of the API, each known from recorded data or from bugs of other clients, and the pace.

The numbers are those of the list in ../shared/docs/clash-leagues.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.clash import NotFoundError, ServerError
from coc2mqtt.events.compare.raid_state import members_not_started, raid_state
from coc2mqtt.events.resource import Kind, Resource
from tests.support.bodies import CLAN_TAG, clan, member
from tests.support.raids import CAMP, PEAK, RAIDS, START, WEEK, Weekend, past, seasons
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events import Event
    from coc2mqtt.events.compare.raid_state import RaidState

Json = dict[str, Any]

FRIDAY = START.timestamp()
MONDAY = FRIDAY + 3 * 86_400
HOUR = 3600.0
ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"
ENEMY = "#8QQ"


@pytest.fixture
def weekend() -> Weekend:
    """A weekend in which Ann has attacked twice."""
    weekend = Weekend()
    weekend.raid(ENEMY)
    weekend.attack(ANN, 40)
    weekend.attack(ANN, 70)
    return weekend


def watching(first: Json, *, now: float = FRIDAY + HOUR, **options: Any) -> Replay:
    """Return a replay that has received the first response."""
    replay = Replay(Kind.RAID, CLAN_TAG, now=now, **options)
    assert replay.feed(first, after=0.0) == []
    return replay


def state(replay: Replay) -> RaidState:
    snapshot = replay._state.snapshot(Resource(Kind.RAID, CLAN_TAG))
    assert snapshot is not None
    return raid_state(snapshot)


def attack_events(events: list[Event]) -> list[Json]:
    return [event.metadata for event in events if event.event_type.value == "raid_attack_new"]


def last(replay: Replay, event_type: str) -> Json:
    return [event.metadata for event in replay.events if event.event_type.value == event_type][-1]


def test_trap_r1_clan_without_raids_has_an_empty_list(weekend: Weekend) -> None:
    replay = watching(seasons())
    assert state(replay).state == "none"
    assert replay.feed(seasons()) == []
    assert replay.feed(weekend.response)[:2] == ["raid_started", "raid_opponent_new"]
    assert last(replay, "raid_started") == {
        "start_at": "2026-11-27T07:00:00.000+00:00",
        "end_at": "2026-11-30T07:00:00.000+00:00",
    }
    assert replay.feed(seasons()) == [], "a weekend does not vanish"
    assert replay.feed(seasons(), after=300) == []
    assert state(replay).state == "ongoing"


def test_trap_r2_last_week_is_shown_until_the_clan_raids(weekend: Weekend) -> None:
    last_week = Weekend(START - WEEK)
    last_week.raid(ENEMY)
    last_week.attack(ANN, 100)
    last_week.finish()
    replay = watching(last_week.response)
    assert [replay.feed(last_week.response, after=600) for _ in range(3)] == [[]] * 3
    assert state(replay).state == "ended"
    reported = replay.feed(weekend.response)
    assert reported == ["raid_started", "raid_opponent_new", "raid_attack_new", "raid_attack_new"]
    assert replay.feed(last_week.response) == [], "a weekend never follows a later one"
    assert replay.feed(last_week.response, after=300) == []
    assert replay.feed(weekend.response) == []
    assert state(replay).attacks == 2


def test_trap_r3_attacks_are_listed_newest_first(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    weekend.attack(BOB, 95)
    weekend.attack(CAT, 100)
    assert replay.feed(weekend.response) == ["raid_attack_new", "raid_attack_new", "raid_district_destroyed"]
    first, second = attack_events(replay.events)
    assert [first["attacker_tag"], first["order"], first["destruction"], first["gained"]] == [BOB, 3, 95, 25]
    assert [second["attacker_tag"], second["order"], second["destruction"], second["gained"]] == [CAT, 4, 100, 5]
    assert (first["finished"], second["finished"]) == (False, True)
    destroyed = last(replay, "raid_district_destroyed")
    assert (destroyed["last_attacker_tag"], destroyed["attacks"], destroyed["loot"]) == (CAT, 4, 1000)


def test_trap_r4_several_attacks_between_two_polls_are_in_order(weekend: Weekend) -> None:
    replay = watching(weekend.response)
    for destruction in (80, 90, 100):
        weekend.attack(BOB, destruction)
    for destruction in (30, 60, 100):
        weekend.attack(CAT, destruction, district=PEAK)
    weekend.raid("#8Q2")
    weekend.attack(BOB, 20)
    reported = replay.feed(weekend.response)
    assert sorted(reported[:8]) == ["raid_attack_new"] * 6 + ["raid_district_destroyed"] * 2
    assert reported[8:] == ["raid_clan_destroyed", "raid_opponent_new", "raid_attack_new"]
    orders = [(one["district_id"], one["order"]) for one in attack_events(replay.events)]
    assert orders == [(PEAK, 1), (PEAK, 2), (PEAK, 3), (CAMP, 3), (CAMP, 4), (CAMP, 5), (CAMP, 1)]


def test_trap_r5_same_clan_can_be_raided_twice(weekend: Weekend) -> None:
    weekend.attack(ANN, 100)
    weekend.attack(ANN, 100, district=PEAK)
    replay = watching(weekend.response)
    weekend.raid(ENEMY)
    assert replay.feed(weekend.response) == ["raid_opponent_new"]
    assert last(replay, "raid_opponent_new")["raid_index"] == 2
    weekend.attack(BOB, 40)
    assert replay.feed(weekend.response) == ["raid_attack_new"]
    assert [(one["raid_index"], one["order"]) for one in attack_events(replay.events)] == [(2, 1)]
    assert state(replay).opponent == (ENEMY, f"Name of {ENEMY}", 2)


def test_trap_r6_bonus_attack_is_granted_later(weekend: Weekend) -> None:
    for destruction in (71, 72, 73):
        weekend.attack(ANN, destruction)
    replay = watching(weekend.response)
    assert state(replay).attacks_left == 0
    weekend.attack(BOB, 80)
    weekend.join(ANN)["bonusAttackLimit"] = 1
    assert replay.feed(weekend.response) == ["raid_attack_new"]
    assert last(replay, "raid_attack_new")["attacks_left"] == 4
    assert [one["attacks_left"] for one in state(replay).members] == [1, 4]
    weekend.attack(ANN, 90)
    replay.feed(weekend.response)
    assert (last(replay, "raid_attack_new")["attacks_used"], last(replay, "raid_attack_new")["attacks_left"]) == (6, 0)


def test_trap_r7_rewards_missing_from_the_first_ended_response_are_awaited(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - 60)
    weekend.finish(0, 0)
    assert replay.feed(weekend.response, after=300) == []
    assert replay.latest == 300.0
    assert state(replay).state == "ended"
    weekend.finish(212, 48)
    assert replay.feed(weekend.response, after=300) == ["raid_ended"]
    ended = last(replay, "raid_ended")
    assert (ended["offensive_reward"], ended["defensive_reward"], ended["max_medals"]) == (212, 48, 6 * 212 + 48)
    assert replay.feed(weekend.response, after=300) == []


def test_trap_r7_end_without_rewards_is_reported_after_one_more_poll(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - 60)
    weekend.finish(0, 0)
    assert replay.feed(weekend.response, after=300) == []
    assert replay.feed(weekend.response, after=300) == ["raid_ended"]
    ended = last(replay, "raid_ended")
    assert (ended["offensive_reward"], ended["max_medals"], ended["partial"]) == (None, None, False)
    weekend.finish()
    assert replay.feed(weekend.response, after=300) == []


def test_trap_r7_clan_without_attacks_has_no_rewards_to_wait_for() -> None:
    weekend = Weekend()
    replay = watching(weekend.response, now=MONDAY - 60)
    weekend.finish(0, 0)
    assert replay.feed(weekend.response, after=300) == ["raid_ended"]
    assert last(replay, "raid_ended")["max_medals"] == 0


def test_trap_r8_weekend_is_ongoing_after_its_end(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - 60)
    assert replay.feed(weekend.response, after=400) == []
    assert replay.latest == 300.0
    weekend.attack(BOB, 90)
    assert replay.feed(weekend.response, after=300) == ["raid_attack_new"]
    weekend.finish()
    assert replay.feed(weekend.response, after=300) == ["raid_ended"]
    assert last(replay, "raid_ended")["partial"] is False


def test_trap_r8_weekend_that_stays_ongoing_ends_after_hours(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - 60)
    for _ in range(25):
        replay.feed(weekend.response, after=300)
    assert [event.event_type.value for event in replay.events] == ["raid_ended"]
    assert last(replay, "raid_ended")["partial"] is True
    assert state(replay).state == "ended"
    weekend.attack(BOB, 90)
    weekend.finish()
    assert replay.feed(weekend.response, after=300) == ["raid_attack_new"], "the end is not reported again"


def test_trap_r8_progress_after_the_end_starts_another_wait(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - 60)
    assert replay.feed(weekend.response, after=400) == []
    weekend.attack(BOB, 90)
    assert replay.feed(weekend.response, after=7000) == ["raid_attack_new"]
    assert replay.feed(weekend.response, after=7000) == []
    assert replay.feed(weekend.response, after=300) == ["raid_ended"]


def test_trap_r8_clock_set_forward_does_not_end_the_wait(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - 60)
    assert replay.feed(weekend.response, after=400) == []
    replay.set_clock(86_400.0)
    assert replay.feed(weekend.response, after=300) == []
    replay.set_clock(-86_400.0)
    assert replay.feed(weekend.response, after=300) == []
    assert replay.feed(weekend.response, after=7200) == ["raid_ended"]


def test_trap_r9_member_who_left_the_clan_still_counts(weekend: Weekend) -> None:
    weekend.attack(BOB, 90)
    replay = watching(weekend.response, now=MONDAY - 60)
    clans = Replay(Kind.CLAN, CLAN_TAG, now=MONDAY - 60)
    clans.share(replay)
    # Bob has left, and Cat has not attacked.
    clans.feed(clan(member(ANN), member(CAT)))
    weekend.finish()
    assert replay.feed(weekend.response, after=120) == ["raid_ended"]
    ended = last(replay, "raid_ended")
    assert (ended["members"], ended["attacks"], ended["attacks_left"]) == (2, 3, 7)
    assert ended["members_not_started"] == [{"tag": CAT, "name": f"Name of {CAT}"}]
    assert [one["tag"] for one in members_not_started(state(replay), [member(ANN), member(CAT)])] == [CAT]
    assert replay.events[-1].name == "The Order"


def test_trap_r10_first_sight_in_the_weekend_is_silent(weekend: Weekend) -> None:
    weekend.attack(ANN, 100)
    weekend.defend("#8Q2", PEAK, CAMP)
    replay = watching(weekend.response)
    assert replay.feed(weekend.response) == []
    weekend.attack(BOB, 30, district=PEAK)
    assert replay.feed(weekend.response) == ["raid_attack_new"]
    weekend.finish()
    assert replay.feed(weekend.response, after=3 * 86_400) == ["raid_ended"]
    ended = last(replay, "raid_ended")
    assert (ended["attacks"], ended["loot"]) == (4, 1300), "the totals include what was not reported"


def test_trap_r11_weekend_that_ended_while_the_bridge_was_down_is_reported(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - HOUR)
    weekend.attack(BOB, 100)
    weekend.attack(BOB, 100, district=PEAK)
    weekend.raid("#8Q2")
    weekend.finish()
    following = Weekend(START + WEEK)
    following.raid("#8Q8")
    replay.restart()
    replay.api.responses[f"{RAIDS}2"] = seasons(following.season, past(weekend.season))
    reported = replay.feed(following.response, after=4 * 86_400 + 2 * HOUR)
    # The attacks are not listed any more.
    assert reported == [
        *("raid_district_destroyed", "raid_district_destroyed", "raid_clan_destroyed", "raid_opponent_new"),
        *("raid_ended", "raid_started", "raid_opponent_new"),
    ]
    assert all(event.metadata["catch_up"] for event in replay.events)
    ended = last(replay, "raid_ended")
    assert (ended["attacks"], ended["loot"], ended["max_medals"]) == (4, 2000, 1250)
    assert ended["partial"] is True
    assert ended["members_attacks_left"] == [{"tag": ANN, "name": f"Name of {ANN}", "attacks_left": 3}]
    assert ended["members_not_started"] is None
    assert replay.feed(following.response) == []


def test_trap_r11_failed_lookup_ends_the_weekend_with_the_last_known_totals(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - HOUR)
    following = Weekend(START + WEEK)
    replay.api.responses[f"{RAIDS}2"] = ServerError("down")
    assert replay.feed(following.response, after=4 * 86_400 + 2 * HOUR) == []
    assert replay.feed(following.response, after=300) == []
    assert replay.feed(following.response, after=300) == ["raid_ended", "raid_started"]
    ended = last(replay, "raid_ended")
    assert (ended["attacks"], ended["loot"], ended["max_medals"], ended["partial"]) == (2, 700, None, True)


def test_trap_r11_observed_end_without_rewards_is_not_partial(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - HOUR)
    weekend.finish(0, 0)
    assert replay.feed(weekend.response, after=2 * HOUR) == []
    weekend.finish()
    following = Weekend(START + WEEK)
    replay.api.responses[f"{RAIDS}2"] = seasons(following.season, past(weekend.season))
    assert replay.feed(following.response, after=4 * 86_400) == ["raid_ended", "raid_started"]
    ended = last(replay, "raid_ended")
    assert (ended["partial"], ended["max_medals"]) == (False, 1250)


def test_trap_r11_other_raids_in_the_lookup_are_not_reported(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - HOUR)
    other, following = Weekend(), Weekend(START + WEEK)
    for tag in ("#8Q2", "#8Q8"):
        other.raid(tag)
        other.attack(ANN, 100)
    other.finish()
    replay.api.responses[f"{RAIDS}2"] = seasons(following.season, past(other.season))
    assert replay.feed(following.response, after=4 * 86_400 + 2 * HOUR) == ["raid_ended", "raid_started"]
    assert last(replay, "raid_ended")["loot"] == 700


def test_weekend_weeks_ago_is_looked_up_among_as_many_weekends(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - HOUR)
    weekend.finish()
    between, latest = Weekend(START + WEEK), Weekend(START + 2 * WEEK)
    between.finish()
    replay.api.responses[f"{RAIDS}3"] = seasons(latest.season, past(between.season), past(weekend.season))
    assert replay.feed(latest.response, after=14 * 86_400 - 70 * HOUR) == ["raid_ended", "raid_started"]
    assert last(replay, "raid_ended")["offensive_reward"] == 200


def test_permanent_error_of_the_lookup_is_not_repeated(weekend: Weekend) -> None:
    replay = watching(weekend.response, now=MONDAY - HOUR)
    replay.api.responses[f"{RAIDS}2"] = NotFoundError("gone")
    following = Weekend(START + WEEK)
    assert replay.feed(following.response, after=4 * 86_400 + 2 * HOUR) == ["raid_ended", "raid_started"]


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
