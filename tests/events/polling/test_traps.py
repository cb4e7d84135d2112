"""The pitfalls of the Clash of Clans API, each known from recorded data or from bugs of other clients.

The numbers are those of the list in ../shared/docs/clash-api.md. Number 17 is about raids: see `test_raid_poller`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from coc2mqtt.clash import MaintenanceError, PrivateWarLogError, ServerError
from coc2mqtt.events.compare.api_state import ApiState, ApiStatus, observe_api
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, Json, attack, clan, member, no_war, player, unit, war
from tests.support.replay import Replay

if TYPE_CHECKING:
    from coc2mqtt.events import Event

FIRST, SECOND, THIRD = (attack("#2P2", "#8Q2", 1), attack("#8Q2", "#2P2", 2, 3), attack("#2P8", "#8Q2", 3, 3))
# The start (2026-11-02 07:00) and the end of the war in `bodies`, Unix time in seconds.
START, END = 1_793_602_800.0, 1_793_689_200.0
LATER = "20261103T073000.000Z"
ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"


def watching(kind: Kind, first: Json, *, now: float = 1_700_000_000.0, **options: Any) -> Replay:
    """Return a replay that has received the first response."""
    tag = first["tag"] if kind is Kind.PLAYER else CLAN_TAG
    replay = Replay(kind, tag, now=now, **options)
    assert replay.feed(first, after=0.0) == []
    return replay


def orders(events: list[Event]) -> Counter[int]:
    return Counter(event.metadata["order"] for event in events if event.event_type.value == "war_attack_new")


def test_trap_01_names_are_not_unique() -> None:
    def safe(info: str, stars: int) -> Json:
        return {"name": "Keep Your Account Safe!", "village": "home", "info": info, "stars": stars}

    achievements = [safe("network", 0), safe("id", 0)]
    replay = watching(Kind.PLAYER, player(achievements=achievements))
    dragons = [unit("Barbarian", 10), unit("Baby Dragon", 6), unit("Baby Dragon", 9, "builderBase")]
    assert replay.feed(player(troops=dragons, achievements=achievements)) == ["troop_upgraded"]
    assert replay.events[-1].metadata["village"] == "home"
    achievements = [safe("network", 0), safe("id", 3)]
    assert replay.feed(player(troops=dragons, achievements=achievements)) == ["achievement_completed"]
    assert replay.events[-1].metadata["info"] == "id"


def test_trap_02_older_response_of_a_war_follows_a_newer_one() -> None:
    replay = watching(Kind.WAR, war("inWar", FIRST), now=START)
    assert replay.feed(war("inWar", FIRST, SECOND)) == ["war_attack_new"]
    assert replay.feed(war("inWar", FIRST)) == []
    assert replay.feed(war("inWar", FIRST, SECOND)) == []
    assert replay.feed(war("preparation")) == []
    assert replay.feed(war("inWar", FIRST, SECOND, THIRD)) == ["war_attack_new"]
    assert [replay.feed(war("inWar", FIRST)) for _ in range(3)] == [[]] * 3, "accepted silently once it is confirmed"
    assert replay.feed(war("inWar", FIRST, SECOND, THIRD)) == []
    assert orders(replay.events) == Counter([2, 3])


def test_trap_02_older_response_of_a_player_follows_a_newer_one() -> None:
    replay = watching(Kind.PLAYER, player(warStars=7, name="New"))
    assert replay.feed(player(warStars=6, name="Old")) == []
    assert replay.feed(player(warStars=7, name="New")) == []


def test_trap_02_older_response_of_a_clan_follows_a_newer_one() -> None:
    before, now = clan(member(ANN)), clan(member(ANN), member(BOB))
    replay = watching(Kind.CLAN, before)
    assert replay.feed(now) == ["clan_updated", "member_joined"]
    assert replay.feed(before) == [], "the same bytes as before the join"
    assert replay.feed(now) == []


def test_trap_02_response_with_lower_donations_causes_no_leave() -> None:
    replay = watching(Kind.CLAN, clan(member(ANN, donations=9), member(BOB)))
    assert replay.feed(clan(member(ANN, donations=8))) == [], "Bob has not left"
    assert replay.feed(clan(member(ANN, donations=9), member(BOB))) == []


def test_trap_03_empty_or_short_member_list_is_not_evidence() -> None:
    whole = clan(member(ANN), member(BOB), member(CAT))
    replay = watching(Kind.CLAN, whole)
    assert replay.feed({**whole, "memberList": []}) == []
    assert replay.feed({**whole, "memberList": []}) == []
    assert replay.feed({**whole, "memberList": [member(ANN)]}) == []
    assert replay.feed(whole) == []
    short = {**whole, "memberList": [member(ANN), member(CAT)]}
    assert replay.feed(short) == []
    assert replay.feed(short) == ["member_left"], "a second response agrees"
    assert replay.events[-1].metadata["member_tag"] == BOB
    assert replay.feed(clan(member(ANN))) == ["clan_updated", "member_left"], "the member count agrees"


def test_trap_04_ended_war_is_shown_for_days() -> None:
    replay = watching(Kind.WAR, war("inWar", FIRST), now=END - 60)
    assert replay.feed(war("warEnded", FIRST)) == ["war_state_changed"]
    assert replay.feed(war("warEnded", FIRST), after=300) == ["war_ended"]
    assert [replay.feed(war("warEnded", FIRST), after=3600) for _ in range(72)] == [[]] * 72


def test_trap_05_overlapping_wars_are_tracked_separately() -> None:
    drawn = "20261102T080000.000Z"
    replay = watching(Kind.WAR, war("inWar", FIRST, swapped=True), now=START + 3600)
    reported = replay.feed(war("preparation", start=drawn))
    for _ in range(2):
        reported += replay.feed(war("warEnded", FIRST, SECOND, swapped=True), after=130)
    reported += replay.feed(war("inWar", FIRST, start=drawn))
    assert (Counter(reported)["war_new"], Counter(reported)["war_ended"]) == (1, 1)
    attacks = [event.metadata for event in replay.events if "order" in event.metadata]
    assert [(attack["war_id"].split("-")[0], attack["order"]) for attack in attacks] == [
        ("20261101T080000.000Z", 2),
        (drawn, 1),
    ]


def test_trap_06_end_of_a_war_is_often_not_observed() -> None:
    def replaced(responses: dict[str, Any]) -> Json:
        replay = watching(Kind.WAR, war("inWar", FIRST), now=END - 60)
        replay.api.responses |= responses
        assert replay.feed(war("preparation", start=LATER), after=3600)[-3:] == [
            "war_ended",
            "war_new",
            "war_state_changed",
        ]
        return next(event.metadata for event in replay.events if event.event_type.value == "war_ended")

    theirs = f"/clans/{OPPONENT_TAG}/currentwar"
    seen = replaced({theirs: war("warEnded", FIRST, SECOND, swapped=True)})
    assert (seen["result"], seen["observed"], seen["source"]) == ("lose", False, "opponent")
    sides = {"clan": {"tag": CLAN_TAG, "stars": 5}, "opponent": {"tag": OPPONENT_TAG, "stars": 4}}
    log = {"items": [{"result": "win", "endTime": "20261103T070000.000Z", **sides}]}
    logged = replaced({theirs: PrivateWarLogError("private"), f"/clans/{CLAN_TAG}/warlog": log})
    assert (logged["result"], logged["observed"], logged["stars"]) == ("win", False, 5)
    unknown = replaced({theirs: no_war()})
    assert (unknown["result"], unknown["observed"]) == ("unknown", False)


def test_trap_07_maintenance_shifts_the_times_of_a_war() -> None:
    replay = watching(Kind.WAR, war("preparation"), now=START - 60)
    shifted = {"startTime": "20261102T075516.000Z", "endTime": "20261103T075516.000Z"}
    assert replay.feed({**war("preparation"), **shifted}) == [], "it is the same war"
    assert replay.feed({**war("inWar"), **shifted}, after=3316) == ["war_state_changed"]
    assert replay.feed(no_war(), after=3600) == [], "it cannot be over before the shifted end"


def test_trap_08_attack_order_is_unique_only_within_a_war() -> None:
    replay = watching(Kind.WAR, war("inWar", FIRST), now=END - 60)
    replay.feed(war("warEnded", FIRST))
    replay.feed(war("inWar", FIRST, start=LATER), after=86_400)
    assert orders(replay.events) == Counter([1])


def test_trap_09_last_attacks_appear_late() -> None:
    replay = watching(Kind.WAR, war("inWar", FIRST), now=END - 60)
    assert replay.feed(war("warEnded", FIRST)) == ["war_state_changed"]
    assert replay.feed(war("warEnded", FIRST, SECOND), after=120) == ["war_attack_new"]
    assert replay.feed(war("warEnded", FIRST, SECOND), after=120) == [], "an attack that started in time may continue"
    assert replay.feed(war("warEnded", FIRST, SECOND), after=60) == ["war_ended"]
    assert replay.events[-1].metadata["result"] == "lose"


def season_members() -> list[Json]:
    return [member(f"#2P{letter}", donations=500) for letter in "0289PYLQ"]


def with_donations(members: list[Json], donations: int) -> Json:
    return clan(*({**one, "donations": donations} for one in members))


def after_season_reset() -> tuple[Replay, list[Json]]:
    """Return a replay that has reported a season reset, and the members after it."""
    members = season_members()
    replay = watching(Kind.CLAN, clan(*members))
    reset = [{**one, "donations": 0, "donationsReceived": 0} for one in members]
    assert replay.feed(clan(*reset)) == ["season_reset"]
    return replay, reset


def test_trap_10_donations_of_a_rejoined_member_decrease_silently() -> None:
    members = season_members()
    replay = watching(Kind.CLAN, clan(*members))
    assert replay.feed(clan(member("#2P0", donations=0), *members[1:])) == []
    assert replay.feed(clan(member("#2P0", donations=0), *members[1:])) == []
    reset = [{**one, "donations": 0, "donationsReceived": 0} for one in members]
    assert replay.feed(clan(*reset)) == ["season_reset"]


def test_trap_10_donations_after_a_season_reset_count_from_zero() -> None:
    replay, members = after_season_reset()
    members[3] = {**members[3], "donations": 30}
    assert replay.feed(clan(*members)) == ["member_donations"]
    assert replay.events[-1].metadata["donations"] == 30


def test_trap_10_second_season_reset_is_ignored_within_a_week() -> None:
    replay, members = after_season_reset()
    members[3] = {**members[3], "donations": 30}
    replay.feed(clan(*members))
    assert replay.feed(with_donations(members, 40)) == ["member_donations"] * 8
    for _ in range(2):
        assert replay.feed(clan(*members)) == [], "a second reset in the same week is ignored"
    assert replay.feed(with_donations(members, 41), after=7 * 86_400) == ["member_donations"] * 8
    assert replay.feed(with_donations(members, 1)) == ["season_reset"]


def test_trap_10_season_that_ended_between_two_runs_is_reported() -> None:
    replay = watching(Kind.CLAN, clan(member(ANN, donations=20)), now=1_793_000_000.0)
    replay.restart()
    assert replay.feed(clan(member(ANN, donations=300)), after=20 * 86_400) == ["season_reset"]


def test_trap_11_member_ranks_and_trophies_change_constantly() -> None:
    replay = watching(Kind.CLAN, clan(member(ANN), member(BOB)))
    for day in range(1, 20):
        churn = {"trophies": 4000 + day, "clanRank": day, "previousClanRank": day - 1, "builderBaseTrophies": day}
        assert replay.feed(clan(member(ANN, **churn), member(BOB, **churn))) == []


def test_trap_12_levels_decrease_and_items_vanish() -> None:
    old = player(troops=[unit("Barbarian", 10), unit("Ice Minion", 3)])
    replay = watching(Kind.PLAYER, old)
    assert replay.feed(player(troops=[unit("Barbarian", 9)])) == []
    assert replay.feed(old) == [], "a restored level is not an upgrade"
    assert replay.feed(player(troops=[unit("Barbarian", 11), unit("Yeti", 1)])) == ["troop_upgraded"] * 2
    assert [event.metadata["old_level"] for event in replay.events] == [10, None]


def test_trap_13_first_poll_is_silent_and_later_changes_are_catch_up() -> None:
    replay = watching(Kind.WAR, war("inWar", FIRST, SECOND), now=START)
    replay.now += 7200
    replay.restart()
    assert replay.feed(war("inWar", FIRST, SECOND, THIRD), after=0) == ["war_attack_new"]
    assert replay.events[-1].metadata["catch_up"] is True
    assert replay.events[-1].metadata["snapshot_age_seconds"] == 7200


def test_trap_14_maintenance_hides_behind_caches_and_flaps_at_its_end() -> None:
    down, page = MaintenanceError("in maintenance"), ServerError("HTML")
    state, reported = ApiState(ApiStatus.OK, since=0.0), list[str]()
    outcomes: list[tuple[Any, bool]] = [(down, False), (None, False), (down, True), (None, False), (page, True)]
    outcomes += [(None, True), (down, True), (None, True), (None, True), (None, False), (down, False), (None, True)]
    for second, (outcome, from_probe) in enumerate(outcomes, 1):
        state, events = observe_api(state, outcome, at=float(second), from_probe=from_probe)
        reported += [event.event_type.value for event in events]
    assert reported == ["maintenance_start", "maintenance_end"]
    assert state.status is ApiStatus.OK
    for kind, first in ((Kind.CLAN, clan(member(ANN))), (Kind.PLAYER, player())):
        replay = watching(kind, first)
        assert [replay.feed(down) for _ in range(5)] == [[]] * 5, "no error is reported for a resource"


def test_trap_15_wall_clocks_jump() -> None:
    replay = watching(Kind.WAR, war("inWar", FIRST), now=END - 60)
    assert replay.feed(war("inWar", FIRST, SECOND), after=-86_400 * 365) == ["war_attack_new"]
    assert replay.feed(war("warEnded", FIRST, SECOND), after=86_400 * 365 + 61) == ["war_state_changed"]
    assert replay.feed(war("warEnded", FIRST, SECOND), after=300) == ["war_ended"]


def test_trap_16_new_values_and_fields_appear() -> None:
    replay = watching(Kind.WAR, war("preparation"), now=START - 60)
    assert replay.feed({**war("preparation"), "state": "matchmaking", "weather": {"sky": "blue"}}) == []
    assert replay.feed(war("inWar")) == ["war_state_changed"]
    replay = watching(Kind.CLAN, clan(member(ANN), warFrequency="always"))
    assert replay.feed(clan(member(ANN, role="warlord"), warFrequency="sometimes", mood="good")) == [
        "clan_updated",
        "member_role_changed",
    ]
    replay = watching(Kind.PLAYER, player())
    assert replay.feed(player(warPreference="maybe", mood="good")) == [
        "player_war_preference_changed",
        "player_updated",
    ]


def test_trap_18_leave_and_join_can_keep_the_member_count() -> None:
    replay = watching(Kind.CLAN, clan(member(ANN), member(BOB)))
    assert replay.feed(clan(member(ANN), member(CAT))) == ["member_left", "member_joined"]
