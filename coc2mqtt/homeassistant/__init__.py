"""Device discovery payloads for Home Assistant, built by pure functions."""

from __future__ import annotations

from coc2mqtt.homeassistant.bridge import BridgeTopics, ControlTopics, bridge_device
from coc2mqtt.homeassistant.clan import ClanTopics, clan_device
from coc2mqtt.homeassistant.discovery import DiscoveryMessage, live_components, removal, removal_step
from coc2mqtt.homeassistant.identity import (
    AnnouncedDevice,
    DeviceKind,
    discovery_topic,
    member_topic,
    parse_discovery_topic,
    parse_member_topic,
)
from coc2mqtt.homeassistant.member import MemberTopics, is_member_tag, member_sensor
from coc2mqtt.homeassistant.player import PlayerTopics, player_device

__all__ = [
    "AnnouncedDevice",
    "BridgeTopics",
    "ClanTopics",
    "ControlTopics",
    "DeviceKind",
    "DiscoveryMessage",
    "MemberTopics",
    "PlayerTopics",
    "bridge_device",
    "clan_device",
    "discovery_topic",
    "is_member_tag",
    "live_components",
    "member_sensor",
    "member_topic",
    "parse_discovery_topic",
    "parse_member_topic",
    "player_device",
    "removal",
    "removal_step",
]
