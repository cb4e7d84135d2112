"""The retained state of a clan's members."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.members import members_hash
from coc2mqtt.mqtt.payloads.state import state_payloads
from tests.support.bodies import clan, member

CLAN = Resource(Kind.CLAN, "#2PP")
MAX_BYTES = 24_000
LONG = "\N{CASTLE}" * 300


def states(data: dict[str, Any]) -> dict[str, Any]:
    found = state_payloads(CLAN, Snapshot(data, {}, 1_795_435_200.0))
    return {facet: orjson.loads(payload.encode()) for facet, payload in found.items()}


@pytest.mark.parametrize("name", [LONG, "\x00" * 300, '"' * 300, "x" * 300])
def test_members_with_the_longest_values_stay_below_24_kb(name: str) -> None:
    huge = member(
        "#" + "2" * 300,
        name=name,
        role=name,
        leagueTier={"name": name},
        **dict.fromkeys(("trophies", "townHallLevel", "donations", "donationsReceived"), 999_999_999),
    )
    activity = {"day": 0.0, "week": 0.0, "members": {huge["tag"]: [999_999_999, 999_999_999, 1_795_435_200.0, False]}}
    snapshot = Snapshot(clan(*[huge] * 60), {"activity": activity}, 1_795_435_200.0)
    found = state_payloads(CLAN, snapshot)["members"].encode()
    assert len(orjson.loads(found)["members"]) == 50
    assert len(found) < MAX_BYTES


def test_longest_names_of_the_game_are_complete() -> None:
    name = "\N{CASTLE}" * 15
    assert states(clan(member("#2P2", name=name)))["members"]["members"][0]["name"] == name


def test_malformed_values_of_a_member_are_null() -> None:
    odd = {"tag": "#2P2", "name": 5, "role": [], "townHallLevel": True, "leagueTier": "x", "donations": 10**9}
    assert states(clan({**odd, "trophies": -1}))["members"]["members"] == [
        {
            "tag": "#2P2",
            "name": "#2P2",
            **dict.fromkeys(("role", "town_hall_level", "league", "donations", "donations_received", "trophies")),
            **dict.fromkeys(("donations_today", "donations_week", "last_seen_at", "inactive")),
        }
    ]


def test_clan_without_member_list_has_unknown_members_and_donations() -> None:
    data = clan()
    del data["memberList"]
    found = states(data)
    assert found["members"]["members"] is None
    assert (found["clan"]["donations"], found["clan"]["donations_received"]) == (None, None)


def test_donations_of_a_clan_are_the_sum_of_its_members() -> None:
    found = states(clan(member("#2P2", donations=7, donationsReceived=1), member("#2P8", donations=None)))["clan"]
    assert (found["donations"], found["donations_received"]) == (7, 51)


def test_hash_of_members_changes_with_each_published_value() -> None:
    ann, ben = member("#2P2"), member("#2P8")
    league = {"leagueTier": {"id": 1, "name": "Gold League I"}}
    different = [
        clan(ann, ben),
        clan(ann),
        clan(ben, ann),
        clan(),
        {},
        *(clan({**ann, key: 7}, ben) for key in ("tag", "name", "role", "townHallLevel", "donations", "trophies")),
        clan({**ann, "donationsReceived": 7}, ben),
        clan({**ann, **league}, ben),
        clan({**ann, "leagueTier": "odd"}, ben),
        clan({**ann, "role": ["odd"]}, ben),
        clan(5, ben),  # type: ignore[arg-type]
        {"memberList": 5},
    ]
    assert len({members_hash(Snapshot(data)) for data in different}) == len(different)


def test_hash_of_members_ignores_values_that_are_not_published() -> None:
    same = clan(member("#2P2"), clanPoints=7), clan(member("#2P2", expLevel=99, clanRank=3, league=None))
    assert {members_hash(Snapshot(data)) for data in same} == {members_hash(Snapshot(clan(member("#2P2"))))}
