"""The recorded responses about clan war leagues."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.clash import NotFoundError
from coc2mqtt.events.compare.war import attack_orders
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from tests.support.leagues import GROUP, OWN, state_of
from tests.support.paths import SHARED
from tests.support.replay import Replay

Json = dict[str, Any]

RECORDED = SHARED / "fixtures"
# The clan in the recorded group without wars.
OTHER = "#GYR89PJ9"

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded responses in ../shared/fixtures")


def recorded(path: str) -> Any:
    return orjson.loads((RECORDED / path).read_bytes())["body"]


def recorded_war(name: str) -> Json:
    war: Json = recorded(f"mockapi/clans/clanwarleagues/{name}.json")
    # The three recordings are of one war, but in the last one the clan has another tag.
    war["clan"]["tag"] = OWN
    return war


def group(name: str) -> Json:
    body: Json = recorded(f"mockapi/clans/leaguegroup/{name}.json")
    return body


@pytest.mark.parametrize("name", ["INWAR", "ENDED"])
def test_recorded_group_is_silent_at_first_sight_and_has_all_clans(name: str) -> None:
    replay = Replay(Kind.CWL, OWN)
    assert replay.feed(group(name)) == []
    assert replay.feed(group(name)) == []
    state = state_of(replay)
    assert (state.clans, state.rounds, state.season) == (8, 7, group(name)["season"])
    assert state.state == ("ended" if name == "ENDED" else "inWar")
    assert state.standings == ()


def test_recorded_group_of_another_clan_without_wars_is_silent() -> None:
    replay = Replay(Kind.CWL, OTHER)
    body = recorded("cocpy/clans/leaguegroup/INWAR_WARSMISSING.json")
    assert replay.feed(body) == []
    assert replay.feed({**body, "season": "2023-07"}) == []
    assert replay.accepted["wars"] == {}


def test_recorded_league_is_reported_from_its_start() -> None:
    not_drawn = ["#0"] * 4
    first = {**group("INWAR"), "state": "preparation"}
    first["rounds"] = [first["rounds"][0], *({"warTags": not_drawn} for _ in range(6))]
    tag = first["rounds"][0]["warTags"][2]
    replay = Replay(Kind.CWL, OWN, now=1_683_622_800.0)
    assert replay.feed(NotFoundError("not found")) == []
    replay.api.responses[f"/clanwarleagues/wars/{tag}"] = recorded_war("PREPARATION")
    assert replay.feed(first) == ["cwl_started", "cwl_round_new"]
    assert replay.events[-1].metadata["start_at"] == "2023-05-10T09:22:58.000+00:00"

    war = recorded_war("INWAR")
    replay.api.responses[f"/clanwarleagues/wars/{tag}"] = war
    types = replay.feed(first, after=90_000.0)
    assert types == ["cwl_round_state_changed", *["cwl_attack_new"] * len(attack_orders(war))]
    assert sorted(event.metadata["order"] for event in replay.events[3:]) == sorted(attack_orders(war))
    positions = {event.metadata["attacker_position"] for event in replay.events[3:]}
    assert positions == set(range(1, 16)), "the recorded map positions have holes"

    replay.api.responses[f"/clanwarleagues/wars/{tag}"] = recorded_war("ENDED")
    assert replay.feed(group("INWAR"), after=100_000.0) == ["cwl_round_state_changed", "cwl_round_ended"]
    ended = replay.events[-1].metadata
    assert (ended["result"], ended["stars"], ended["opponent_stars"], ended["attacks_left"]) == ("lose", 28, 29, 0)
    for event in replay.events:
        metadata_model(event.event_type).model_validate(event.metadata)
        record = EventRecord.of(event)
        assert len(orjson.dumps(record)) < 2000
        assert "None" not in record.summary


def test_recorded_404_is_no_league() -> None:
    replay = Replay(Kind.CWL, OWN)
    assert recorded("mockapi/clans/leaguegroup/NOTFOUND.json") == {"reason": "notFound"}
    assert replay.feed(NotFoundError("not found", status=404)) == []
    assert state_of(replay).state == "none"
    assert replay.api.requests == [GROUP]
