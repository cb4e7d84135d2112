"""The traps of clan war leagues: what the API really returns, and what other programs got wrong."""

from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.clash import NotFoundError, ServerError
from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import Kind, Resource
from tests.support.bodies import clan
from tests.support.leagues import (
    DAY,
    GROUP,
    HOUR,
    MINUTE,
    OWN,
    START,
    LeagueReplay,
    ScriptedLeague,
    poll_until,
    snapshot_of,
    state_of,
    types,
    watched_from_the_start,
)
from tests.support.replay import Replay

TIMEOUT = ServerError("timeout", status=504)


def test_searching_body_without_clans_is_the_sign_up_and_no_event() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league)
    assert replay.types_at(-2 * HOUR) == []
    assert state_of(replay).state == "none"
    replay.api.responses[GROUP] = {"state": "notInWar"}
    assert replay.types_at(-HOUR) == []
    assert state_of(replay).state == "searching"
    del replay.api.responses[GROUP]
    assert replay.types_at(60) == ["cwl_started", "cwl_round_new"]
    assert state_of(replay).state == "preparation"


def test_timeout_while_searching_is_neither_an_outage_nor_a_failure() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league)
    replay.api.responses[GROUP] = TIMEOUT
    assert replay.types_at(-3 * HOUR) == []
    assert replay.latest == 60.0
    assert replay._state.snapshot(Resource(Kind.CWL, OWN)) is None, "a timeout is not a first sight"
    del replay.api.responses[GROUP]
    assert replay.types_at(-2 * HOUR) == []
    replay.api.responses[GROUP] = TIMEOUT
    assert replay.types_at(-HOUR) == []
    assert snapshot_of(replay).memo == {}
    del replay.api.responses[GROUP]
    assert replay.types_at(60) == ["cwl_started", "cwl_round_new"]
    # Later, the known wars are polled although the group is not shown.
    replay.api.responses[GROUP] = TIMEOUT
    assert replay.types_at(DAY + HOUR) == ["cwl_round_state_changed"]


def test_two_own_wars_in_battle_are_both_reported() -> None:
    league = ScriptedLeague()
    league.shift(1, end=55 * MINUTE)
    first, second = league.own(1), league.own(2)
    first.attack(first.end - 5 * MINUTE, by=4)
    second.attack(second.start + 10 * MINUTE, by=0)
    replay = watched_from_the_start(league)
    replay.poll_at(DAY + HOUR)
    replay.poll_at(DAY + 2 * HOUR)
    assert {war.state(START + 2 * DAY + 30 * MINUTE) for war in (first, second)} == {"inWar"}
    events = replay.poll_at(2 * DAY + 30 * MINUTE)
    assert [(event.event_type.value, event.metadata["round"]) for event in events] == [
        ("cwl_round_state_changed", 2),
        ("cwl_attack_new", 2),
        ("cwl_round_new", 3),
    ]
    state = state_of(replay)
    assert state.current is not None
    assert state.next is not None
    assert (state.state, state.current.number, state.next.number) == ("inWar", 1, 2)
    assert set(replay.accepted["wars"]) == {league.own(number).tag for number in (1, 2, 3)}
    events = replay.poll_at(2 * DAY + 53 * MINUTE)
    assert [(event.event_type.value, event.metadata["round"]) for event in events] == [("cwl_attack_new", 1)]


def test_gap_between_two_battles_is_no_end() -> None:
    league = ScriptedLeague()
    for number in range(2, 8):
        league.shift(number, start=30 * MINUTE, end=30 * MINUTE)
    replay = watched_from_the_start(league)
    replay.poll_at(DAY + HOUR)
    at = 2 * DAY + 15 * MINUTE
    assert (league.own(1).state(START + at), league.own(2).state(START + at)) == ("warEnded", "preparation")
    group = league.group(START + at)
    assert isinstance(group, dict)
    assert group["state"] == "preparation"
    events = replay.poll_at(at)
    assert [(event.event_type.value, event.metadata["round"]) for event in events] == [
        ("cwl_round_state_changed", 1),
        ("cwl_round_ended", 1),
    ]
    state = state_of(replay)
    assert state.current is not None
    assert (state.state, state.current.number, state.next) == ("preparation", 2, None)
    assert replay.types_at(2 * DAY + HOUR) == ["cwl_round_state_changed", "cwl_round_new"]


@pytest.mark.parametrize(("clans", "rounds"), [(8, 7), (6, 5), (4, 3)])
def test_number_of_rounds_is_one_less_than_that_of_clans(clans: int, rounds: int) -> None:
    league = ScriptedLeague(clans=clans)
    replay = watched_from_the_start(league)
    assert (state_of(replay).rounds, state_of(replay).clans) == (rounds, clans)
    started = replay.events[0].metadata
    assert (started["rounds"], len(started["clans"]), started["team_size"]) == (rounds, clans, 5)
    events = poll_until(replay, (rounds + 2) * DAY, begin=HOUR)
    assert [event.metadata["round"] for event in events if event.event_type is EventType.CWL_ROUND_ENDED] == [
        *range(1, rounds + 1)
    ]
    assert types(events)[-1] == "cwl_ended"


def test_season_name_does_not_identify_a_league() -> None:
    league, second = ScriptedLeague(clans=4), ScriptedLeague(clans=4, name="Q", others="9", start=START + 8 * DAY)
    league.gone_at = START + 7 * DAY
    second.season = league.season

    def play(path: str, at: float) -> Any:
        found = second.response(path, at)
        return league.response(path, at) if isinstance(found, NotFoundError) else found

    replay = LeagueReplay(play)
    events = poll_until(replay, 2 * DAY, begin=-HOUR)
    # Another name for the same league.
    league.season = "2026-10-03"
    events += poll_until(replay, 14 * DAY, begin=2 * DAY)
    names = types(events)
    assert (names.count("cwl_started"), names.count("cwl_round_new"), names.count("cwl_ended")) == (2, 6, 2)


def test_tags_that_return_to_zero_do_not_lose_the_last_rounds() -> None:
    league = ScriptedLeague(clans=4)
    last = league.own(3)
    last.attack(last.end - HOUR)
    league.tags_gone_at = last.end - 2 * HOUR
    replay = watched_from_the_start(league)
    events = poll_until(replay, 5 * DAY, begin=HOUR)
    assert types(events)[-4:] == ["cwl_attack_new", "cwl_round_state_changed", "cwl_round_ended", "cwl_ended"]
    assert events[-1].metadata["complete"]
    assert state_of(replay).state == "ended"


def test_group_that_disappears_after_its_end_is_a_normal_end() -> None:
    league = ScriptedLeague(clans=4)
    league.gone_at = START + 5 * DAY
    replay = watched_from_the_start(league)
    events = poll_until(replay, 6 * DAY, begin=HOUR)
    assert types(events)[-1] == "cwl_ended"
    assert state_of(replay).state == "none"
    assert not {"poll_error", "watch_unavailable"} & set(types(events))


@pytest.mark.parametrize("own_first", [True, False])
def test_own_clan_may_be_the_opponent(own_first: bool) -> None:
    league = ScriptedLeague(clans=4, own_first=own_first)
    war, side = league.own(1), league.own_side(1)
    war.attack(war.start + HOUR, by=0, stars=3, side=side)
    war.attack(war.start + 2 * HOUR, by=1, stars=1, side=1 - side)
    replay = watched_from_the_start(league)
    events = [*replay.poll_at(DAY + 3 * HOUR), *replay.poll_at(2 * DAY + HOUR)]
    attacks = [event.metadata for event in events if event.event_type is EventType.CWL_ATTACK_NEW]
    assert [(one["side"], one["attacker_tag"][:4], one["stars"]) for one in attacks] == [
        ("clan", OWN, 3),
        ("opponent", attacks[1]["opponent_tag"], 1),
    ]
    (ended,) = (event for event in events if event.event_type is EventType.CWL_ROUND_ENDED)
    assert (ended.metadata["result"], ended.metadata["stars"], ended.metadata["opponent_stars"]) == ("win", 3, 1)
    assert {event.name for event in replay.events} == {f"Name of {OWN}"}


def test_missing_number_of_attacks_per_member_means_one() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    assert "attacksPerMember" not in war.body(war.start)
    war.attack(war.start + HOUR, by=0, side=league.own_side(1))
    replay = watched_from_the_start(league)
    replay.poll_at(DAY + 2 * HOUR)
    ended = replay.poll_at(2 * DAY + HOUR)
    (metadata,) = (event.metadata for event in ended if event.event_type is EventType.CWL_ROUND_ENDED)
    assert metadata["attacks_left"] == 4
    assert [one["attacks_left"] for one in metadata["members_attacks_left"]] == [1, 1, 1, 1]


def test_map_positions_with_holes_become_places_in_the_lineup() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    assert [member["mapPosition"] for member in war.body(war.start)["clan"]["members"]] == [2, 5, 8, 11, 14]
    war.attack(war.start + HOUR, by=4, on=2)
    replay = watched_from_the_start(league)
    (attack,) = (one for one in replay.poll_at(DAY + 2 * HOUR) if one.event_type is EventType.CWL_ATTACK_NEW)
    assert (attack.metadata["attacker_position"], attack.metadata["defender_position"]) == (5, 3)


def test_bonus_is_only_for_a_won_war_after_its_end() -> None:
    league = ScriptedLeague(clans=4)
    for number, (ours, theirs) in enumerate([(3, 1), (2, 2), (1, 3)], 1):
        war, side = league.own(number), league.own_side(number)
        war.attack(war.start + HOUR, stars=ours, side=side)
        war.attack(war.start + HOUR, stars=theirs, side=1 - side)
    replay = watched_from_the_start(league, standings=True)
    replay.poll_at(DAY + 2 * HOUR)
    assert state_of(replay).stars == 3, "the clan leads, but the battle is not over"
    events = poll_until(replay, 6 * DAY, begin=DAY + 3 * HOUR)
    ended = [event.metadata for event in events if event.event_type is EventType.CWL_ROUND_ENDED]
    assert [(one["result"], one["bonus_stars"], one["total_stars"]) for one in ended] == [
        ("win", 10, 13),
        ("tie", 0, 15),
        ("lose", 0, 16),
    ]
    assert state_of(replay).stars == 16
    (end,) = (event.metadata for event in events if event.event_type is EventType.CWL_ENDED)
    assert (end["won"], end["lost"], end["tied"], end["stars"], end["missed"]) == (1, 1, 1, 16, 12)


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [(48000000, 48000008, "seeded"), (48000008, 48000009, "promoted"), (48000009, 48000008, "demoted")],
)
def test_league_of_a_clan_without_one_is_seeded_at_its_sign_up(before: int, after: int, direction: str) -> None:
    replay = Replay(Kind.CLAN, OWN)
    replay.feed(clan(warLeague={"id": before, "name": "Old League"}))
    replay.feed(clan(warLeague={"id": after, "name": "New League"}))
    updated, changed = replay.events
    assert changed.event_type is EventType.CLAN_WAR_LEAGUE_CHANGED
    assert changed.metadata == {
        "old_id": before,
        "old_name": "Old League",
        "new_id": after,
        "new_name": "New League",
        "direction": direction,
        "season": None,
        "position": None,
    }
    assert updated.metadata["caused_by"] == "clan_war_league_changed"


def test_league_that_is_seeded_late_is_that_of_the_group() -> None:
    league = ScriptedLeague(clans=4)
    own = Replay(Kind.CLAN, OWN)
    own.feed(clan(warLeague={"id": 48000000, "name": "Unranked"}))
    replay = LeagueReplay(league)
    replay.share(own)
    replay.poll_at(-HOUR)
    replay.poll_at(60)
    assert replay.events[0].metadata["league_name"] == "Unranked"
    own.feed(clan(warLeague={"id": 48000004, "name": "Silver League III"}))
    replay.poll_at(600)
    assert (state_of(replay).league_id, state_of(replay).league) == (48000004, "Silver League III")
    replay.poll_at(DAY + HOUR)
    assert (state_of(replay).league_id, state_of(replay).league) == (48000004, "Silver League III")
    poll_until(replay, 6 * DAY, begin=DAY + 2 * HOUR)
    own.feed(clan(warLeague={"id": 48000005, "name": "Silver League II"}))
    replay.poll_at(7 * DAY)
    assert state_of(replay).league == "Silver League III", "the promotion is to the next league"
    seeded, promoted = (one for one in own.events if one.event_type is EventType.CLAN_WAR_LEAGUE_CHANGED)
    assert (seeded.metadata["direction"], promoted.metadata["direction"]) == ("seeded", "promoted")
    assert promoted.metadata["season"] == league.season


def test_league_of_a_clan_that_is_polled_later_is_added() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league)
    replay.poll_at(3 * DAY + HOUR)
    assert state_of(replay).league is None
    own = Replay(Kind.CLAN, OWN)
    own._state = replay._state
    own.restart()
    own.feed(clan(warLeague={"id": 48000004, "name": "Silver League III"}))
    assert replay.types_at(3 * DAY + HOUR + 600) == []
    assert state_of(replay).league == "Silver League III"


def test_position_of_the_last_league_is_in_the_promotion() -> None:
    league = ScriptedLeague(clans=4)
    for number in (1, 2, 3):
        league.own(number).attack(league.own(number).start + HOUR, side=league.own_side(number))
    own = Replay(Kind.CLAN, OWN)
    own.feed(clan(warLeague={"id": 48000008, "name": "Gold League II"}))
    replay = LeagueReplay(league, standings=True)
    replay.share(own)
    poll_until(replay, 6 * DAY, begin=-HOUR)
    own.feed(clan(warLeague={"id": 48000009, "name": "Gold League I"}))
    assert (own.events[-1].metadata["season"], own.events[-1].metadata["position"]) == (league.season, 1)


def test_last_attack_that_arrives_with_the_end_is_reported_before_it() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    war.attack(war.end - MINUTE)
    replay = watched_from_the_start(league)
    assert replay.types_at(DAY + HOUR) == ["cwl_round_state_changed", "cwl_round_new"]
    events = [event for event in replay.poll_at(2 * DAY + 30 * MINUTE) if event.metadata["round"] == 1]
    assert types(events) == ["cwl_attack_new", "cwl_round_state_changed", "cwl_round_ended"]
    # The state repeats what the end says.
    assert events[1].metadata["caused_by"] == "cwl_round_ended"


def test_attack_that_is_counted_after_the_end_is_in_the_result() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    war.attack(war.end + 4 * MINUTE, side=league.own_side(1))
    replay = watched_from_the_start(league)
    replay.poll_at(DAY + HOUR)
    assert [one for one in replay.poll_at(2 * DAY + 1 * MINUTE) if one.event_type is EventType.CWL_ROUND_ENDED] == []
    assert [one.event_type.value for one in replay.poll_at(2 * DAY + 6 * MINUTE)] == ["cwl_attack_new"]
    (ended,) = replay.poll_at(2 * DAY + 8 * MINUTE)
    assert (ended.event_type, ended.metadata["stars"]) == (EventType.CWL_ROUND_ENDED, 2)


@pytest.mark.parametrize("missed", [0, 1])
def test_round_without_attacks_left_ends_at_once(missed: int) -> None:
    league = ScriptedLeague(clans=2, size=5)
    war = league.own(1)
    for place in range(5):
        for side in (0, 1):
            if (side, place) != (1, 5 - missed):
                war.attack(war.end - 60, by=place, on=place, side=side)
    replay = LeagueReplay(league)
    for at in (0.0, war.start + 60 - START):
        replay.poll_at(at)
    types = replay.types_at(war.end + 1 - START)
    assert ("cwl_round_ended" in types) == ("cwl_ended" in types) == (not missed)


def test_last_round_is_reported_if_the_group_is_gone_after_a_restart() -> None:
    league = ScriptedLeague(clans=4)
    last, side = league.own(3), league.own_side(3)
    last.attack(last.end - 2 * HOUR, stars=3, side=side)
    league.gone_at = last.end + HOUR
    replay = watched_from_the_start(league)
    poll_until(replay, 3 * DAY + HOUR, begin=HOUR)
    replay.restart()
    events = replay.poll_at(9 * DAY)
    assert types(events) == ["cwl_attack_new", "cwl_round_state_changed", "cwl_round_ended", "cwl_ended"]
    assert all(event.metadata["catch_up"] for event in events)
    assert (events[2].metadata["result"], events[3].metadata["complete"]) == ("win", True)


def test_league_whose_group_disappears_too_early_ends_incomplete() -> None:
    league = ScriptedLeague(clans=4)
    league.gone_at = START + DAY - HOUR
    replay = watched_from_the_start(league)
    replay.poll_at(DAY + 2 * HOUR)
    events = poll_until(replay, 4 * DAY, begin=DAY + 3 * HOUR)
    # The second round had not been seen.
    assert types(events) == ["cwl_round_state_changed", "cwl_round_ended", "cwl_ended"]
    assert not events[-1].metadata["complete"]


def test_next_league_starts_after_the_unreported_end_of_the_last_one() -> None:
    league, second = ScriptedLeague(clans=4), ScriptedLeague(clans=4, name="Q", others="9", start=START + 20 * DAY)
    league.gone_at = START + 10 * DAY

    def play(path: str, at: float) -> Any:
        found = second.response(path, at)
        return league.response(path, at) if isinstance(found, NotFoundError) else found

    replay = LeagueReplay(play)
    poll_until(replay, 3 * DAY + HOUR, begin=-HOUR)
    replay.restart()
    events = replay.poll_at(20 * DAY + 2 * HOUR)
    assert types(events) == [
        *("cwl_round_state_changed", "cwl_round_ended", "cwl_ended", "cwl_started", "cwl_round_new"),
    ]
    assert {event.metadata["round"] for event in events[:2]} == {3}
    assert events[-1].metadata["war_id"] == second.own(1).tag
