from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from coc2mqtt.homeassistant import DiscoveryMessage, discovery_topic, removal
from tests.homeassistant.builders import EVENT_TYPES, bridge, clan, decode

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

Json = dict[str, Any]

WAR_ENTITIES = {"war_state", "war_start", "war_end"}


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def topics_of(component: Json, payload: Json) -> list[str]:
    return [entry["topic"] for entry in (payload | component)["availability"]]


def test_the_bridge_is_announced_like_this(golden: SnapshotAssertion) -> None:
    assert decode(bridge()) == golden


def test_a_clan_is_announced_like_this(golden: SnapshotAssertion) -> None:
    assert decode(clan()) == golden


def test_a_clan_without_war_is_announced_like_this(golden: SnapshotAssertion) -> None:
    assert decode(clan(war=False)) == golden


def test_each_device_is_announced_on_its_own_topic() -> None:
    assert bridge().topic == "homeassistant/device/coc2mqtt_home_bridge/config"
    assert clan().topic == "homeassistant/device/coc2mqtt_home_clan_2PP/config"
    assert clan(discovery_prefix="ha").topic == "ha/device/coc2mqtt_home_clan_2PP/config"


def test_a_renamed_clan_changes_its_name_and_nothing_else() -> None:
    old, new = decode(clan(name="The Order")), decode(clan(name="Chaos"))
    assert (old["device"].pop("name"), new["device"].pop("name")) == ("The Order", "Chaos")
    assert old == new


@pytest.mark.parametrize("name", [None, ""])
def test_a_clan_without_a_known_name_is_called_by_its_tag(name: str | None) -> None:
    assert decode(clan(name=name))["device"]["name"] == "#2PP"


def test_entity_ids_come_from_the_tag() -> None:
    components = decode(clan("#G8YP9GL08", name="The Order"))["components"].values()
    assert {entity["default_entity_id"] for entity in components if "default_entity_id" in entity} == {
        "sensor.clan_g8yp9gl08_war_state",
        "sensor.clan_g8yp9gl08_war_start",
        "sensor.clan_g8yp9gl08_war_end",
        "sensor.clan_g8yp9gl08_members",
        "event.clan_g8yp9gl08_events",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [(clan("#2PP"), clan("#2PQ")), (clan(instance="home"), clan(instance="away")), (bridge("a"), bridge("b"))],
)
def test_no_two_devices_share_an_id(one: DiscoveryMessage, other: DiscoveryMessage) -> None:
    def ids(message: DiscoveryMessage) -> set[str]:
        payload = decode(message)
        unique = {entity["unique_id"] for entity in payload["components"].values() if "unique_id" in entity}
        return {message.topic, *payload["device"]["identifiers"], *unique}

    assert not ids(one) & ids(other)


def test_a_clan_is_shown_behind_its_bridge() -> None:
    assert [decode(clan())["device"]["via_device"]] == decode(bridge())["device"]["identifiers"]


def test_a_clan_links_to_its_profile_in_the_game() -> None:
    url = decode(clan())["device"]["configuration_url"]
    assert url == "https://link.clashofclans.com/en?action=OpenClanProfile&tag=%232PP"


def test_the_bridges_connectivity_is_there_even_when_the_bridge_is_not() -> None:
    payload = decode(bridge())
    assert {key: topics_of(entity, payload) for key, entity in payload["components"].items()} == {
        "connectivity": [],
        "maintenance": ["coc/bridge/state"],
        "api_status": ["coc/bridge/state"],
    }


def test_a_clans_states_need_both_the_bridge_and_the_clan() -> None:
    payload = decode(clan())
    assert payload["availability_mode"] == "all"
    for key in ("war_state", "war_start", "war_end", "members"):
        assert topics_of(payload["components"][key], payload) == ["coc/bridge/state", "coc/clan/2PP/state/availability"]


def test_a_clans_events_are_there_when_the_clan_is_not_so_that_watch_unavailable_is_seen() -> None:
    payload = decode(clan())
    assert topics_of(payload["components"]["events"], payload) == ["coc/bridge/state"]


def test_every_event_has_a_trigger_on_the_filter_of_the_event_entity() -> None:
    components = decode(clan())["components"]
    triggers = [trigger for trigger in components.values() if trigger["platform"] == "device_automation"]
    assert [(trigger["payload"], trigger["type"], trigger["subtype"]) for trigger in triggers] == [
        (event_type, "happened", event_type) for event_type in sorted(EVENT_TYPES, key=order_of_triggers)
    ]
    assert {trigger["topic"] for trigger in triggers} == {components["events"]["state_topic"]}


def order_of_triggers(event_type: str) -> tuple[bool, int]:
    return not event_type.startswith("war_"), EVENT_TYPES.index(event_type)


def test_without_war_its_entities_and_triggers_are_taken_back_and_nothing_else() -> None:
    full, peaceful = (decode(clan(war=war))["components"] for war in (True, False))
    war_triggers = {f"trigger_{event_type}" for event_type in EVENT_TYPES if event_type.startswith("war_")}
    assert len(war_triggers) == 6
    for key, component in full.items():
        gone = key in WAR_ENTITIES | war_triggers
        assert peaceful[key] == ({"platform": component["platform"]} if gone else component), key


def test_without_war_an_old_event_of_a_war_is_still_known_to_the_event_entity() -> None:
    assert decode(clan(war=False))["components"]["events"]["event_types"] == list(EVENT_TYPES)


def test_home_assistant_is_told_to_subscribe_with_qos_1() -> None:
    assert decode(bridge())["qos"] == decode(clan())["qos"] == 1


def test_a_device_is_removed_by_an_empty_payload_on_its_topic() -> None:
    topic = discovery_topic("homeassistant", "home", "clan", "#2PP")
    assert removal(topic) == DiscoveryMessage(topic=topic, payload=b"")
