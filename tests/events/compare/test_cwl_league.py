"""The memo of a league, and its standings."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import orjson

from coc2mqtt.events.compare.cwl_diff import Sighting, WarSighting, compare_league
from coc2mqtt.events.compare.cwl_group import read_league
from coc2mqtt.events.compare.cwl_standings import standings
from coc2mqtt.events.resource import Snapshot
from tests.support.leagues import DAY, OWN, START, ScriptedLeague

if TYPE_CHECKING:
    from coc2mqtt.events.compare.diff import CompareResult


def seen(league: ScriptedLeague, at: float) -> Sighting:
    """Return the group and all drawn wars at a time (Unix time)."""
    group = league.group(at)
    assert isinstance(group, dict)
    wars = {tag: WarSighting(war.body(at), at) for tag, war in league.wars.items() if war.preparation <= at}
    return Sighting(group, wars, standings=True)


def played(league: ScriptedLeague, *days: float) -> CompareResult:
    """Compare the responses after each number of days, the first as the baseline."""
    snapshot = None
    for day in days:
        result = compare_league(snapshot, seen(league, START + day * DAY), tag=OWN, at=START + day * DAY)
        snapshot = Snapshot(result.data, result.memo)
    return result


def test_comparing_changes_no_snapshot() -> None:
    league = ScriptedLeague(clans=4)
    league.own(1).attack(league.own(1).start + 60)
    for number in range(2, 7):
        days = [day + 0.5 for day in range(number)]
        before = played(league, *days)
        kept = copy.deepcopy(before)
        at = START + (days[-1] + 1) * DAY
        compare_league(Snapshot(before.data, before.memo), seen(league, at), tag=OWN, at=at)
        assert before == kept


def test_memo_is_stored_as_json_and_read_back() -> None:
    league = ScriptedLeague(clans=4)
    league.own(1).replace(START + 60, 0, 0, "#2PPX")
    league.own(1).attack(league.own(1).start + 60)
    memo = played(league, 0.0, 0.5, 1.5, 2.5).memo
    restored = read_league(orjson.loads(orjson.dumps(memo)))
    assert restored is not None
    assert restored.to_json() == memo["league"]


def test_destruction_decides_between_clans_with_the_same_stars() -> None:
    league = ScriptedLeague(clans=4)
    for number, wars in enumerate(league.rounds, 1):
        for war in wars:
            for side in (0, 1):
                # All wars are ties by stars.
                place = league.clans.index(war.clans[side])
                war.attack(war.start + 60, side=side, by=place, stars=2)
        assert number <= 3
    state = read_league(played(league, 0.5, 5.0).memo)
    assert state is not None
    table = standings(state)
    assert [(one.tag, one.stars, round(one.destruction, 1)) for one in table] == [
        (tag, stars, round(destruction, 1)) for tag, stars, destruction in league.standings()
    ]
    assert [one.position for one in table] == [1, 2, 3, 4]
    assert [(one.wins, one.losses, one.ties) for one in table] == [(3, 0, 0), (2, 1, 0), (1, 2, 0), (0, 3, 0)]


def test_standings_are_unknown_while_a_started_war_is() -> None:
    league = ScriptedLeague(clans=4)
    at = START + 1.5 * DAY
    sighting = seen(league, at)
    missing = next(war.tag for war in league.rounds[0] if OWN not in war.clans)
    wars = {tag: war for tag, war in sighting.wars.items() if tag != missing}
    incomplete = read_league(compare_league(None, sighting._replace(wars=wars), tag=OWN, at=at).memo)
    complete = read_league(compare_league(None, sighting, tag=OWN, at=at).memo)
    assert incomplete is not None
    assert complete is not None
    assert (len(standings(incomplete)), len(standings(complete))) == (0, 4)


def test_standings_are_unknown_if_only_the_own_wars_are_polled() -> None:
    league = ScriptedLeague(clans=4)
    at = START + 1.5 * DAY
    state = read_league(compare_league(None, seen(league, at)._replace(standings=False), tag=OWN, at=at).memo)
    assert state is not None
    assert standings(state) == ()
