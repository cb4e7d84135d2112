from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.mqtt.discovery import Discovery
from coc2mqtt.mqtt.payloads import ClanPayload, OnlinePayload, Payload, PlayerPayload, WarPayload
from coc2mqtt.mqtt.states import FACETS, api_status, api_time, facets
from coc2mqtt.mqtt.topics import Topics
from tests.events.builders import OPPONENT_TAG, attack, clan, member, no_war, player, war

CLAN, WAR = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
PLAYER = Resource(Kind.PLAYER, "#900PUCPV")
AT = 1_795_435_200.123
MODELS: dict[str, type[Payload]] = {
    "availability": OnlinePayload,
    "clan": ClanPayload,
    "war": WarPayload,
    "player": PlayerPayload,
}
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tag", "name", "stars", "x"]), inner),
    max_leaves=8,
)


def said(resource: Resource, snapshot: Snapshot) -> dict[str, Any]:
    return {facet: orjson.loads(payload.encode()) for facet, payload in facets(resource, snapshot).items()}


def mangled(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the fields, some of them with something else in them, a side of a war's, too."""

    def spoilt(value: Any) -> st.SearchStrategy[Any]:
        choices = [st.just(value), JSON]
        return st.one_of(*choices, mangled(value)) if isinstance(value, dict) else st.one_of(*choices)

    return st.fixed_dictionaries({}, optional={key: spoilt(value) for key, value in whole.items()})


@given(
    what=st.one_of(
        st.tuples(
            st.just(CLAN), mangled(clan(badgeUrls={"large": "https://x"}, capitalLeague={}, isWarLogPublic=True))
        ),
        st.tuples(st.just(PLAYER), mangled(player(clan={"tag": "#2PP", "name": "x"}, league={}, role="admin"))),
        st.tuples(st.just(WAR), mangled(war("inWar"))),
        st.tuples(st.just(WAR), mangled(no_war())),
    ),
    memo=st.sampled_from([{}, {"private": True}, {"unavailable": True, "trouble": "not_found"}]),
)
def test_whatever_the_api_said_the_state_is_valid(what: tuple[Resource, dict[str, Any]], memo: dict[str, Any]) -> None:
    resource, data = what
    states = facets(resource, Snapshot(data, memo, AT))
    assert tuple(states) == FACETS[resource.kind]
    for facet, payload in states.items():
        assert MODELS[facet].model_validate(orjson.loads(payload.encode())) == payload


def test_no_text_of_the_api_is_longer_than_what_is_shown() -> None:
    long = "x" * 100_000
    whole = war("inWar", start=long)
    whole["opponent"] |= {"tag": long, "name": long}
    for resource, data in (
        (CLAN, clan(name=long, warLeague={"name": long})),
        (PLAYER, player(name=long, clan={"tag": long, "name": long})),
        (WAR, whole),
    ):
        for state in said(resource, Snapshot(data, {}, AT)).values():
            assert len(orjson.dumps(state)) < 2000
    assert said(CLAN, Snapshot(clan(name=long), {}, AT))["clan"]["name"] == "x" * 254 + "…"
    watch = Watch(Kind.CLAN, "#2PP", 60.0)
    device = Discovery(Topics(), instance="home", version="1", prefix="homeassistant").clan(watch, long)
    assert orjson.loads(device.payload)["device"]["name"] == "x" * 254 + "…"


def test_a_clan_is_shown_as_it_is() -> None:
    data = clan(
        member("#2P2"),
        badgeUrls={"small": "https://s", "large": "https://l"},
        clanBuilderBasePoints=7,
        clanCapitalPoints=8,
        capitalLeague={"id": 1, "name": "Master League"},
        warWinStreak=0,
        warWins=300,
        isWarLogPublic=False,
    )
    assert said(CLAN, Snapshot(data, {}, AT)) == {
        "availability": {"state": "online"},
        "clan": {
            "tag": "#2PP",
            "name": "The Order",
            "level": 19,
            "points": 2100,
            "builder_base_points": 7,
            "capital_points": 8,
            "members": 1,
            "war_league": "Crystal League I",
            "capital_league": "Master League",
            "war_win_streak": 0,
            "war_wins": 300,
            "is_war_log_public": False,
            "badge_url": "https://l",
            "updated_at": "2026-11-23T12:00:00.123+00:00",
        },
    }


def test_a_player_is_shown_as_they_are() -> None:
    data = player(expLevel=200, warStars=900, donations=5, donationsReceived=6, warPreference="in", role="admin")
    data["clan"] = {"tag": "#2PP", "name": "The Order", "clanLevel": 3}
    assert said(PLAYER, Snapshot(data, {}, AT))["player"] == {
        "tag": "#900PUCPV",
        "name": "Kristen",
        "town_hall_level": 15,
        "builder_hall_level": 9,
        "exp_level": 200,
        "league_tier": "Golem League 21",
        "trophies": 4000,
        "war_stars": 900,
        "donations": 5,
        "donations_received": 6,
        "war_preference": "in",
        "role": "admin",
        "clan": {"tag": "#2PP", "name": "The Order"},
        "updated_at": "2026-11-23T12:00:00.123+00:00",
    }


@pytest.mark.parametrize("resource", [CLAN, PLAYER])
@pytest.mark.parametrize(
    ("data", "memo", "state"),
    [
        ({}, {}, "online"),
        ({}, {"trouble": "server_error"}, "online"),
        ({}, {"unavailable": True}, "offline"),
        (None, {"trouble": "server_error"}, "offline"),
        (None, {"unavailable": True}, "offline"),
    ],
)
def test_it_is_available_when_it_is_known_and_still_there(
    resource: Resource, data: dict[str, Any] | None, memo: dict[str, Any], state: str
) -> None:
    states = said(resource, Snapshot(data, memo, AT))
    assert states["availability"] == {"state": state}
    assert (resource.kind.value in states) is (data is not None)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_war_is_shown_from_the_clans_own_side(swapped: bool) -> None:
    data = war("inWar", attack("#2P2", "#8Q2", 1, stars=3), attack("#8Q2", "#2P2", 2, stars=1), swapped=swapped)
    shown = said(WAR, Snapshot(data, {}, AT))["war"]
    assert shown["clan"] == {
        "tag": "#2PP",
        "name": "Name of #2PP",
        "level": 10,
        "stars": 3,
        "attacks": 1,
        "destruction": 10.0,
    }
    assert shown["opponent"]["tag"] == OPPONENT_TAG
    assert shown["status"] == "winning"
    assert (shown["state"], shown["war_log"], shown["team_size"], shown["attacks_per_member"]) == (
        "inWar",
        "public",
        2,
        2,
    )
    assert shown["war_id"] == "20261101T080000.000Z-2PP-8QQ"
    assert shown["preparation_start_time"] == "2026-11-01T08:00:00.000+00:00"
    assert shown["end_time"] == "2026-11-03T07:00:00.000+00:00"


@pytest.mark.parametrize(
    ("state", "own", "other", "status"),
    [
        ("inWar", (3, 10.0), (2, 90.0), "winning"),
        ("inWar", (2, 10.0), (2, 10.5), "losing"),
        ("warEnded", (2, 10), (2, 10.0), "tied"),
        ("inWar", (None, None), (0, 0.0), "tied"),
        ("preparation", (0, 0), (0, 0), None),
        ("notInWar", (3, 0), (0, 0), None),
    ],
)
def test_who_leads_is_told_by_stars_and_then_by_destruction(
    state: str, own: tuple[Any, Any], other: tuple[Any, Any], status: str | None
) -> None:
    data = war(state)
    for side, (stars, destruction) in (("clan", own), ("opponent", other)):
        data[side] |= {"stars": stars, "destructionPercentage": destruction}
    assert said(WAR, Snapshot(data, {}, AT))["war"]["status"] == status


def test_a_war_of_the_league_is_one_attack_each() -> None:
    data = war("inWar")
    del data["attacksPerMember"]
    assert said(WAR, Snapshot(data, {}, AT))["war"]["attacks_per_member"] == 1


@pytest.mark.parametrize(
    ("data", "memo", "state", "war_log"),
    [
        (no_war(), {}, "notInWar", "public"),
        (war("inWar"), {"private": True}, None, "private"),
        (None, {"private": True}, None, "private"),
    ],
)
def test_without_a_war_or_behind_a_private_log_nothing_of_one_is_shown(
    data: dict[str, Any] | None, memo: dict[str, Any], state: str | None, war_log: str
) -> None:
    shown = said(WAR, Snapshot(data, memo, AT))["war"]
    assert {key for key, value in shown.items() if value is not None} == {"war_log", "updated_at"} | (
        {"state"} if state else set()
    )
    assert (shown["state"], shown["war_log"]) == (state, war_log)


def test_of_a_war_that_was_never_seen_nothing_is_said() -> None:
    assert facets(WAR, Snapshot(None, {"trouble": "server_error"})) == {}


def test_the_apis_state_is_shown_with_what_is_wrong() -> None:
    data = {"status": "denied", "since": AT, "message": "the token is bound to another address", "address": "192.0.2.7"}
    assert orjson.loads(api_status(Snapshot(data, {}, AT)).encode()) == {
        "state": "denied",
        "since": "2026-11-23T12:00:00.123+00:00",
        "message": "the token is bound to another address",
        "address": "192.0.2.7",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260417T011933.000Z", "2026-04-17T01:19:33.000+00:00"),
        ("20260417T011933Z", None),
        ("20261317T011933.000Z", None),
        ("2026-04-17", None),
        ("", None),
        (None, None),
        (20260417, None),
    ],
)
def test_a_time_of_the_api_is_turned_into_iso_8601(text: object, expected: str | None) -> None:
    assert api_time(text) == expected
