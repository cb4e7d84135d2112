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


# Renew with `pytest tests/homeassistant --snapshot-update`, and read what has changed: each line is a user's entity.
@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def topics_of(payload: Json, key: str) -> list[str]:
    return [entry["topic"] for entry in (payload | payload["components"][key])["availability"]]


def test_the_bridge_is_announced_like_this(golden: SnapshotAssertion) -> None:
    assert decode(bridge()) == golden


def test_a_clan_is_announced_like_this(golden: SnapshotAssertion) -> None:
    assert decode(clan()) == golden


def test_a_clan_without_war_is_announced_like_this(golden: SnapshotAssertion) -> None:
    assert decode(clan(war=False)) == golden


def test_a_player_is_announced_like_this(golden: SnapshotAssertion) -> None:
    assert decode(player()) == golden


def test_each_device_is_announced_on_its_own_topic() -> None:
    assert bridge().topic == "homeassistant/device/coc2mqtt_home_bridge/config"
    assert clan().topic == "homeassistant/device/coc2mqtt_home_clan_2PP/config"
    assert player().topic == "homeassistant/device/coc2mqtt_home_player_900PUCPV/config"
    assert clan(prefix="ha").topic == "ha/device/coc2mqtt_home_clan_2PP/config"


@pytest.mark.parametrize("announce", [clan, player])
def test_who_is_renamed_changes_their_name_and_nothing_else(announce: Any) -> None:
    old, new = decode(announce(name="The Order")), decode(announce(name="Chaos"))
    assert (old["device"].pop("name"), new["device"].pop("name")) == ("The Order", "Chaos")
    assert old == new


@pytest.mark.parametrize("name", [None, ""])
def test_what_has_no_known_name_is_called_by_its_tag(name: str | None) -> None:
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
def test_an_entitys_ids_are_the_tag_and_its_key(message: DiscoveryMessage, prefix: str) -> None:
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
def test_no_two_devices_share_an_id(one: DiscoveryMessage, other: DiscoveryMessage) -> None:
    def ids(message: DiscoveryMessage) -> set[str]:
        payload = decode(message)
        unique = {entity["unique_id"] for entity in payload["components"].values() if "unique_id" in entity}
        return {message.topic, *payload["device"]["identifiers"], *unique}

    assert not ids(one) & ids(other)


def test_clans_and_players_are_shown_behind_their_bridge() -> None:
    [identifier] = decode(bridge())["device"]["identifiers"]
    assert decode(clan())["device"]["via_device"] == decode(player())["device"]["via_device"] == identifier


def test_a_device_links_to_its_profile_in_the_game() -> None:
    link = "https://link.clashofclans.com/en?action="
    assert decode(clan())["device"]["configuration_url"] == f"{link}OpenClanProfile&tag=%232PP"
    assert decode(player())["device"]["configuration_url"] == f"{link}OpenPlayerProfile&tag=%23900PUCPV"


def test_all_of_the_bridge_needs_the_bridge_but_its_connectivity_which_is_always_there() -> None:
    payload = decode(bridge())
    for key, component in payload["components"].items():
        if component["platform"] != "device_automation":
            assert topics_of(payload, key) == ([] if key == "connectivity" else [BRIDGE_STATE]), key


@pytest.mark.parametrize(("message", "own"), [(clan(), "coc/clan/2PP"), (player(), "coc/player/900PUCPV")])
def test_states_need_bridge_and_watch_and_the_bridge_alone_what_tells_of_the_watch(
    message: DiscoveryMessage, own: str
) -> None:
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
def test_every_event_is_shown_by_one_entity_and_starts_one_trigger(
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


def test_without_war_its_components_are_taken_back_and_nothing_else() -> None:
    full, peaceful = (decode(clan(war=war))["components"] for war in (True, False))
    gone = {f"trigger_{event_type}" for event_type in words(WAR_EVENTS)} | {
        *("war", "war_state", "war_status", "war_start", "war_end", "opponent", "stars", "opponent_stars"),
        *("destruction", "opponent_destruction", "attacks_used", "attacks_left"),
    }
    assert list(full) == list(peaceful)
    for key, component in full.items():
        assert peaceful[key] == ({"platform": component["platform"]} if key in gone else component), key


def test_the_former_entity_of_all_events_is_taken_back() -> None:
    assert decode(clan())["components"]["events"] == {"platform": "event"}


@pytest.mark.parametrize(
    "url", [None, "", "badge.png", "http://x.org/b.png", "https://x.org", "https://x.org/'b", "x…"]
)
def test_a_badge_is_shown_only_once_it_is_known(url: str | None) -> None:
    assert decode(clan(badge_url=url))["components"]["badge"] == {"platform": "image"}
    assert decode(clan())["components"]["badge"]["platform"] == "image"
    assert "url_topic" in decode(clan())["components"]["badge"]


@pytest.mark.parametrize("message", [bridge(), clan(), player()])
def test_home_assistant_is_told_to_subscribe_with_qos_1(message: DiscoveryMessage) -> None:
    assert decode(message)["qos"] == 1


@pytest.mark.parametrize(("kind", "message"), [(Kind.CLAN, clan("#2PP")), (Kind.PLAYER, player("#2PP"))])
def test_a_device_is_removed_by_an_empty_payload_on_its_topic(kind: Kind, message: DiscoveryMessage) -> None:
    assert discovery().removal(kind, "#2PP") == DiscoveryMessage(topic=message.topic, payload=b"")
