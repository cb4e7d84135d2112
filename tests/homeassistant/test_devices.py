from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from coc2mqtt.events.event import API_EVENTS, CLAN_EVENTS, PLAYER_EVENTS, WAR_EVENTS
from coc2mqtt.events.resource import Kind
from coc2mqtt.homeassistant import DiscoveryMessage
from tests.homeassistant.builders import bridge, clan, decode, discovery, player

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syrupy.assertion import SnapshotAssertion

    from coc2mqtt.events.event import EventType

Json = dict[str, Any]

BRIDGE_STATE, AVAILABILITY = "coc/bridge/state", "coc/clan/2PP/state/availability"


def words(event_types: Iterable[EventType]) -> list[str]:
    return [event_type.value for event_type in event_types]


# Update with `pytest tests/homeassistant --snapshot-update` and review the diff: each line is an entity of a user.
@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def topics_of(payload: Json, key: str) -> list[str]:
    return [entry["topic"] for entry in (payload | payload["components"][key])["availability"]]


def test_bridge_device_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(bridge()) == golden


def test_clan_device_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(clan()) == golden


def test_clan_device_without_war_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(clan(war=False)) == golden


def test_player_device_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(player()) == golden


def test_each_device_has_its_own_discovery_topic() -> None:
    assert bridge().topic == "homeassistant/device/coc2mqtt_home_bridge/config"
    assert clan().topic == "homeassistant/device/coc2mqtt_home_clan_2PP/config"
    assert player().topic == "homeassistant/device/coc2mqtt_home_player_900PUCPV/config"
    assert clan(prefix="ha").topic == "ha/device/coc2mqtt_home_clan_2PP/config"


@pytest.mark.parametrize("announce", [clan, player])
def test_renaming_changes_only_the_device_name(announce: Any) -> None:
    old, new = decode(announce(name="The Order")), decode(announce(name="Chaos"))
    assert (old["device"].pop("name"), new["device"].pop("name")) == ("The Order", "Chaos")
    assert old == new


@pytest.mark.parametrize("name", [None, ""])
def test_device_without_name_is_named_by_its_tag(name: str | None) -> None:
    assert decode(clan(name=name))["device"]["name"] == "#2PP"
    assert decode(player(name=name))["device"]["name"] == "#900PUCPV"


@pytest.mark.parametrize(
    ("message", "prefix"),
    [
        (clan("#G8YP9GL08"), "clan_g8yp9gl08"),
        (player("#G8YP9GL08"), "player_g8yp9gl08"),
        (bridge(instance="My-Home"), "coc2mqtt_my_home"),
    ],
)
def test_entity_ids_consist_of_tag_and_key(message: DiscoveryMessage, prefix: str) -> None:
    payload = decode(message)
    [device] = payload["device"]["identifiers"]
    for key, entity in payload["components"].items():
        if "unique_id" in entity:
            assert entity["unique_id"] == f"{device}_{key}"
            assert entity["default_entity_id"] == f"{entity['platform']}.{prefix}_{key}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (clan("#2PP"), clan("#2PQ")),
        (clan("#2PP"), player("#2PP")),
        (clan(instance="home"), clan(instance="away")),
        (bridge(instance="a"), bridge(instance="b")),
    ],
)
def test_devices_share_no_id(one: DiscoveryMessage, other: DiscoveryMessage) -> None:
    def ids(message: DiscoveryMessage) -> set[str]:
        payload = decode(message)
        unique = {entity["unique_id"] for entity in payload["components"].values() if "unique_id" in entity}
        return {message.topic, *payload["device"]["identifiers"], *unique}

    assert not ids(one) & ids(other)


def test_clans_and_players_are_connected_via_the_bridge() -> None:
    [identifier] = decode(bridge())["device"]["identifiers"]
    assert decode(clan())["device"]["via_device"] == decode(player())["device"]["via_device"] == identifier


def test_device_links_to_profile_in_the_game() -> None:
    link = "https://link.clashofclans.com/en?action="
    assert decode(clan())["device"]["configuration_url"] == f"{link}OpenClanProfile&tag=%232PP"
    assert decode(player())["device"]["configuration_url"] == f"{link}OpenPlayerProfile&tag=%23900PUCPV"


def test_bridge_entities_except_connectivity_need_the_bridge_online() -> None:
    payload = decode(bridge())
    for key, component in payload["components"].items():
        if component["platform"] != "device_automation":
            assert topics_of(payload, key) == ([] if key == "connectivity" else [BRIDGE_STATE]), key


@pytest.mark.parametrize(("message", "own"), [(clan(), "coc/clan/2PP"), (player(), "coc/player/900PUCPV")])
def test_states_need_bridge_and_watch_but_watch_entities_only_the_bridge(message: DiscoveryMessage, own: str) -> None:
    payload = decode(message)
    assert payload["availability_mode"] == "all"
    for key, component in payload["components"].items():
        if "unique_id" in component:
            alone = key in {"activity", "war", "available", "last_poll", "refresh"}
            expected = [BRIDGE_STATE] if alone else [BRIDGE_STATE, f"{own}/state/availability"]
            assert topics_of(payload, key) == expected, key


@pytest.mark.parametrize(
    ("message", "entities", "event_types", "topic"),
    [
        (clan(), ("war", "activity"), (*WAR_EVENTS, *CLAN_EVENTS), "coc/clan/2PP/+"),
        (clan(war=False), ("activity",), CLAN_EVENTS, "coc/clan/2PP/+"),
        (player(), ("activity",), PLAYER_EVENTS, "coc/player/900PUCPV/+"),
        (bridge(), ("api_events",), API_EVENTS, "coc/api/+"),
    ],
)
def test_every_event_type_has_one_entity_and_one_trigger(
    message: DiscoveryMessage, entities: tuple[str, ...], event_types: tuple[EventType, ...], topic: str
) -> None:
    components = decode(message)["components"]
    shown = [event_type for entity in entities for event_type in components[entity]["event_types"]]
    triggers = {key: value for key, value in components.items() if "subtype" in value}
    assert shown == [trigger["subtype"] for trigger in triggers.values()] == words(event_types)
    assert list(triggers) == [f"trigger_{event_type}" for event_type in shown]
    for trigger in triggers.values():
        assert (trigger["type"], trigger["payload"], trigger["topic"]) == ("happened", trigger["subtype"], topic)
    assert {components[entity]["state_topic"] for entity in entities} == {topic}


def test_clan_without_war_removes_only_war_components() -> None:
    full, peaceful = (decode(clan(war=war))["components"] for war in (True, False))
    gone = {f"trigger_{event_type}" for event_type in words(WAR_EVENTS)} | {
        *("war", "war_state", "war_status", "war_start", "war_end", "opponent", "stars", "opponent_stars"),
        *("destruction", "opponent_destruction", "attacks_used", "attacks_left"),
    }
    assert list(full) == list(peaceful)
    for key, component in full.items():
        assert peaceful[key] == ({"platform": component["platform"]} if key in gone else component), key


def test_former_events_entity_is_removed() -> None:
    assert decode(clan())["components"]["events"] == {"platform": "event"}


@pytest.mark.parametrize(
    "url", [None, "", "badge.png", "http://x.org/b.png", "https://x.org", "https://x.org/'b", "x…"]
)
def test_badge_without_valid_url_is_removed(url: str | None) -> None:
    assert decode(clan(badge_url=url))["components"]["badge"] == {"platform": "image"}
    assert decode(clan())["components"]["badge"]["platform"] == "image"
    assert "url_topic" in decode(clan())["components"]["badge"]


@pytest.mark.parametrize("message", [bridge(), clan(), player()])
def test_devices_use_qos_1(message: DiscoveryMessage) -> None:
    assert decode(message)["qos"] == 1


@pytest.mark.parametrize(("kind", "message"), [(Kind.CLAN, clan("#2PP")), (Kind.PLAYER, player("#2PP"))])
def test_removal_is_an_empty_payload_on_the_discovery_topic(kind: Kind, message: DiscoveryMessage) -> None:
    assert discovery().removal(kind, "#2PP") == DiscoveryMessage(topic=message.topic, payload=b"")
