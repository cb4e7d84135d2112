"""Device discovery payloads for Home Assistant, built by pure functions."""

from __future__ import annotations

from coc2mqtt.homeassistant.activity import activity_part
from coc2mqtt.homeassistant.bridge import BridgeTopics, ControlTopics, bridge_device
from coc2mqtt.homeassistant.clan import ClanTopics, clan_device
from coc2mqtt.homeassistant.cwl import cwl_part
from coc2mqtt.homeassistant.discovery import DiscoveryMessage, live_components, removal, removal_step
from coc2mqtt.homeassistant.games import games_part
from coc2mqtt.homeassistant.identity import (
    AnnouncedDevice,
    AnnouncedPart,
    ClanPart,
    DeviceKind,
    PartName,
    PlayerPart,
    discovery_topic,
    member_topic,
    parse_discovery_topic,
    parse_member_topic,
    parse_part_topic,
    part_topic,
)
from coc2mqtt.homeassistant.member import MemberTopics, is_member_tag, member_sensor
from coc2mqtt.homeassistant.parts import PartContent, PartContext, PartTopics, part_message
from coc2mqtt.homeassistant.player import PlayerTopics, player_device
from coc2mqtt.homeassistant.raid import raid_part
from coc2mqtt.homeassistant.ranked import ranked_part
from coc2mqtt.homeassistant.reminders import reminders_part

__all__ = [
    "AnnouncedDevice",
    "AnnouncedPart",
    "BridgeTopics",
    "ClanPart",
    "ClanTopics",
    "ControlTopics",
    "DeviceKind",
    "DiscoveryMessage",
    "MemberTopics",
    "PartContent",
    "PartContext",
    "PartName",
    "PartTopics",
    "PlayerPart",
    "PlayerTopics",
    "activity_part",
    "bridge_device",
    "clan_device",
    "cwl_part",
    "discovery_topic",
    "games_part",
    "is_member_tag",
    "live_components",
    "member_sensor",
    "member_topic",
    "parse_discovery_topic",
    "parse_member_topic",
    "parse_part_topic",
    "part_message",
    "part_topic",
    "player_device",
    "raid_part",
    "ranked_part",
    "reminders_part",
    "removal",
    "removal_step",
]
