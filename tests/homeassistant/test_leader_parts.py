"""The parts for clan leaders: activity, reminders and clan games of a clan, ranked battles of a player, calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from coc2mqtt.events.event import ACTIVITY_EVENTS, GAMES_EVENTS, RANKED_EVENTS, REMINDER_EVENTS
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.homeassistant import DiscoveryMessage
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from tests.homeassistant.builders import activity, bridge, clan, decode, discovery, games, player, ranked, reminders
from tests.homeassistant.rendering import attributes, render, shown
from tests.homeassistant.retained_states import SEEN, retained

if TYPE_CHECKING:
    from collections.abc import Callable

    from syrupy.assertion import SnapshotAssertion

    from coc2mqtt.events.event import EventType

Json = dict[str, Any]

GAMES, RANKED = "coc/clan/2PP/state/games", "coc/player/900PUCPV/state/ranked"
CLAN, MEMBERS, CALENDAR = "coc/clan/2PP/state/clan", "coc/clan/2PP/state/members", "coc/api/state/calendar"
ALL = [
    pytest.param(activity, clan, "activity", "activity_members", ACTIVITY_EVENTS, id="activity"),
    pytest.param(reminders, clan, "reminders", "reminders", REMINDER_EVENTS, id="reminders"),
    pytest.param(games, clan, "games", "clan_games", GAMES_EVENTS, id="games"),
    pytest.param(ranked, player, "ranked", "ranked", RANKED_EVENTS, id="ranked"),
]


# Update with `pytest tests/homeassistant --snapshot-update` and review the diff: each line is an entity of a user.
@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("announce", [activity, reminders, games, ranked])
def test_part_matches_golden_payload(
    announce: Callable[..., DiscoveryMessage], language: str, golden: SnapshotAssertion
) -> None:
    assert decode(announce(language=language)) == golden


@pytest.mark.parametrize(("announce", "whole", "part", "entity", "event_types"), ALL)
def test_part_belongs_to_its_device_and_shares_no_component(
    announce: Callable[..., DiscoveryMessage],
    whole: Callable[..., DiscoveryMessage],
    part: str,
    entity: str,
    event_types: tuple[EventType, ...],
) -> None:
    message, device = announce(), whole()
    of_part, of_device = decode(message), decode(device)
    assert message.topic == device.topic.replace("/config", f"_{part}/config")
    for key in ("device", "origin", "availability_mode", "qos"):
        assert of_part[key] == of_device[key], key
    assert not set(of_part["components"]) & set(of_device["components"])
    [event] = [key for key, one in of_part["components"].items() if one["platform"] == "event"]
    triggers = [one["subtype"] for one in of_part["components"].values() if "subtype" in one]
    assert event == entity
    assert of_part["components"][event]["event_types"] == triggers == [one.value for one in event_types]
    bridge_only = [one["topic"] for one in of_part["components"][event]["availability"]]
    assert bridge_only == ["coc/bridge/state"], "shows its last event even if the clan is unavailable"


@pytest.mark.parametrize(
    ("announce", "kind"),
    [(activity, Kind.CLAN), (reminders, Kind.REMINDER), (games, Kind.GAMES), (ranked, Kind.RANKED)],
)
def test_topic_of_a_part_is_found_again(announce: Callable[..., DiscoveryMessage], kind: Kind) -> None:
    topic, tag = announce().topic, "#900PUCPV" if kind is Kind.RANKED else "#2PP"
    assert discovery().part(topic) == Resource(kind, tag)
    assert discovery().device(topic) == Resource(Kind.PLAYER if kind is Kind.RANKED else Kind.CLAN, tag)
    assert discovery().part_removal(Resource(kind, tag)) == DiscoveryMessage(topic, b"")


@pytest.mark.parametrize("announce", [activity, reminders, games, ranked])
def test_ids_of_a_part_consist_of_tag_and_key(announce: Callable[..., DiscoveryMessage]) -> None:
    kind = "player" if announce is ranked else "clan"
    for key, entity in decode(announce("#G8YP9GL08"))["components"].items():
        if "unique_id" in entity:
            assert entity["unique_id"] == f"coc2mqtt_home_{kind}_G8YP9GL08_{key}"
            assert entity["default_entity_id"] == f"{entity['platform']}.{kind}_g8yp9gl08_{key}"
            # The blueprints about wars look for the only sensor of the clan whose id ends like this.
            assert not key.endswith("_opponent")


@pytest.mark.parametrize(
    ("announce", "topic", "key", "state"),
    [
        (games, GAMES, "clan_games_state", "ongoing"),
        (games, GAMES, "clan_games_points", "31500"),
        (games, GAMES, "clan_games_start", "2026-11-22T08:00:00.000+00:00"),
        (games, GAMES, "clan_games_end", "2026-11-28T08:00:00.000+00:00"),
        (games, GAMES, "clan_games_members_below", "60"),
        (ranked, RANKED, "ranked_tier", "Titan League 25"),
        (ranked, RANKED, "ranked_placement", "12"),
        (ranked, RANKED, "ranked_trophies", "140"),
        (ranked, RANKED, "ranked_attacks", "5"),
        (ranked, RANKED, "ranked_week_end", "2026-12-07T05:00:00.000+00:00"),
        (bridge, CALENDAR, "season_end", SEEN),
        (bridge, CALENDAR, "gold_pass_end", SEEN),
        (bridge, CALENDAR, "ranked_week_end", SEEN),
        (bridge, CALENDAR, "clan_games_start", SEEN),
        (bridge, CALENDAR, "clan_games_end", SEEN),
        (bridge, CALENDAR, "raid_weekend_start", SEEN),
        (bridge, CALENDAR, "raid_weekend_end", SEEN),
    ],
)
def test_entity_shows_the_retained_state(
    announce: Callable[..., DiscoveryMessage], topic: str, key: str, state: str
) -> None:
    component = decode(announce())["components"][key]
    assert component["state_topic"] == topic
    assert shown(component, orjson.dumps(retained()[topic])) == state


@pytest.mark.parametrize("key", ["donations_today", "donations_week", "inactive_members"])
def test_sum_of_a_clan_is_shown_and_unavailable_while_it_is_unknown(key: str) -> None:
    component = decode(activity())["components"][key]
    [entry] = [one for one in component["availability"] if one["topic"] == CLAN]
    for value, expected in ((7, "online"), (0, "online"), (None, "offline")):
        payload = orjson.dumps({"tag": "#2PP", key: value, "donations_week": value})
        assert render(entry["value_template"], payload) == expected
        assert shown(component, payload) == (None if value is None else str(value))


def test_inactive_members_are_listed_with_the_time_they_were_last_seen() -> None:
    component = decode(activity())["components"]["inactive_members"]
    members = [
        {"tag": "#2P2", "name": "Ann", "last_seen_at": SEEN, "inactive": True},
        {"tag": "#2P8", "name": "Ben", "last_seen_at": SEEN, "inactive": False},
        {"tag": "#2P9", "name": None, "last_seen_at": None, "inactive": True},
        {"tag": "#2PY", "name": "Cleo"},
        "not a member",
    ]
    assert component["json_attributes_topic"] == MEMBERS
    assert attributes(component, orjson.dumps({"members": members})) == {
        "members": [{"name": "Ann", "last_seen": SEEN}, {"name": "#2P9", "last_seen": None}]
    }
    assert attributes(component, orjson.dumps({"members": None})) == {"members": []}


def test_members_below_the_maximum_of_the_clan_games_are_listed_with_their_points() -> None:
    component = decode(games())["components"]["clan_games_members_below"]
    found = attributes(component, orjson.dumps(retained()[GAMES]))["members"]
    assert len(found) == 50
    assert found[1] == {"name": retained()[GAMES]["members_below"][1]["name"], "points": 1}


def test_only_the_state_of_clan_games_is_available_before_the_first_ones() -> None:
    payload = decode(games())
    state = orjson.dumps(retained()[GAMES] | {"state": "none", "start_at": None, "end_at": None, "total": None})
    available = {
        key
        for key, one in payload["components"].items()
        if "unique_id" in one
        and all(
            render(entry["value_template"], state if entry["topic"] == GAMES else b'{"state":"online"}') == "online"
            for entry in (payload | one)["availability"]
        )
    }
    assert available == {"clan_games", "clan_games_state"}


def test_calendar_is_removed_if_it_is_not_watched() -> None:
    without = Discovery(Topics(), instance="home", version="1", prefix="homeassistant", calendar=False)
    off = without.bridge()
    components, shown_ones = decode(off)["components"], decode(bridge())["components"]
    calendar = {key for key, one in shown_ones.items() if one.get("state_topic") == CALENDAR}
    assert len(calendar) == 7
    assert components == {**shown_ones, **{key: {"platform": "sensor"} for key in calendar}}
    # So that the payload of an earlier run is kept until Home Assistant has removed them.
    assert without.platforms(None, off.topic).keys() == shown_ones.keys() - calendar
