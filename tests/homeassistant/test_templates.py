from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.events.event import WAR_EVENTS
from tests.homeassistant.builders import activity, bridge, clan, cwl, decode, games, player, raid, ranked
from tests.homeassistant.rendering import attributes, command, render, shown
from tests.homeassistant.retained_states import LONG_NAME, SEEN, retained

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

BRIDGE, CLAN, CWL, RAID, PLAYER = (decode(announce())["components"] for announce in (bridge, clan, cwl, raid, player))
ALL = {
    f"{device} {key}": component
    for device, components in (
        *(("bridge", BRIDGE), ("clan", CLAN), ("cwl", CWL), ("raid", RAID), ("player", PLAYER)),
        *((announce.__name__, decode(announce())["components"]) for announce in (activity, games, ranked)),
    )
    for key, component in components.items()
    # Only one trigger per device: they do not differ in what they read.
    if {"value_template", "url_template"} & set(component)
    and component.get("subtype", "poll_error") in {"poll_error", "cwl_ended", "raid_ended", "ranked_week_ended"}
}
ODD: list[Any] = [None, True, False, 0, -1.5, 2**63, "", " ", "None", LONG_NAME, [], [None], [[]], {}, {"name": []}]
# Rendered for a payload without lists.
NO_ATTRIBUTES: list[Json] = [
    {},
    {"members": []},
    {"standings": []},
    {"members": [], "members_not_started": []},
]
WAR, PLAYER_STATE, HEALTH = "coc/clan/2PP/state/war", "coc/player/900PUCPV/state/player", "coc/bridge/health"


def topic_of(component: Json) -> str:
    topic = component.get("url_topic", component.get("topic", component.get("state_topic")))
    assert isinstance(topic, str)
    return topic


def running(command: str, kind: str | None, tag: Any) -> Json:
    """Return the key of the last command's payload that a running command sets."""
    return {"running": {"command": command, "kind": kind, "tag": tag}}


def show(component: Json, **changes: Any) -> str | None:
    """Return the state that an entity shows for a retained payload with some keys changed."""
    return shown(component, orjson.dumps(retained()[topic_of(component)] | changes))


@pytest.mark.parametrize(
    ("component", "state"),
    [
        ("war_state", "in_war"),
        ("war_status", "losing"),
        ("war_start", "2026-11-02T07:00:00.000+00:00"),
        ("war_end", "2026-11-03T07:00:00.000+00:00"),
        ("opponent", LONG_NAME),
        ("stars", "7"),
        ("opponent_stars", "8"),
        ("destruction", "12.3456"),
        ("opponent_destruction", "13.0"),
        ("attacks_used", "3"),
        ("attacks_left", "97"),
        ("war_team_size", "50"),
        ("members", "50"),
        ("roster", "50"),
        ("last_war_result", "won"),
        ("donations", "5000"),
        ("donations_received", "2500"),
        ("level", "19"),
        ("points", "2100"),
        ("builder_base_points", "1900"),
        ("capital_points", "800"),
        ("war_win_streak", "0"),
        ("war_wins", "300"),
        ("war_league", "Crystal League I"),
        ("capital_league", "Master League"),
        ("war_log_public", "ON"),
        ("badge", "https://api-assets.clashofclans.com/badges/512/x3NmXQ.png"),
        ("last_poll", SEEN),
        ("available", "ON"),
    ],
)
def test_clan_entity_shows_retained_state(component: str, state: str) -> None:
    assert show(CLAN[component]) == state


@pytest.mark.parametrize(
    ("component", "state"),
    [
        ("town_hall_level", "15"),
        ("builder_hall_level", "9"),
        ("trophies", "4000"),
        ("war_stars", "1500"),
        ("donations", "0"),
        ("donations_received", "12"),
        ("league_tier", "Golem League 21"),
        ("war_preference", "in"),
        ("clan", "The Order"),
        ("attacks_left", "1"),
        ("attack_pending", "ON"),
        ("war_end", "2026-11-03T07:00:00.000+00:00"),
        ("role", "leader"),
        ("experience_level", "200"),
        ("last_poll", SEEN),
        ("available", "ON"),
    ],
)
def test_player_entity_shows_retained_state(component: str, state: str) -> None:
    assert show(PLAYER[component]) == state


@pytest.mark.parametrize(
    ("component", "state"),
    [
        ("connectivity", "ON"),
        ("maintenance", "OFF"),
        ("api_status", "denied"),
        ("denied_address", "203.0.113.9"),
        ("watched_clans", "1"),
        ("watched_players", "2"),
        ("queue", "0"),
        ("polls_per_minute", "21.0"),
        ("last_event", SEEN),
        ("watch_clan", ""),
        ("watch_player", ""),
        ("unwatch", ""),
        ("last_command", "Now watching The Order (#2PP)"),
        ("log_level", "info"),
    ],
)
def test_bridge_entity_shows_retained_state(component: str, state: str) -> None:
    assert show(BRIDGE[component]) == state


@pytest.mark.parametrize(
    ("component", "changes", "state"),
    [
        (BRIDGE["connectivity"], {"state": "offline"}, "OFF"),
        (BRIDGE["maintenance"], {"state": "maintenance"}, "ON"),
        (BRIDGE["maintenance"], {"state": "unreachable"}, "OFF"),
        (BRIDGE["maintenance"], {"state": "new word"}, None),
        (BRIDGE["api_status"], {"state": "new word"}, None),
        (BRIDGE["denied_address"], {"address": None}, None),
        (BRIDGE["last_event"], {"last_event": None}, None),
        (BRIDGE["log_level"], {"log_level": "trace"}, None),
        (BRIDGE["last_command"], {"summary": None}, None),
        (BRIDGE["watch_clan"], running("watch", "clan", "#2PP"), "#2PP"),
        (BRIDGE["watch_clan"], running("watch", "player", "#2PP"), ""),
        (BRIDGE["watch_player"], running("watch", "player", "#" + "V" * 15), "#" + "V" * 15),
        (BRIDGE["watch_player"], running("watch", "clan", "#2PP"), ""),
        (BRIDGE["unwatch"], running("unwatch", None, "#2PP"), "#2PP"),
        (BRIDGE["unwatch"], running("unwatch", "clan", "#2PP"), "#2PP"),
        (BRIDGE["unwatch"], running("watch", "clan", "#2PP"), ""),
        *(
            (BRIDGE["unwatch"], running("unwatch", None, tag), "")
            for tag in (None, 7, ["#2PP"], "", "#", "#2P", "2PP", "#2PO", "#2PP\n", "#" + "V" * 16)
        ),
        (BRIDGE["watch_clan"], {"running": 7}, ""),
        (BRIDGE["watch_clan"], {"running": ["#2PP"]}, ""),
        (BRIDGE["watch_clan"], {"running": {"tag": "#2PP"}}, ""),
        (CLAN["war_state"], {"state": "notInWar"}, "not_in_war"),
        (CLAN["war_state"], {"state": "preparation"}, "preparation"),
        (CLAN["war_state"], {"state": "warEnded"}, "war_ended"),
        (CLAN["war_state"], {"state": "enterWar"}, None),
        (CLAN["war_status"], {"status": "won"}, "won"),
        (CLAN["war_status"], {"status": None}, None),
        (CLAN["war_start"], {"start_time": None}, None),
        (CLAN["opponent"], {"opponent": None}, None),
        (CLAN["stars"], {"clan": None}, None),
        (CLAN["attacks_left"], {"clan": {"attacks_left": 0}}, "0"),
        (CLAN["last_war_result"], {"result": "cancelled"}, "cancelled"),
        (CLAN["last_war_result"], {"result": "unknown"}, None),
        (CLAN["roster"], {"members": []}, "0"),
        (CLAN["roster"], {"members": None}, None),
        (CLAN["donations"], {"donations": None}, None),
        (CLAN["war_log_public"], {"is_war_log_public": False}, "OFF"),
        (CLAN["badge"], {"badge_url": "https://x.org/other.png"}, "https://x.org/other.png"),
        (CLAN["badge"], {"badge_url": None}, "https://api-assets.clashofclans.com/badges/512/x3NmXQ.png"),
        (CLAN["available"], {"state": "offline"}, "OFF"),
        (PLAYER["attacks_left"], {"war": None}, "1"),
        (PLAYER["attacks_left"], {"attacks_left": 7}, "7"),
        (PLAYER["attacks_left"], {"attacks_left": None}, None),
        (PLAYER["attack_pending"], {"attack_pending": False}, "OFF"),
        (PLAYER["war_preference"], {"war_preference": "out"}, "out"),
        (PLAYER["role"], {"role": "admin"}, "elder"),
        (PLAYER["role"], {"role": "coLeader"}, "co_leader"),
        (PLAYER["role"], {"role": "notMember"}, None),
        (PLAYER["war_end"], {"war": {"end_time": None}}, None),
        (PLAYER["clan"], {"clan": None}, None),
    ],
)
def test_entity_follows_changed_state(component: Json, changes: Json, state: str | None) -> None:
    assert show(component, **changes) == state


@pytest.mark.parametrize(
    ("component", "state"),
    [
        ("cwl_state", "in_war"),
        ("cwl_round", "3"),
        ("cwl_league", "Crystal League I"),
        ("cwl_opponent_name", LONG_NAME),
        ("cwl_stars", "7"),
        ("cwl_opponent_stars", "8"),
        ("cwl_destruction", "12.3456"),
        ("cwl_attacks_left", "27"),
        ("cwl_position", "2"),
        ("cwl_total_stars", "214"),
        ("cwl_round_start", "2026-11-04T07:00:00.000+00:00"),
        ("cwl_round_end", "2026-11-05T07:00:00.000+00:00"),
        ("cwl_next_opponent_name", LONG_NAME),
    ],
)
def test_league_entity_shows_retained_state(component: str, state: str) -> None:
    assert show(CWL[component]) == state


@pytest.mark.parametrize(
    ("component", "state"),
    [
        ("raid_state", "ongoing"),
        ("raid_end", "2026-11-09T07:00:00.000+00:00"),
        ("raid_loot", "512345"),
        ("raid_attacks_left", "60"),
        ("raid_medals", "1266"),
        ("raid_districts_destroyed", "44"),
        ("raids_completed", "5"),
        ("raid_opponent_name", LONG_NAME),
    ],
)
def test_raid_entity_shows_retained_state(component: str, state: str) -> None:
    assert show(RAID[component]) == state


@pytest.mark.parametrize(
    ("component", "changes", "state"),
    [
        *(
            (CWL["cwl_state"], {"state": value}, state)
            for value, state in (
                ("none", "not_in_league"),
                ("searching", "searching"),
                ("preparation", "preparation"),
                ("ended", "ended"),
                ("enterWar", None),
            )
        ),
        *((RAID["raid_state"], {"state": value}, state) for value, state in (("none", "no_raid"), ("ended", "ended"))),
        (CWL["cwl_opponent_name"], {"war": None}, None),
        (CWL["cwl_opponent_name"], {"war": {"opponent": None}}, None),
        (CWL["cwl_next_opponent_name"], {"next_war": None}, None),
        (CWL["cwl_position"], {"position": None}, None),
        (CWL["cwl_round"], {"round": None}, None),
        (RAID["raid_opponent_name"], {"opponent": None}, None),
        (RAID["raid_medals"], {"estimated_medals": None}, None),
        (RAID["raid_medals"], {"estimated_medals": 0}, "0"),
        (RAID["raid_medals"], {"estimated_medals": None, "max_medals": 1465}, "1465"),
    ],
)
def test_entity_of_a_part_follows_changed_state(component: Json, changes: Json, state: str | None) -> None:
    assert show(component, **changes) == state


@pytest.mark.parametrize("component", ALL.values(), ids=ALL)
def test_invalid_payload_is_unknown_and_logs_nothing(component: Json) -> None:
    expected = {"text": "", "image": "https://api-assets.clashofclans.com/badges/512/x3NmXQ.png"}
    for payload in (b"", b"x", b"null", b"true", b"7", b'"inWar"', b"[]", b"[{}]", b"{}"):
        assert shown(component, payload) == expected.get(component["platform"])
        if "json_attributes_template" in component:
            assert attributes(component, payload) in NO_ATTRIBUTES


def with_odd_values(state: Json, templates: str) -> Iterator[Json]:
    """Yield a state with each value that the templates name, also of nested objects, replaced by unexpected ones."""
    named = {key: value for key, value in state.items() if key in templates}
    for odd in ODD:
        for key, value in named.items():
            yield state | {key: odd}
            if isinstance(value, dict):
                for inner in value:
                    yield state | {key: value | {inner: odd}}


@pytest.mark.parametrize("component", ALL.values(), ids=ALL)
def test_state_with_unexpected_values_is_shown_or_unknown_and_logs_nothing(component: Json) -> None:
    whole = retained().get(topic_of(component), {"event_type": "poll_error"})
    templates = " ".join(text for key, text in component.items() if key.endswith("_template"))
    for state in with_odd_values(whole, templates):
        payload = orjson.dumps(state)
        shown(component, payload)
        if "json_attributes_template" in component:
            attributes(component, payload)


@pytest.mark.parametrize("payload", [b'{"state":"online"}', b'{"state":"offline"}', b"", b"[]", b'{"state":[]}'])
def test_availability_renders_online_or_offline(payload: bytes) -> None:
    expected = orjson.loads(payload)["state"] if b'line"' in payload else "None"
    for announce in (bridge, clan, player):
        for entry in decode(announce())["availability"]:
            assert render(entry["value_template"], payload) == expected


@pytest.mark.parametrize("event_type", ["cwl_started", "raid_ended", "war_new", "clan_level_up"])
def test_event_of_a_league_or_raid_is_shown_only_by_its_entity(event_type: str) -> None:
    payload = orjson.dumps({"event_type": event_type})
    entities = {"cwl": CWL["cwl"], "raid": RAID["raid"], "war": CLAN["war"], "activity": CLAN["activity"]}
    expected = {"cwl_started": "cwl", "raid_ended": "raid", "war_new": "war", "clan_level_up": "activity"}[event_type]
    assert [name for name, entity in entities.items() if shown(entity, payload)] == [expected]


@pytest.mark.parametrize("event_type", ["war_new", "member_joined", "poll_error", "an_unknown_one", ["war_new"], None])
def test_event_is_shown_only_by_the_entity_of_its_type(event_type: Any) -> None:
    payload = orjson.dumps({"event_type": event_type, "summary": 'it\'s <so> & "so"'})
    war_types = [one.value for one in WAR_EVENTS]
    known = isinstance(event_type, str) and event_type != "an_unknown_one"
    assert shown(CLAN["war"], payload) == (event_type if event_type in war_types else None)
    assert shown(CLAN["activity"], payload) == (event_type if known and event_type not in war_types else None)
    if event_type == "war_new":
        assert render(CLAN["war"]["value_template"], payload) == payload.decode()


@pytest.mark.parametrize(
    ("metadata", "is_shown"),
    [({"caused_by": "war_new"}, False), ({"caused_by": ""}, True), ({"war_state_to": "preparation"}, True)]
    + [(odd, True) for odd in ODD],
)
def test_event_is_not_shown_if_another_event_explains_it(metadata: Any, is_shown: bool) -> None:
    payload = orjson.dumps({"event_type": "war_state_changed", "metadata": metadata})
    assert shown(CLAN["war"], payload) == ("war_state_changed" if is_shown else None)
    assert shown(CLAN["trigger_war_state_changed"], payload) == "war_state_changed", "the trigger fires in any case"


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("watch_clan", {"kind": "clan", "tag": "TYPED"}),
        ("watch_player", {"kind": "player", "tag": "TYPED"}),
        ("unwatch", {"tag": "TYPED"}),
        ("log_level", {"level": "TYPED"}),
    ],
)
@pytest.mark.parametrize("typed", ["#2PP", "", '"', "'}", "\\", "{{ 1 }}", "</script>", "ä\n\N{CASTLE}\x00", "x" * 255])
def test_request_from_any_input_is_valid_json(component: str, expected: Json, typed: str) -> None:
    assert command(BRIDGE[component], typed) == {
        key: typed if value == "TYPED" else value for key, value in expected.items()
    }


@pytest.mark.parametrize(
    "typed",
    [
        *("#2PP", "2pp", " #2pp ", "%232PP", "#2Opo", "#" + "2" * 15, "\t#2PP\n"),
        *("", "#", "#2P", "#2PPX", "2PP#", "##2PP", "# 2PP", "#" + "2" * 16, "2PP, 2PQ", "%2PP", "clan"),
    ],
)
def test_text_field_accepts_the_tags_that_the_bridge_accepts(typed: str) -> None:
    try:
        normalize_tag(typed)
        is_tag = True
    except InvalidTagError:
        is_tag = typed == ""
    for key in ("watch_clan", "watch_player", "unwatch"):
        field = BRIDGE[key]
        taken = len(typed) <= field["max"] and re.match(field["pattern"], typed) is not None
        assert taken is is_tag


def test_button_requests_a_poll_of_its_device() -> None:
    pressed = {
        name: (component["command_topic"], orjson.loads(component["payload_press"]))
        for name, component in (("bridge", BRIDGE["refresh"]), ("clan", CLAN["refresh"]), ("player", PLAYER["refresh"]))
    }
    topic = "coc/bridge/request/poll"
    assert pressed == {
        "bridge": (topic, {}),
        "clan": (topic, {"kind": "clan", "tag": "#2PP"}),
        "player": (topic, {"kind": "player", "tag": "#900PUCPV"}),
    }


def test_controls_use_the_commands_of_the_bridge() -> None:
    topics = {key: part["command_topic"].rpartition("/")[2] for key, part in BRIDGE.items() if "command_topic" in part}
    assert topics == {
        "watch_clan": "watch",
        "watch_player": "watch",
        "unwatch": "unwatch",
        "refresh": "poll",
        "log_level": "log_level",
    }
