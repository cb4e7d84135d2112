"""Raid weekends: the pitfalls of the API, each known from recorded data or from bugs of other clients.

The numbers are those of the list in ../shared/docs/clash-leagues.md.
"""

from __future__ import annotations

from typing import Any

from coc2mqtt.clash import NotFoundError, ServerError
from coc2mqtt.events.compare.raid_state import members_not_started
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, clan, member
from tests.support.raid_replay import ANN, BOB, CAT, ENEMY, HOUR, MONDAY, attack_events, last, state, watching
from tests.support.raids import CAMP, PEAK, RAIDS, START, WEEK, Weekend, past, seasons
from tests.support.replay import Replay

Json = dict[str, Any]


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
