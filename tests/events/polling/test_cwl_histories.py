"""Scripted leagues, polled as the scheduler would, with lost polls, stale responses and restarts."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.compare.cwl_state import cwl_state
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Resource
from tests.fuzz.examples import fuzzed
from tests.support.leagues import OWN, START, LeagueReplay, ScriptedLeague

if TYPE_CHECKING:
    from coc2mqtt.events.compare.cwl_state import CwlState
    from coc2mqtt.events.resource import Snapshot
    from tests.support.leagues import ScriptedWar

SEEDS = st.integers(0, 2**32)
MINUTE, HOUR = 60.0, 3600.0
# Short days keep a league at a few hundred polls.
DAY = 4 * HOUR
INTERVAL = 600.0
# The life of a cache entry: two servers may return a state that is twice as old.
MAX_AGE = 300.0


def random_league(rng: random.Random) -> ScriptedLeague:
    """Return a league with gaps, overlaps, line-up changes and late attacks, which may disappear at its end."""
    league = ScriptedLeague(clans=rng.randint(4, 8), size=3, day=DAY, own_first=rng.random() < 0.5)
    for number in range(1, len(league.rounds) + 1):
        if rng.random() < 0.3:
            league.shift(number, end=rng.choice([25 * MINUTE, 55 * MINUTE]))
        for war in league.rounds[number - 1]:
            if OWN in war.clans and rng.random() < 0.6:
                side, place = rng.randrange(2), rng.randrange(3)
                replaced_at = rng.uniform(war.preparation + MINUTE, war.start - MINUTE)
                war.replace(replaced_at, side, place, f"{war.clans[side]}X")
            for _ in range(rng.randint(0, 6)):
                side = rng.randrange(2)
                used = {attack.attacker for attack in war.attacks}
                free = [place for place in range(3) if war.lineup(side, war.start)[place] not in used]
                if free:
                    # The last attacks are shown minutes after the end.
                    at = rng.choice([rng.uniform(war.start, war.end), war.end + rng.uniform(0, 4 * MINUTE)])
                    war.attack(at, by=rng.choice(free), on=rng.randrange(3), stars=rng.randrange(4), side=side)
    if rng.random() < 0.3:
        league.tags_gone_at = league.end - rng.uniform(0, DAY)
    if rng.random() < 0.5:
        league.gone_at = league.end + rng.uniform(-HOUR, 2 * DAY)
    return league


@dataclass
class Run:
    """A replay with the attacks and wars that were seen at first sight."""

    replay: LeagueReplay
    known_attacks: set[tuple[str, int]] = field(default_factory=set)
    first_poll: float = 0.0

    @property
    def snapshot(self) -> Snapshot:
        snapshot = self.replay._state.snapshot(Resource(Kind.CWL, OWN))
        assert snapshot is not None
        return snapshot

    @property
    def state(self) -> CwlState:
        return cwl_state(self.snapshot, OWN)

    def own_wars(self, league: ScriptedLeague) -> list[ScriptedWar]:
        """Return the clan's wars, without those of rounds whose tags had disappeared before any poll saw them."""
        own = [war for war in league.wars.values() if OWN in war.clans]
        seen = {tag for tags in self.snapshot.memo.get("league", {"tags": []})["tags"] for tag in tags}
        if min(league.tags_gone_at, league.gone_at) == float("inf"):
            assert {war.tag for war in own} <= seen
        return [war for war in own if war.tag in seen]


def play(league: ScriptedLeague, rng: random.Random, *, first: float, standings: bool, stale: bool) -> Run:
    """Poll a league from ``first`` (Unix time) until its end is known."""
    replay = LeagueReplay(league, max_age=MAX_AGE, rng=rng if stale else None, standings=standings)
    run = Run(replay, first_poll=first)
    loss, restarts = rng.choice([0.0, 0.3, 0.9]), rng.choice([0.0, 0.02])
    due = first
    while due < league.end + DAY:
        replay.now = due
        events = replay.poll()
        if due == first:
            assert events == []
            run.known_attacks = shown_attacks(league, replay)
        # As the scheduler: the next poll is an interval later, earlier if it is wanted, but not within the cache.
        due += max(min(INTERVAL, replay.latest), replay.earliest) + rng.uniform(0, 1)
        while rng.random() < loss:
            due += INTERVAL
        if rng.random() < restarts:
            due += rng.choice([10 * MINUTE, DAY])
            replay.restart()
    # The last polls are not lost.
    replay.now = due
    for _ in range(20):
        replay.now += MAX_AGE + MINUTE
        replay.poll()
    return run


def shown_attacks(league: ScriptedLeague, replay: LeagueReplay) -> set[tuple[str, int]]:
    """Return the attacks of the clan's wars that the last responses showed."""
    found = set()
    for (path, _), (_, body) in replay.api._cached.items():
        tag = path.rpartition("/")[2]
        if tag in league.wars and isinstance(body, dict) and OWN in league.wars[tag].clans:
            for side in ("clan", "opponent"):
                for member in body[side]["members"]:
                    found |= {(tag, attack["order"]) for attack in member.get("attacks", [])}
    return found


def of_type(run: Run, event_type: EventType) -> list[Event]:
    return [event for event in run.replay.events if event.event_type is event_type]


def check(league: ScriptedLeague, run: Run, *, standings: bool) -> None:
    check_attacks(league, run)
    check_rounds(league, run)
    check_order(run)
    check_end(league, run, standings=standings)
    for event in run.replay.events:
        metadata_model(event.event_type).model_validate(event.metadata)
        assert "None" not in EventRecord.of(event).summary


def check_attacks(league: ScriptedLeague, run: Run) -> None:
    times = {(war.tag, attack.order): attack.at for war in run.own_wars(league) for attack in war.attacks}
    reported = Counter(
        (one.metadata["war_id"], one.metadata["order"]) for one in of_type(run, EventType.CWL_ATTACK_NEW)
    )
    assert set(reported.values()) <= {1}
    assert reported.keys() <= times.keys() - run.known_attacks
    # The first responses may have been stale, or those about rounds that were over were left for the next poll.
    certain = {key for key, at in times.items() if at > run.first_poll}
    assert certain <= reported.keys()


def check_rounds(league: ScriptedLeague, run: Run) -> None:
    own = run.own_wars(league)
    silent = {war.tag for war in own if war.preparation <= run.first_poll}
    new = Counter(event.metadata["war_id"] for event in of_type(run, EventType.CWL_ROUND_NEW))
    # A round that was drawn just before the first poll may have been hidden by the cache.
    assert set(new.values()) <= {1}
    assert {war.tag for war in own} - silent <= new.keys()
    ended = Counter(event.metadata["war_id"] for event in of_type(run, EventType.CWL_ROUND_ENDED))
    assert set(ended.values()) <= {1}
    assert ended.keys() >= {war.tag for war in own if war.end > run.first_poll}
    for event in of_type(run, EventType.CWL_ROUND_ENDED):
        war = league.wars[event.metadata["war_id"]]
        side = war.clans.index(OWN)
        assert (event.metadata["stars"], event.metadata["opponent_stars"]) == (
            war.score(side, float("inf"))[0],
            war.score(1 - side, float("inf"))[0],
        )


def check_order(run: Run) -> None:
    """Within a round: its opponent, line-ups, the battle, attacks, the end of the battle, and the result."""
    ranks = {
        EventType.CWL_STARTED: 0,
        EventType.CWL_ROUND_NEW: 1,
        EventType.CWL_LINEUP_CHANGED: 2,
        EventType.CWL_ROUND_ENDED: 6,
        EventType.CWL_ENDED: 7,
    }
    rounds: dict[int, list[int]] = {}
    for event in run.replay.events:
        rank = ranks.get(event.event_type, 4)
        if event.event_type is EventType.CWL_ROUND_STATE_CHANGED:
            rank = 3 if event.metadata["war_state_to"] == "inWar" else 5
        if event.event_type is EventType.CWL_ATTACK_NEW and rounds.get(event.metadata["round"], [])[-1:] == [5]:
            rank = 5  # an attack that is shown after the end
        rounds.setdefault(event.metadata.get("round", 0), []).append(rank)
    for seen in rounds.values():
        assert all(before <= after for before, after in itertools.pairwise(seen))


def check_end(league: ScriptedLeague, run: Run, *, standings: bool) -> None:
    found = of_type(run, EventType.CWL_ENDED)
    if not found:
        # The end was seen at first sight, or the group had disappeared.
        assert run.first_poll > min(league.end - DAY, league.gone_at, league.tags_gone_at)
        assert all(war.end <= run.first_poll for war in run.own_wars(league))
        return
    (ended,) = found
    table = league.standings()
    assert run.replay.events[-1] is ended
    complete = len(run.own_wars(league)) == sum(OWN in war.clans for war in league.wars.values())
    assert ended.metadata["complete"] == complete
    if not complete:
        return
    own = next(one for one in table if one[0] == OWN)
    assert (ended.metadata["stars"], ended.metadata["destruction"]) == (own[1], pytest.approx(own[2]))
    if standings:
        position = ended.metadata["position"]
        assert position is not None
        assert table[position - 1][1:] == (own[1], pytest.approx(own[2]))
        if run.state.standings:
            shown = [(one.stars, round(one.destruction, 1)) for one in run.state.standings]
            assert shown == [(stars, round(value, 1)) for _, stars, value in table]


@pytest.mark.parametrize("seed", range(6))
def test_complete_league_is_reported_once(seed: int) -> None:
    rng = random.Random(seed)
    league, standings = random_league(rng), seed % 2 == 0
    run = play(league, rng, first=START - HOUR, standings=standings, stale=False)
    check(league, run, standings=standings)


@pytest.mark.slow
@fuzzed(short=30, long=600)
@given(seed=SEEDS, standings=st.booleans())
def test_partial_league_with_stale_responses_and_restarts_is_reported_once(seed: int, *, standings: bool) -> None:
    rng = random.Random(seed)
    league = random_league(rng)
    first = rng.choice([START - HOUR, rng.uniform(START, league.end + HOUR)])
    run = play(league, rng, first=first, standings=standings, stale=True)
    check(league, run, standings=standings)
