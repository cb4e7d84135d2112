"""The retained state of clans, players and the API."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.mqtt.payloads.last_war import LastWarPayload
from coc2mqtt.mqtt.payloads.members import MembersPayload
from coc2mqtt.mqtt.payloads.models import BadgePayload, ClanPayload, OnlinePayload, Payload, PollPayload, iso_time
from coc2mqtt.mqtt.payloads.player import PlayerParts, PlayerPayload, player_war_payload
from coc2mqtt.mqtt.payloads.state import FACETS, api_status_payload, state_payloads
from coc2mqtt.mqtt.payloads.war import WarPayload
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from tests.support.bodies import clan, member, no_war, player, war

CLAN, WAR = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
PLAYER = Resource(Kind.PLAYER, "#900PUCPV")
AT = 1_795_435_200.123
MODELS: dict[str, type[Payload]] = {
    "availability": OnlinePayload,
    "clan": ClanPayload,
    "war": WarPayload,
    "player": PlayerPayload,
    "poll": PollPayload,
    "badge": BadgePayload,
    "members": MembersPayload,
    "last_war": LastWarPayload,
}
# With the values of a response, which may be of any type.
LAST_RESULT = {
    **dict.fromkeys(("war_id", "opponent_tag", "opponent_name", "stars", "opponent_stars", "destruction"), True),
    "opponent_destruction": [],
    "result": "unknown",
    "team_size": "x",
    "end_time": 7,
    "at": AT,
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


def decoded_states(resource: Resource, snapshot: Snapshot) -> dict[str, Any]:
    return {facet: orjson.loads(payload.encode()) for facet, payload in state_payloads(resource, snapshot).items()}


def mangle(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the keys, some of them with arbitrary values, also in nested objects."""

    def maybe_replaced(value: Any) -> st.SearchStrategy[Any]:
        choices = [st.just(value), JSON]
        return st.one_of(*choices, mangle(value)) if isinstance(value, dict) else st.one_of(*choices)

    return st.fixed_dictionaries({}, optional={key: maybe_replaced(value) for key, value in whole.items()})


@given(
    case=st.one_of(
        st.tuples(st.just(CLAN), mangle(clan(badgeUrls={"large": "https://x"}, capitalLeague={}, isWarLogPublic=True))),
        st.tuples(st.just(PLAYER), mangle(player(clan={"tag": "#2PP", "name": "x"}, league={}, role="admin"))),
        st.tuples(st.just(WAR), mangle(war("inWar"))),
        st.tuples(st.just(WAR), mangle(no_war())),
    ),
    memo=st.sampled_from([{}, {"private": True}, {"unavailable": True, "trouble": "not_found"}]),
)
def test_state_of_arbitrary_response_is_valid(case: tuple[Resource, dict[str, Any]], memo: dict[str, Any]) -> None:
    resource, data = case
    states = state_payloads(resource, Snapshot(data, {**memo, "last_result": LAST_RESULT}, AT), polled_at=AT)
    assert states.keys() == set(FACETS[resource.kind])
    for facet, payload in states.items():
        assert MODELS[facet].model_validate(orjson.loads(payload.encode())) == payload


def test_long_texts_of_the_api_are_cut() -> None:
    long = "x" * 100_000
    whole = war("inWar", start=long)
    whole["opponent"] |= {"tag": long, "name": long}
    for resource, data in (
        (CLAN, clan(name=long, warLeague={"name": long})),
        (PLAYER, player(name=long, clan={"tag": long, "name": long})),
        (WAR, whole),
    ):
        for state in decoded_states(resource, Snapshot(data, {}, AT)).values():
            assert len(orjson.dumps(state)) < 2000
    assert decoded_states(CLAN, Snapshot(clan(name=long), {}, AT))["clan"]["name"] == "x" * 254 + "…"
    watch = Watch(Kind.CLAN, "#2PP", 60.0)
    device = Discovery(Topics(), instance="home", version="1", prefix="homeassistant").clan(watch, long)
    assert orjson.loads(device.payload)["device"]["name"] == "x" * 254 + "…"


def test_clan_state_contains_all_keys() -> None:
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
    memo = {"activity": {"day": 0.0, "week": 0.0, "members": {"#2P2": [3, 20, AT - 60, True]}}}
    assert decoded_states(CLAN, Snapshot(data, memo, AT)) == {
        "availability": {"state": "online"},
        "clan": {
            "tag": "#2PP",
            "name": "The Order",
            "level": 19,
            "points": 2100,
            "builder_base_points": 7,
            "capital_points": 8,
            "members": 1,
            "donations": 100,
            "donations_received": 50,
            "donations_today": 3,
            "donations_week": 20,
            "inactive_members": 1,
            "war_league": "Crystal League I",
            "capital_league": "Master League",
            "war_win_streak": 0,
            "war_wins": 300,
            "is_war_log_public": False,
            "badge_url": "https://l",
            "updated_at": "2026-11-23T12:00:00.123+00:00",
        },
        "badge": {"badge_url": "https://l"},
        "members": {
            "members": [
                {
                    "tag": "#2P2",
                    "name": "Name of #2P2",
                    "role": "member",
                    "town_hall_level": 15,
                    "league": "Golem League 21",
                    "donations": 100,
                    "donations_received": 50,
                    "trophies": 4000,
                    "donations_today": 3,
                    "donations_week": 20,
                    "last_seen_at": "2026-11-23T11:59:00.123+00:00",
                    "inactive": True,
                }
            ],
            "updated_at": "2026-11-23T12:00:00.123+00:00",
        },
    }


def test_player_state_contains_all_keys() -> None:
    data = player(expLevel=200, warStars=900, donations=5, donationsReceived=6, warPreference="in", role="admin")
    data["clan"] = {"tag": "#2PP", "name": "The Order", "clanLevel": 3}
    assert decoded_states(PLAYER, Snapshot(data, {}, AT))["player"] == {
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
        "donations_today": None,
        "donations_week": None,
        "last_seen_at": None,
        "war_preference": "in",
        "role": "admin",
        "clan": {"tag": "#2PP", "name": "The Order"},
        "war": None,
        "cwl": None,
        "raid": None,
        "attacks_left": None,
        "attack_pending": None,
        "updated_at": "2026-11-23T12:00:00.123+00:00",
    }


@pytest.mark.parametrize(("war_taken_at", "expected"), [(AT - 60, AT), (AT + 60, AT + 60)])
def test_time_of_player_state_covers_the_war(war_taken_at: float, expected: float) -> None:
    part = player_war_payload("#900PUCPV", "#2PP", Snapshot(war("inWar"), {}, war_taken_at))
    states = state_payloads(PLAYER, Snapshot(player(), {}, AT), parts=PlayerParts(war=part, taken_at=war_taken_at))
    state = states["player"]
    assert isinstance(state, PlayerPayload)
    assert state.updated_at == iso_time(expected)


@pytest.mark.parametrize("resource", [CLAN, PLAYER])
def test_poll_time_is_included_if_known(resource: Resource) -> None:
    states = state_payloads(resource, Snapshot({}, {}, AT), polled_at=AT + 60)
    assert orjson.loads(states["poll"].encode()) == {"polled_at": "2026-11-23T12:01:00.123+00:00"}
    assert "poll" not in state_payloads(resource, Snapshot({}, {}, AT))


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
def test_availability_depends_on_data_and_memo(
    resource: Resource, data: dict[str, Any] | None, memo: dict[str, Any], state: str
) -> None:
    states = decoded_states(resource, Snapshot(data, memo, AT))
    assert states["availability"] == {"state": state}
    assert (resource.kind.value in states) is (data is not None)


def test_api_status_contains_message_and_address() -> None:
    data = {"status": "denied", "since": AT, "message": "the token is bound to another address", "address": "192.0.2.7"}
    assert orjson.loads(api_status_payload(Snapshot(data, {}, AT)).encode()) == {
        "state": "denied",
        "since": "2026-11-23T12:00:00.123+00:00",
        "message": "the token is bound to another address",
        "address": "192.0.2.7",
    }
