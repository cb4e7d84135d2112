"""Any response about a clan war league results only in events and states that can be published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.journal.codec import Compressor, decode_snapshot, encode_snapshot
from tests.fuzz.examples import fuzzed
from tests.fuzz.fake_poller import check_states
from tests.fuzz.malformed import mutated, to_bytes
from tests.support.leagues import DAY, GROUP, HOUR, OWN, LeagueReplay, ScriptedLeague

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject

pytestmark = pytest.mark.fuzz

CWL = Resource(Kind.CWL, OWN)
# A preparation, two battles, their ends, the last battle, and after the league.
TIMES = [60.0, 5 * HOUR, DAY + HOUR, DAY + 9 * HOUR, 2 * DAY + HOUR, 3 * DAY + 2 * HOUR, 4 * DAY + HOUR, 5 * DAY]


def scripted_league() -> ScriptedLeague:
    league = ScriptedLeague(clans=4, size=3)
    for number in (1, 2, 3):
        war = league.own(number)
        war.replace(war.preparation + 4 * HOUR, league.own_side(number), 0, "#2PPX")
        for place in range(3):
            war.attack(war.start + 2 * HOUR * (place + 1), by=place, on=place, side=place % 2)
    return league


def paths(league: ScriptedLeague) -> list[str]:
    return [GROUP, *(f"/clanwarleagues/wars/{league.own(number).tag}" for number in (1, 2, 3))]


def fail(error: Exception, _: Resource) -> None:
    raise error


def check(replay: LeagueReplay, compressor: Compressor, known: int) -> None:
    """Check the snapshot and the events after the first ``known`` ones."""
    for event in replay.events[known:]:
        metadata_model(event.event_type).model_validate(event.metadata)
        assert len(orjson.dumps(EventRecord.of(event))) <= MAX_EVENT_BYTES
    snapshot = replay._state.snapshot(CWL)
    if snapshot is not None:
        stored = decode_snapshot(compressor.compress(encode_snapshot(snapshot)), taken_at=snapshot.taken_at)
        assert stored == snapshot
        check_states(CWL, stored)


@fuzzed(short=60, long=1500)
@given(data=st.data(), standings=st.booleans())
def test_malformed_responses_about_a_league_cause_no_bug(data: DataObject, *, standings: bool) -> None:
    league, compressor = scripted_league(), Compressor()
    replay = LeagueReplay(league, standings=standings)
    object.__setattr__(replay.context, "on_bug", fail)
    if data.draw(st.booleans()):
        replay.poll_at(-HOUR)
    for at in TIMES:
        replay.api.responses.clear()
        for path in data.draw(st.lists(st.sampled_from(paths(league)), max_size=2, unique=True)):
            good: Any = league.response(path, replay.now + at)
            if isinstance(good, dict):
                replay.api.responses[path] = to_bytes(data.draw(mutated(good)))
        known = len(replay.events)
        replay.poll_at(at)
        check(replay, compressor, known)
