"""Stale and wrong responses about clan war leagues, of which the API caches each for ten minutes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from coc2mqtt.clash import NotFoundError
from coc2mqtt.events.event import EventType
from tests.support.leagues import (
    DAY,
    GROUP,
    HOUR,
    MINUTE,
    START,
    LeagueReplay,
    ScriptedLeague,
    poll_until,
    state_of,
    types,
    watched_from_the_start,
)


def test_stale_group_of_the_last_league_starts_nothing() -> None:
    league, second = ScriptedLeague(clans=4), ScriptedLeague(clans=4, name="Q", others="9", start=START + 20 * DAY)

    def play(path: str, at: float) -> Any:
        found = second.response(path, at)
        return league.response(path, at) if isinstance(found, NotFoundError) else found

    replay = LeagueReplay(play, max_age=600.0)
    poll_until(replay, 6 * DAY, begin=-HOUR)
    replay.api._cached.clear()
    assert replay.types_at(20 * DAY + HOUR) == ["cwl_started", "cwl_round_new"]
    old = league.group(START + 7 * DAY)
    assert isinstance(old, dict)
    for stale in (old, NotFoundError("not found"), {"state": "notInWar"}):
        replay.api.responses[GROUP] = stale
        replay.now += 700.0
        assert replay.poll() == []
        assert replay.accepted["group"]["season"] == second.season
        assert replay.accepted["group"]["rounds"][0]["warTags"] == [war.tag for war in second.rounds[0]]
        del replay.api.responses[GROUP]
        replay.now += 700.0
        assert replay.poll() == []
    assert state_of(replay).state == "preparation"


def test_stale_lineup_is_not_a_change_back() -> None:
    league = ScriptedLeague(clans=4)
    war, side = league.own(1), league.own_side(1)
    war.replace(START + 2 * HOUR, side, 0, "#2PPX")
    replay = watched_from_the_start(league, max_age=600.0)
    before = war.body(START + HOUR)
    (event,) = replay.poll_at(3 * HOUR)
    assert event.metadata["side"] == "clan"
    assert event.metadata["added"] == [{"tag": "#2PPX", "name": "Name of #2PPX", "town_hall": 15}]
    assert [one["tag"] for one in event.metadata["removed"]] == ["#2PP0"]
    path = f"/clanwarleagues/wars/{war.tag}"
    replay.api.responses[path] = before
    assert replay.types_at(3 * HOUR + 650) == []
    del replay.api.responses[path]
    assert replay.types_at(3 * HOUR + 1300) == []
    # A leader who changes the line-up back is believed after a while.
    replay.api.responses[path] = before
    assert replay.types_at(3 * HOUR + 1950) == ["cwl_lineup_changed"]


def test_lineup_of_the_opponent_changes_until_the_battle_starts() -> None:
    league = ScriptedLeague(clans=4)
    war, side = league.own(1), league.own_side(1)
    war.replace(war.start - MINUTE, 1 - side, 3, "#8QX")
    replay = watched_from_the_start(league)
    events = [one for one in replay.poll_at(DAY + HOUR) if one.metadata["round"] == 1]
    assert types(events) == ["cwl_lineup_changed", "cwl_round_state_changed"]
    assert (events[0].metadata["side"], events[0].metadata["added"][0]["tag"]) == ("opponent", "#8QX")


def test_lost_attacks_are_believed_only_after_the_caches_have_expired() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    war.attack(war.start + HOUR)
    replay = watched_from_the_start(league, max_age=600.0)
    assert "cwl_attack_new" in replay.types_at(DAY + 2 * HOUR)
    path = f"/clanwarleagues/wars/{war.tag}"
    replay.api.responses[path] = war.body(war.start + MINUTE)
    for at, attacks in ((650, 1), (1300, 0)):
        assert replay.types_at(DAY + 2 * HOUR + at) == []
        assert replay.accepted["wars"][war.tag]["clan"]["attacks"] == attacks * (war.attacks[0].side == 0)
    del replay.api.responses[path]
    assert "cwl_attack_new" not in replay.types_at(DAY + 2 * HOUR + 2000), "it was reported before"


def test_random_order_of_polls_reports_each_attack_once() -> None:
    league = ScriptedLeague(clans=4)
    rng = random.Random(1)
    for number in (1, 2, 3):
        for place in range(5):
            league.own(number).attack(league.own(number).start + rng.uniform(0, DAY), by=place, on=place)
    replay = watched_from_the_start(league)
    events = [event for at in sorted(rng.uniform(0, 5 * DAY) for _ in range(40)) for event in replay.poll_at(at)]
    attacks = [(event.metadata["war_id"], event.metadata["order"]) for event in events if "order" in event.metadata]
    assert len(attacks) == len(set(attacks)) == 15


def test_huge_numbers_are_removed() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    war.attack(war.start + HOUR)
    war.attack(war.start + HOUR, by=1, on=1)
    replay = watched_from_the_start(league)
    odd = war.body(war.end + MINUTE)
    for side in ("clan", "opponent"):
        odd[side]["stars"] = 2**64 - 1
        for member in odd[side]["members"]:
            for attack in member.get("attacks", []):
                attack["stars"] = 2**64 - 1
    replay.api.responses[f"/clanwarleagues/wars/{war.tag}"] = odd
    events = replay.poll_at(2 * DAY + HOUR)
    assert [event.metadata["stars"] for event in events if "order" in event.metadata] == [None, None]
    assert events[-1].event_type.value != "poll_error"


@pytest.mark.parametrize("state", ["inWar", "warCanceled"])
def test_war_whose_end_is_never_shown_does_not_prevent_the_next_league(state: str) -> None:
    league, second = ScriptedLeague(clans=4), ScriptedLeague(clans=4, name="Q", others="9", start=START + 20 * DAY)
    stuck = league.own(3)

    def play(path: str, at: float) -> Any:
        if path.endswith(stuck.tag) and at > stuck.start + HOUR:
            return {**stuck.body(stuck.start + HOUR), "state": state}
        found = second.response(path, at)
        return league.response(path, at) if isinstance(found, NotFoundError) else found

    replay = LeagueReplay(play)
    events = poll_until(replay, 7 * DAY, begin=-HOUR)
    assert types(events)[-2:] == ["cwl_round_ended", "cwl_ended"]
    assert (events[-2].metadata["result"], events[-1].metadata["complete"]) == ("unknown", False)
    assert state_of(replay).state == "ended"
    events = poll_until(replay, 25 * DAY, begin=7 * DAY)
    assert types(events)[:2] == ["cwl_started", "cwl_round_new"]
    assert events[-1].metadata["complete"]


def test_group_that_is_missing_for_an_hour_after_a_restart_continues() -> None:
    league = ScriptedLeague(clans=6)
    replay = watched_from_the_start(league)
    poll_until(replay, DAY + HOUR, begin=HOUR)
    replay.restart()
    replay.api.responses[GROUP] = NotFoundError("not found", status=404)
    events = poll_until(replay, 4 * DAY, begin=4 * DAY - HOUR, step=600.0)
    del replay.api.responses[GROUP]
    events += poll_until(replay, 7 * DAY, begin=4 * DAY + 600)
    ended = [event for event in events if event.event_type is EventType.CWL_ENDED]
    assert [event.metadata["complete"] for event in ended] == [True]
    assert events[-1] is ended[0]


def test_old_group_without_wars_is_no_news() -> None:
    league = ScriptedLeague()
    league.tags_gone_at = START
    replay = LeagueReplay(league)
    assert poll_until(replay, 31 * DAY, begin=30 * DAY) == []
    replay = LeagueReplay(league, at=-HOUR)
    assert replay.types_at(-HOUR) == []
    assert poll_until(replay, 31 * DAY, begin=30 * DAY) == []


def test_group_of_one_clan_does_not_end_at_once() -> None:
    league = ScriptedLeague(clans=4)
    replay = LeagueReplay(league)
    replay.poll_at(-HOUR)
    body = league.group(START + 60)
    assert isinstance(body, dict)
    replay.api.responses[GROUP] = {**body, "clans": body["clans"][:1], "rounds": []}
    assert replay.types_at(60) == ["cwl_started"]
    assert poll_until(replay, DAY, begin=HOUR) == []
