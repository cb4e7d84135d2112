"""The clan war league and the raid weekend of a clan: parts of its device with discovery payloads of their own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from coc2mqtt.events.event import (
    ACTIVITY_EVENTS,
    CLAN_EVENTS,
    CWL_EVENTS,
    GAMES_EVENTS,
    RAID_EVENTS,
    REMINDER_EVENTS,
    WAR_EVENTS,
)
from coc2mqtt.events.resource import DEFAULT_REMINDERS, Kind, Resource, Snapshot, Watch
from coc2mqtt.homeassistant import DiscoveryMessage
from coc2mqtt.mqtt.payloads.state import state_payloads
from tests.homeassistant.builders import activity, clan, cwl, decode, discovery, games, raid, reminders
from tests.homeassistant.rendering import render
from tests.homeassistant.retained_states import retained

if TYPE_CHECKING:
    from collections.abc import Callable

    from syrupy.assertion import SnapshotAssertion

    from coc2mqtt.events.event import EventType

Json = dict[str, Any]

ONLINE = b'{"state":"online"}'
BOTH = [pytest.param(cwl, "cwl", id="league"), pytest.param(raid, "raid", id="raid")]


# Update with `pytest tests/homeassistant --snapshot-update` and review the diff: each line is an entity of a user.
@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def test_league_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(cwl()) == golden


def test_raid_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(raid()) == golden


@pytest.mark.parametrize(("announce", "part"), BOTH)
def test_part_belongs_to_the_device_of_the_clan(announce: Callable[..., DiscoveryMessage], part: str) -> None:
    message, of_clan = announce(), decode(clan())
    of_part = decode(message)
    assert message.topic == f"homeassistant/device/coc2mqtt_home_clan_2PP_{part}/config"
    for key in ("device", "origin", "availability_mode", "qos"):
        assert of_part[key] == of_clan[key], key
    assert of_part["availability"][:2] == of_clan["availability"]
    assert not set(of_part["components"]) & set(of_clan["components"])


@pytest.mark.parametrize(("announce", "part"), BOTH)
def test_ids_of_a_part_consist_of_tag_and_key(announce: Callable[..., DiscoveryMessage], part: str) -> None:
    for key, entity in decode(announce("#G8YP9GL08"))["components"].items():
        if "unique_id" in entity:
            assert key.startswith(part)
            assert entity["unique_id"] == f"coc2mqtt_home_clan_G8YP9GL08_{key}"
            assert entity["default_entity_id"] == f"{entity['platform']}.clan_g8yp9gl08_{key}"


@pytest.mark.parametrize(("announce", "part"), BOTH)
def test_names_of_a_part_sort_together(announce: Callable[..., DiscoveryMessage], part: str) -> None:
    names = {one["name"] for one in decode(announce())["components"].values() if "name" in one}
    start = {"cwl": "CWL", "raid": "Raid"}[part]
    assert {name for name in names if not name.startswith(start)} == set()


@pytest.mark.parametrize("announce", [cwl, raid])
def test_blueprints_about_wars_find_only_the_opponent_in_the_war(announce: Callable[..., DiscoveryMessage]) -> None:
    ids = [one["default_entity_id"] for one in decode(announce())["components"].values() if "unique_id" in one]
    assert not [one for one in ids if one.endswith("_opponent")]


@pytest.mark.parametrize(("announce", "part"), BOTH)
def test_only_percentages_have_a_unit(announce: Callable[..., DiscoveryMessage], part: str) -> None:
    components = decode(announce())["components"]
    units = {one["unit_of_measurement"] for one in components.values() if "unit_of_measurement" in one}
    assert units == ({"%"} if part == "cwl" else set())


def is_available(payload: Json, key: str, state: bytes, own_topic: str) -> bool:
    return all(
        render(entry["value_template"], state if entry["topic"] == own_topic else ONLINE) == "online"
        for entry in (payload | payload["components"][key])["availability"]
    )


@pytest.mark.parametrize(
    ("announce", "part", "changes", "expected"),
    [
        (cwl, "cwl", {}, True),
        (cwl, "cwl", {"state": "ended", "war": None}, True),
        (cwl, "cwl", {"state": "searching", "rounds": None}, False),
        (raid, "raid", {}, True),
        (raid, "raid", {"state": "ended", "opponent": None}, True),
        (raid, "raid", {"state": "none", "start_time": None}, False),
    ],
)
def test_entities_are_available_only_in_a_league_or_after_the_first_raid(
    announce: Callable[..., DiscoveryMessage], part: str, changes: Json, expected: bool
) -> None:
    payload, topic = decode(announce()), f"coc/clan/2PP/state/{part}"
    state = orjson.dumps(retained()[topic] | changes)
    for key, entity in payload["components"].items():
        if "unique_id" in entity:
            always = key in {part, f"{part}_state"}
            assert is_available(payload, key, state, topic) is (expected or always), key
            assert is_available(payload, key, b"", topic) is always, key


@pytest.mark.parametrize(("announce", "part", "kind"), [(cwl, "cwl", Kind.CWL), (raid, "raid", Kind.RAID)])
def test_only_state_and_events_are_available_before_the_first_league_or_raid(
    announce: Callable[..., DiscoveryMessage], part: str, kind: Kind
) -> None:
    payload, topic = decode(announce()), f"coc/clan/2PP/state/{part}"
    empty: Json = {"group": None, "wars": {}} if kind is Kind.CWL else {"season": None}
    state = state_payloads(Resource(kind, "#2PP"), Snapshot(empty, {}, 0.0))[part].encode()
    entities = [key for key, entity in payload["components"].items() if "unique_id" in entity]
    assert {key for key in entities if is_available(payload, key, state, topic)} == {part, f"{part}_state"}


@pytest.mark.parametrize(("announce", "part"), BOTH)
def test_event_entity_of_a_part_needs_only_the_bridge(announce: Callable[..., DiscoveryMessage], part: str) -> None:
    payload = decode(announce())
    topics = {
        key: [one["topic"] for one in payload["components"][key]["availability"]] for key in (part, f"{part}_state")
    }
    both = ["coc/bridge/state", "coc/clan/2PP/state/availability"]
    assert topics == {part: both[:1], f"{part}_state": both}


@pytest.mark.parametrize(("announce", "event_types"), [(cwl, CWL_EVENTS), (raid, RAID_EVENTS)])
def test_every_event_type_of_a_part_has_an_entity_and_a_trigger(
    announce: Callable[..., DiscoveryMessage], event_types: tuple[EventType, ...]
) -> None:
    components = decode(announce())["components"]
    [entity] = [one for one in components.values() if one["platform"] == "event"]
    triggers = {key: one for key, one in components.items() if "subtype" in one}
    assert entity["event_types"] == [one["subtype"] for one in triggers.values()] == [one.value for one in event_types]
    assert {one["topic"] for one in triggers.values()} == {entity["state_topic"]} == {"coc/clan/2PP/+"}
    assert list(triggers) == [f"trigger_{event_type.value}" for event_type in event_types]


def test_every_event_type_below_a_clan_has_one_trigger_in_its_device() -> None:
    parts = [decode(announce())["components"] for announce in (clan, cwl, raid, games, reminders, activity)]
    triggers = [one["subtype"] for components in parts for one in components.values() if "subtype" in one]
    of_parts = {*CWL_EVENTS, *RAID_EVENTS, *GAMES_EVENTS, *REMINDER_EVENTS, *ACTIVITY_EVENTS}
    expected = {*CLAN_EVENTS, *WAR_EVENTS, *of_parts}
    assert sorted(triggers) == sorted(event_type.value for event_type in expected)


def test_position_is_removed_without_standings() -> None:
    full, own = (decode(cwl(standings=standings))["components"] for standings in (True, False))
    assert own == full | {"cwl_position": {"platform": "sensor"}}


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"members": False}, set()),
        ({}, {"activity"}),
        ({"members": False, "cwl": True}, {"cwl"}),
        ({"members": False, "raids": True}, {"raid"}),
        ({"cwl": True, "raids": True, "cwl_standings": True}, {"cwl", "raid", "activity"}),
        ({"members": False, "games": True}, {"games"}),
        ({"members": False, "reminders": DEFAULT_REMINDERS}, {"reminders"}),
    ],
)
def test_only_watched_parts_are_announced(options: Json, parts: set[str]) -> None:
    announced = discovery().parts(Watch(Kind.CLAN, "#2PP", 60.0, **options), "The Order")
    assert {one.topic for one in announced} == {
        f"homeassistant/device/coc2mqtt_home_clan_2PP_{part}/config" for part in parts
    }


@pytest.mark.parametrize(("announce", "kind"), [(cwl, Kind.CWL), (raid, Kind.RAID)])
def test_topic_of_a_part_belongs_to_the_clan(announce: Callable[..., DiscoveryMessage], kind: Kind) -> None:
    message = announce()
    part = Resource(kind, "#2PP")
    assert discovery().part(message.topic) == part
    assert discovery().device(message.topic) == Resource(Kind.CLAN, "#2PP")
    assert discovery().part_removal(part) == DiscoveryMessage(message.topic, b"")
    assert discovery().part(clan().topic) is None


@pytest.mark.parametrize("announce", [cwl, raid, partial(cwl, standings=False)])
def test_renamed_clan_keeps_its_parts(announce: Callable[..., DiscoveryMessage]) -> None:
    old, new = decode(announce(name="The Order")), decode(announce(name="Chaos"))
    assert (old["device"].pop("name"), new["device"].pop("name")) == ("The Order", "Chaos")
    assert old == new
    assert decode(announce(name=None))["device"]["name"] == "#2PP"
