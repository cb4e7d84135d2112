"""The retained state of a clan's raid weekend, and a player's part in it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.player import player_raid_payload
from coc2mqtt.mqtt.payloads.raid import RaidPayload
from coc2mqtt.mqtt.payloads.state import FACETS, state_payloads
from tests.support.bodies import clan, member
from tests.support.raids import CAMP, PEAK, Weekend
from tests.support.replay import Replay

Json = dict[str, Any]

RAID = Resource(Kind.RAID, "#2PP")
AT = 1_795_435_200.123
LATER = "2026-11-23T12:00:00.123+00:00"
ANN, BEN, CID = (member(tag, name=name) for tag, name in (("#2P2", "Ann"), ("#2P8", "ben"), ("#2P9", "Cid")))


def snapshot(season: Json | None) -> Snapshot:
    return Snapshot({"season": season}, {}, AT)


def published(season: Json | None, *roster: Json, known: bool = True) -> Json:
    found = state_payloads(RAID, snapshot(season), roster=list(roster) if known else None)
    assert tuple(found) == FACETS[Kind.RAID]
    state: Json = orjson.loads(found["raid"].encode())
    RaidPayload.model_validate(state)
    return state


def weekend_with_two_raids() -> Weekend:
    weekend = Weekend()
    weekend.raid("#8QQ")
    weekend.attack("#2P2", 100, district=PEAK)
    weekend.attack("#2P8", 60)
    weekend.attack("#2P8", 100)
    weekend.raid("#9QQ")
    weekend.attack("#2P2", 45)
    return weekend


def test_raid_weekend_shows_progress_opponent_and_members() -> None:
    assert published(weekend_with_two_raids().season, CID, BEN, ANN) == {
        "state": "ongoing",
        "start_time": "2026-11-27T07:00:00.000+00:00",
        "end_time": "2026-11-30T07:00:00.000+00:00",
        "loot": 2450,
        "attacks": 4,
        "attacks_left": 8,
        "districts_destroyed": 2,
        "raids_completed": 1,
        "opponent": {"tag": "#9QQ", "name": "Name of #9QQ", "districts_left": 2},
        "estimated_medals": 178,
        "offensive_reward": None,
        "defensive_reward": None,
        "max_medals": None,
        "members_with_attacks_left": [
            {"tag": "#2P2", "name": "Name of #2P2", "attacks_left": 4},
            {"tag": "#2P8", "name": "Name of #2P8", "attacks_left": 4},
        ],
        "members_not_started": [{"tag": "#2P9", "name": "Cid"}],
        "updated_at": LATER,
    }


def test_raids_on_the_clan_do_not_count_as_its_own() -> None:
    weekend = weekend_with_two_raids()
    weekend.defend("#YYY", PEAK, CAMP)
    assert weekend.season["raidsCompleted"] == 2
    assert published(weekend.season)["raids_completed"] == 1


def test_ended_weekend_shows_rewards_and_no_opponent() -> None:
    weekend = weekend_with_two_raids()
    weekend.finish(offensive=200, defensive=50)
    state = published(weekend.season, ANN, BEN)
    assert (state["state"], state["opponent"], state["estimated_medals"]) == ("ended", None, None)
    assert (state["offensive_reward"], state["defensive_reward"], state["max_medals"]) == (200, 50, 1250)


def test_members_who_have_not_started_stay_those_of_the_end_of_the_weekend() -> None:
    def not_started(*roster: Json) -> list[str] | None:
        state = orjson.loads(state_payloads(RAID, replay.snapshot, roster=list(roster))["raid"].encode())
        return None if state["members_not_started"] is None else [one["name"] for one in state["members_not_started"]]

    weekend, members = weekend_with_two_raids(), Replay(Kind.CLAN, "#2PP")
    members.feed(clan(ANN, BEN, CID))
    replay = Replay(Kind.RAID, "#2PP", now=weekend.start.timestamp())
    replay.share(members)
    replay.feed(weekend.response)
    assert not_started(ANN, BEN, CID) == ["Cid"]
    assert not_started(ANN, BEN) == [], "Cid has left the clan"
    weekend.finish()
    assert replay.feed(weekend.response, after=3 * 86_400) == ["raid_ended"]
    assert not_started(ANN, BEN, CID, member("#2PY", name="Joined later")) == ["Cid"]
    replay.restart()
    assert not_started(ANN) == ["Cid"]


def test_members_who_have_not_started_are_unknown_if_the_end_was_not_observed() -> None:
    weekend = weekend_with_two_raids()
    weekend.finish()
    assert published(weekend.season, ANN, BEN, CID)["members_not_started"] is None


def test_clan_that_never_raided_has_a_state_without_values() -> None:
    state = published(None, ANN)
    filled = {key: value for key, value in state.items() if value is not None}
    assert filled == {
        "state": "none",
        "members_with_attacks_left": [],
        "members_not_started": [],
        "updated_at": LATER,
    }


def test_members_who_have_not_started_are_unknown_without_the_members_of_the_clan() -> None:
    assert published(weekend_with_two_raids().season, known=False)["members_not_started"] is None
    assert published(weekend_with_two_raids().season)["members_not_started"] == []


def test_members_are_sorted_because_the_order_of_the_api_is_unstable() -> None:
    weekend = weekend_with_two_raids()
    season = weekend.season
    shuffled = {**season, "members": season["members"][::-1]}
    assert published(shuffled, BEN, CID, ANN) == published(season, ANN, BEN, CID)
    assert [one["name"] for one in published(Weekend().season, CID, BEN, ANN)["members_not_started"]] == [
        "Ann",
        "ben",
        "Cid",
    ]


def test_state_has_a_limited_size() -> None:
    weekend = Weekend()
    weekend.raid("#8QQ")
    for number in range(90):
        weekend.join(f"#2P{number}")["name"] = "\N{CASTLE}" * 1000
    roster = [member(f"#8P{number}", name="\N{CASTLE}" * 1000) for number in range(90)]
    state = published(weekend.season, *roster)
    assert len(state["members_with_attacks_left"]) == len(state["members_not_started"]) == 60
    assert len(orjson.dumps(state)) < 20_000


@pytest.mark.parametrize(
    ("attacks", "left"),
    [
        ([], 5),
        ([20], 4),
        ([20, 40, 60, 80, 90], 0),
        # Destroying a district earns a sixth attack.
        ([100], 5),
    ],
)
def test_player_has_five_attacks_and_a_sixth_one_after_destroying_a_district(attacks: list[int], left: int) -> None:
    weekend = Weekend()
    weekend.raid("#8QQ")
    for destruction in attacks:
        weekend.attack("#2P2", destruction)
    part = player_raid_payload("#2P2", "#2PP", snapshot(weekend.season))
    assert part.model_dump() == {
        "clan_tag": "#2PP",
        "state": "ongoing",
        "attacks_left": left,
        "attack_pending": left > 0,
        "end_time": "2026-11-30T07:00:00.000+00:00",
    }


@pytest.mark.parametrize("raided", [False, True])
def test_no_attack_is_left_outside_the_weekend(raided: bool) -> None:
    weekend = weekend_with_two_raids()
    weekend.finish()
    part = player_raid_payload("#2P2", "#2PP", snapshot(weekend.season if raided else None))
    assert (part.state, part.attacks_left, part.attack_pending) == ("ended" if raided else "none", 0, False)
