from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.homeassistant import (
    AnnouncedDevice,
    ClanPart,
    DeviceKind,
    discovery_topic,
    member_topic,
    parse_discovery_topic,
    parse_member_topic,
    parse_part_topic,
    part_topic,
)

INSTANCES = st.from_regex(r"[a-zA-Z0-9_-]{1,32}", fullmatch=True) | st.sampled_from(
    ["home", "home_", "home_bridge", "home_clan", "home_clan_2PP", "clan", "bridge"]
)
TAGS = st.text("0289PYLQGRJCUV", min_size=3, max_size=15).map(lambda letters: f"#{letters}")
DEVICES = st.just(AnnouncedDevice("bridge", None)) | st.builds(
    AnnouncedDevice, st.sampled_from(["clan", "player"]), TAGS
)


@pytest.mark.parametrize(
    ("kind", "tag", "topic"),
    [
        ("bridge", None, "homeassistant/device/coc2mqtt_home_bridge/config"),
        ("clan", "#2PP", "homeassistant/device/coc2mqtt_home_clan_2PP/config"),
        ("player", "#900PUCPV", "homeassistant/device/coc2mqtt_home_player_900PUCPV/config"),
    ],
)
def test_discovery_topic_of_each_device(kind: DeviceKind, tag: str | None, topic: str) -> None:
    assert discovery_topic("homeassistant", "home", kind, tag) == topic
    assert parse_discovery_topic("homeassistant", "home", topic) == (kind, tag)


@given(INSTANCES, DEVICES, st.sampled_from(["homeassistant", "ha/discovery"]))
def test_parsed_discovery_topic_is_the_device(instance: str, device: AnnouncedDevice, prefix: str) -> None:
    assert parse_discovery_topic(prefix, instance, discovery_topic(prefix, instance, *device)) == device


@given(INSTANCES, INSTANCES, DEVICES)
def test_discovery_topic_of_another_instance_is_not_parsed(own: str, other: str, device: AnnouncedDevice) -> None:
    topic = discovery_topic("homeassistant", other, *device)
    assert (parse_discovery_topic("homeassistant", own, topic) is not None) is (own == other)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "homeassistant/status",
        "homeassistant/device/config",
        "homeassistant/device/coc2mqtt_home_/config",
        "homeassistant/device/coc2mqtt_home_clan/config",
        "homeassistant/device/coc2mqtt_home_clan_/config",
        "homeassistant/device/coc2mqtt_home_clan_2pp/config",
        "homeassistant/device/coc2mqtt_home_clan_2PP",
        "homeassistant/device/coc2mqtt_home_clan_2PP/config/x",
        "homeassistant/device/coc2mqtt_home_clan_2PP/x/config",
        "homeassistant/device/coc2mqtt_home_bridge_2PP/config",
        "homeassistant/device/coc2mqtt_home_village_2PP/config",
        "homeassistant/device/coc2mqtt_away_clan_2PP/config",
        "homeassistant/sensor/coc2mqtt_home_clan_2PP/config",
        "ha/device/coc2mqtt_home_clan_2PP/config",
        "x/homeassistant/device/coc2mqtt_home_clan_2PP/config",
    ],
)
def test_foreign_discovery_topic_is_not_parsed(topic: str) -> None:
    assert parse_discovery_topic("homeassistant", "home", topic) is None


@pytest.mark.parametrize(("kind", "tag"), [("bridge", "#2PP"), ("clan", None), ("player", None)])
def test_only_the_bridge_has_no_tag(kind: DeviceKind, tag: str | None) -> None:
    with pytest.raises(ValueError, match="only the bridge has no tag"):
        discovery_topic("homeassistant", "home", kind, tag)


@pytest.mark.parametrize("instance", ["my home", "a/b", "a+", "#", "Zuhause.1", "häuschen"])
def test_instance_that_home_assistant_would_ignore_is_rejected(instance: str) -> None:
    with pytest.raises(ValueError, match="use only letters, digits, '_' and '-' in the instance name"):
        discovery_topic("homeassistant", instance, "bridge")


@given(INSTANCES, INSTANCES, TAGS, TAGS)
def test_topic_of_a_member_is_parsed_only_as_such(own: str, other: str, clan: str, tag: str) -> None:
    topic = member_topic("homeassistant", other, clan, tag)
    assert parse_member_topic("homeassistant", own, topic) == ((clan, tag) if own == other else None)
    assert parse_discovery_topic("homeassistant", own, topic) is None


@given(INSTANCES, DEVICES)
def test_topic_of_a_device_is_not_that_of_a_member(instance: str, device: AnnouncedDevice) -> None:
    topic = discovery_topic("homeassistant", instance, *device)
    assert parse_member_topic("homeassistant", instance, topic) is None


@given(INSTANCES, INSTANCES, TAGS, st.sampled_from(["cwl", "raid"]))
def test_topic_of_a_part_is_parsed_only_as_such(own: str, other: str, clan: str, part: ClanPart) -> None:
    topic = part_topic("homeassistant", other, clan, part)
    assert parse_part_topic("homeassistant", own, topic) == ((clan, part) if own == other else None)
    assert parse_discovery_topic("homeassistant", own, topic) is None
    assert parse_member_topic("homeassistant", own, topic) is None


@given(INSTANCES, TAGS, TAGS)
def test_topic_of_a_member_is_not_that_of_a_part(instance: str, clan: str, tag: str) -> None:
    assert parse_part_topic("homeassistant", instance, member_topic("homeassistant", instance, clan, tag)) is None
