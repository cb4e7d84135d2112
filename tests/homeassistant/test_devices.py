from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from coc2mqtt.events.event import API_EVENTS, CLAN_EVENTS, PLAYER_EVENTS, WAR_EVENTS
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.homeassistant import DiscoveryMessage
from coc2mqtt.mqtt.payloads.player import PlayerParts, player_war_payload
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.payloads.war import war_payload
from tests.homeassistant.builders import bridge, clan, decode, discovery, player
from tests.homeassistant.rendering import render
from tests.support.bodies import no_war, war
from tests.support.bodies import player as player_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syrupy.assertion import SnapshotAssertion

    from coc2mqtt.events.event import EventType

Json = dict[str, Any]

CLAN_ONLY_IN_WAR = (
    *("war_status", "war_start", "war_end", "war_team_size", "opponent", "stars", "opponent_stars"),
    *("destruction", "opponent_destruction", "attacks_used", "attacks_left"),
)
PLAYER_ONLY_IN_WAR = ("attacks_left", "attack_pending", "war_end")
PLAYER_SUMS = ("donations_today", "donations_week", "last_seen")
NEEDS_VALUE = {*CLAN_ONLY_IN_WAR, *PLAYER_ONLY_IN_WAR, *PLAYER_SUMS, "last_war_result"}
CALENDAR = "coc/api/state/calendar"
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
            expected = [] if key == "connectivity" else [BRIDGE_STATE]
            expected += [CALENDAR] if component.get("state_topic") == CALENDAR else []
            assert topics_of(payload, key) == expected, key


@pytest.mark.parametrize(("message", "own"), [(clan(), "coc/clan/2PP"), (player(), "coc/player/900PUCPV")])
def test_states_need_bridge_and_watch_but_watch_entities_only_the_bridge(message: DiscoveryMessage, own: str) -> None:
    payload = decode(message)
    assert payload["availability_mode"] == "all"
    for key, component in payload["components"].items():
        if "unique_id" in component:
            alone = key in {"activity", "war", "available", "last_poll", "refresh"}
            expected = [BRIDGE_STATE] if alone else [BRIDGE_STATE, f"{own}/state/availability"]
            expected += [component["state_topic"]] if key in NEEDS_VALUE else []
            assert topics_of(payload, key) == expected, key


def is_available(component: Json, payload: bytes) -> bool:
    """Return whether an entity is available after a message on its state topic, while everything else is online."""
    online = b'{"state":"online"}'
    return all(
        render(entry["value_template"], payload if entry["topic"] == component["state_topic"] else online) == "online"
        for entry in component["availability"]
    )


@pytest.mark.parametrize(
    ("data", "memo", "expected"),
    [
        (war("preparation"), {}, True),
        (war("inWar"), {}, True),
        (war("warEnded"), {}, True),
        (no_war(), {}, False),
        (war("inWar"), {"private": True}, False),
    ],
)
def test_war_entities_are_available_only_with_a_visible_war(data: Json, memo: Json, expected: bool) -> None:
    components = decode(clan())["components"]
    payload = war_payload("#2PP", Snapshot(data, memo, 0.0)).encode()
    for key in CLAN_ONLY_IN_WAR:
        assert is_available(components[key], payload) is expected, key
        assert not is_available(components[key], b""), key
    assert "availability" not in components["war_state"]


@pytest.mark.parametrize(
    ("data", "memo", "watched", "expected"),
    [
        (war("inWar"), {}, True, set(PLAYER_ONLY_IN_WAR)),
        # Without a war, no attacks are left.
        (no_war(), {}, True, {"attacks_left", "attack_pending"}),
        (war("inWar"), {"private": True}, True, set()),
        (war("inWar"), {}, False, set()),
    ],
)
def test_war_entities_of_player_are_available_if_they_have_a_value(
    data: Json, memo: Json, watched: bool, expected: set[str]
) -> None:
    components = decode(player())["components"]
    part = player_war_payload("#2P2", "#2PP", Snapshot(data, memo, 0.0)) if watched else None
    parts, resource = PlayerParts(war=part), Resource(Kind.PLAYER, "#2P2")
    state = state_payloads(resource, Snapshot(player_body(), {}, 0.0), parts=parts)["player"]
    shown = {key for key in PLAYER_ONLY_IN_WAR if is_available(components[key], state.encode())}
    assert shown == expected


def test_entities_without_meaning_in_the_activity_log_are_disabled_by_default() -> None:
    disabled = {
        key
        for message in (bridge(), clan(), player())
        for key, component in decode(message)["components"].items()
        if component.get("enabled_by_default") is False and component["entity_category"] == "diagnostic"
    }
    assert disabled == {"last_poll", "last_event"}


def test_names_of_war_entities_sort_together() -> None:
    components = decode(clan())["components"]
    assert {key for key in (*CLAN_ONLY_IN_WAR, "war_state") if not components[key]["name"].startswith("War ")} == set()


def test_names_of_player_attacks_do_not_mention_only_the_war() -> None:
    components = decode(player())["components"]
    names = {key: components[key]["name"] for key in PLAYER_ONLY_IN_WAR}
    assert names == {"attacks_left": "Attacks left", "attack_pending": "Attack pending", "war_end": "War end"}


def test_bridge_device_links_to_the_project() -> None:
    payload = decode(bridge())
    assert payload["device"]["configuration_url"] == payload["origin"]["support_url"]


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
        *("war", "war_state", "last_war_result", *CLAN_ONLY_IN_WAR),
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
