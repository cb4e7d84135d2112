from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.mqtt.payloads.members import members_payload
from tests.homeassistant.builders import bridge, clan, cwl, decode, player, raid
from tests.homeassistant.rendering import attributes
from tests.homeassistant.retained_states import LONG_NAME, retained
from tests.support.bodies import member

Json = dict[str, Any]

BRIDGE, CLAN, CWL, RAID, PLAYER = (decode(announce())["components"] for announce in (bridge, clan, cwl, raid, player))
WAR, PLAYER_STATE, HEALTH = "coc/clan/2PP/state/war", "coc/player/900PUCPV/state/player", "coc/bridge/health"


def test_attributes_of_opponent_clan_and_last_event() -> None:
    states = {topic: orjson.dumps(state) for topic, state in retained().items()}
    assert attributes(CLAN["opponent"], states[WAR]) == {"tag": "#8QQ", "level": 10}
    assert attributes(PLAYER["clan"], states[PLAYER_STATE]) == {"tag": "#2PP"}
    assert attributes(BRIDGE["last_event"], states[HEALTH]) == {
        "summary": f"{LONG_NAME} joined",
        "tag": "#2PP",
        "name": LONG_NAME,
        "type": "member_joined",
    }


def test_fifty_members_with_long_names_are_truncated_in_attributes() -> None:
    found = attributes(CLAN["attacks_left"], orjson.dumps(retained()[WAR]))
    some = {"name": LONG_NAME[:40], "attacks_left": 2}
    assert found == {"members": [*[some] * 49, {**some, "attacks_left": 1}]}


def test_attributes_of_the_last_war_are_opponent_score_and_end() -> None:
    state = retained()["coc/clan/2PP/state/last_war"]
    assert attributes(CLAN["last_war_result"], orjson.dumps(state)) == {
        "label": "Won",
        "opponent": LONG_NAME,
        "score": "88-79",
        "destruction": 97.5,
        "opponent_destruction": 91.0,
        "end": "2026-10-31T07:00:00.000+00:00",
    }
    without_score = state | {"clan": {"stars": None, "destruction": None}, "opponent": None}
    found = attributes(CLAN["last_war_result"], orjson.dumps(without_score))
    assert (found["opponent"], found["score"]) == (None, None)


def test_roster_contains_fifty_members_with_the_longest_names() -> None:
    found = attributes(CLAN["roster"], orjson.dumps(retained()["coc/clan/2PP/state/members"]))["members"]
    assert len(found) == 50
    assert found[1] == {
        "tag": "#2P1",
        "name": f"{LONG_NAME[:17]}…",
        "league": "Golem League 21",
        "role": "elder",
        "town_hall": 15,
        "trophies": 4000,
        "donations": 100,
        "received": 50,
    }


def test_roster_with_the_largest_values_fits_into_attributes() -> None:
    numbers = dict.fromkeys(("trophies", "townHallLevel", "donations", "donationsReceived"), 999_999_999)
    huge = member("#" + "2" * 300, name=LONG_NAME, role="coLeader", leagueTier={"name": LONG_NAME}, **numbers)
    payload = members_payload({"memberList": [huge] * 50}, 0.0).encode()
    assert len(attributes(CLAN["roster"], payload)["members"]) == 50


def test_unexpected_values_of_a_member_are_unknown_in_the_roster() -> None:
    payload = orjson.dumps({"members": [{"tag": 5, "name": [], "role": "king", "trophies": "x"}, None, "x", {}]})
    keys = ("tag", "name", "league", "role", "town_hall", "trophies", "donations", "received")
    assert attributes(CLAN["roster"], payload)["members"] == [dict.fromkeys(keys)] * 2


def test_more_than_fifty_members_are_limited_to_the_first_fifty() -> None:
    crowd = [{"name": '"\\\x00' * 20, "attacks_left": 1}] * 60
    found = attributes(CLAN["attacks_left"], orjson.dumps({"members_with_attacks_left": crowd}))
    assert len(found["members"]) == 50


def test_member_without_name_is_named_by_tag_and_invalid_member_omitted() -> None:
    some = [{"tag": "#2P2", "name": None, "attacks_left": 1}, None, "x", {"name": 5}]
    found = attributes(CLAN["attacks_left"], orjson.dumps({"members_with_attacks_left": some}))
    assert found["members"] == [{"name": "#2P2", "attacks_left": 1}, {"name": None, "attacks_left": None}]


def test_attributes_of_a_league_name_the_season_the_opponent_and_the_rounds() -> None:
    state = orjson.dumps(retained()["coc/clan/2PP/state/cwl"])
    assert attributes(CWL["cwl_state"], state) == {"label": "Battle day"}
    assert attributes(CWL["cwl_league"], state) == {"season": "2026-11-02", "clans": 8}
    assert attributes(CWL["cwl_round"], state) == {"rounds": 7}
    assert attributes(CWL["cwl_opponent_name"], state) == {"tag": "#8Q3", "level": 10}
    assert attributes(CWL["cwl_round_end"], state) == {"round": 3, "war_id": "#8QQ3"}
    assert attributes(CWL["cwl_next_opponent_name"], state) == {
        "round": 4,
        "start": "2026-11-05T07:00:00.000+00:00",
        "end": "2026-11-06T07:00:00.000+00:00",
    }


def test_members_of_a_league_with_attacks_left_are_attributes() -> None:
    found = attributes(CWL["cwl_attacks_left"], orjson.dumps(retained()["coc/clan/2PP/state/cwl"]))
    assert found == {"members": [{"name": f"{LONG_NAME[:17]}…", "attacks_left": 1}] * 50}


def test_standings_are_attributes_of_the_position() -> None:
    state = retained()["coc/clan/2PP/state/cwl"]
    found = attributes(CWL["cwl_position"], orjson.dumps(state))
    assert found == {"standings": state["standings"]}
    odd = [None, "x", {"position": "1", "name": 5, "stars": True}]
    keys = ("position", "tag", "name", "stars", "destruction", "wins", "losses", "ties")
    found = attributes(CWL["cwl_position"], orjson.dumps(state | {"standings": odd}))
    assert found == {"standings": [dict.fromkeys(keys)]}


def test_members_of_a_raid_with_attacks_left_and_those_not_started_are_attributes() -> None:
    state = retained()["coc/clan/2PP/state/raid"]
    name = f"{LONG_NAME[:17]}…"
    assert attributes(RAID["raid_attacks_left"], orjson.dumps(state)) == {
        "members": [{"name": name, "attacks_left": 5}] * 50,
        "members_not_started": [name] * 50,
    }
    odd = {"members_with_attacks_left": [{"tag": "#2P", "name": None}, 5], "members_not_started": [{"name": []}, None]}
    assert attributes(RAID["raid_attacks_left"], orjson.dumps(state | odd)) == {
        "members": [{"name": "#2P", "attacks_left": None}],
        "members_not_started": [None],
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"estimated": True, "per_attack": 211, "defense": None}),
        (
            {"estimated_medals": None, "offensive_reward": 209, "defensive_reward": 211, "max_medals": 1465},
            {"estimated": False, "per_attack": 209, "defense": 211},
        ),
        ({"estimated_medals": None}, {}),
    ],
)
def test_attributes_of_raid_medals_tell_whether_they_are_an_estimate(changes: Json, expected: Json) -> None:
    state = retained()["coc/clan/2PP/state/raid"] | changes
    assert attributes(RAID["raid_medals"], orjson.dumps(state)) == expected


def test_attributes_of_a_players_attacks_are_those_in_war_league_and_raid() -> None:
    whole = {"war": {"attacks_left": 1, "attack_pending": True}, "cwl": None, "raid": {"attacks_left": 5}}
    payload = orjson.dumps(retained()[PLAYER_STATE] | whole)
    assert attributes(PLAYER["attacks_left"], payload) == {"war": 1, "cwl": None, "raid": 5}
    assert attributes(PLAYER["attack_pending"], payload) == {"war": True, "cwl": None, "raid": None}
