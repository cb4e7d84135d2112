"""The first sight of a clan war league is silent in each of its phases."""

from __future__ import annotations

import pytest

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
)


@pytest.mark.parametrize("round_number", [1, 4, 7])
def test_first_sight_in_the_middle_of_a_league_is_silent(round_number: int) -> None:
    league = ScriptedLeague()
    for number in range(1, 8):
        war, side = league.own(number), league.own_side(number)
        war.attack(war.start + HOUR, stars=3, side=side)
        war.attack(war.start + 4 * HOUR, by=1, on=1, stars=1, side=side)
    replay = LeagueReplay(league)
    assert replay.types_at(round_number * DAY + 2 * HOUR) == []
    # The rounds that were over long ago are found by the next polls.
    for minute in range(1, 5):
        assert replay.types_at(round_number * DAY + 2 * HOUR + minute * MINUTE) == []
    events = poll_until(replay, 9 * DAY, begin=round_number * DAY + 3 * HOUR)
    attacks = [event.metadata["round"] for event in events if event.event_type is EventType.CWL_ATTACK_NEW]
    assert attacks == [round_number, *(number for number in range(round_number + 1, 8) for _ in range(2))]
    (end,) = (event.metadata for event in events if event.event_type is EventType.CWL_ENDED)
    assert (end["stars"], end["attacks"], end["missed"], end["won"]) == (7 * 14, 14, 21, 7), "all rounds count"
    assert end["top_members"][0]["stars"] == 21


def test_first_sight_of_an_ended_league_is_silent_for_good() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league)
    assert poll_until(replay, 12 * DAY, begin=9 * DAY) == []
    assert state_of(replay).state == "ended"
    assert state_of(replay).stars == 0


def test_first_sight_after_the_last_battle_is_silent_although_the_group_shows_no_end() -> None:
    league = ScriptedLeague()
    group = league.group(START + 7 * DAY + HOUR)
    replay = LeagueReplay(league)
    replay.api.responses[GROUP] = group
    assert poll_until(replay, 12 * DAY, begin=8 * DAY + MINUTE) == []
    assert state_of(replay).state == "ended"
