from __future__ import annotations

from typing import Any

import orjson

from coc2mqtt.homeassistant import BridgeTopics, ClanTopics, DiscoveryMessage, bridge_device, clan_device

Json = dict[str, Any]

EVENT_TYPES = (
    "clan_updated",
    "member_joined",
    "member_left",
    "member_updated",
    "member_role_changed",
    "member_donations",
    "war_new",
    "war_state_changed",
    "war_attack_new",
    "war_ended",
    "war_log_private",
    "war_log_public",
    "watch_unavailable",
    "watch_available",
    "poll_error",
)


def bridge(instance: str = "home", **options: Any) -> DiscoveryMessage:
    topics = BridgeTopics(state="coc/bridge/state", api_status="coc/api/state/status")
    return bridge_device(instance=instance, version="1.2.3", topics=topics, **options)


def clan(tag: str = "#2PP", name: str | None = "The Order", **options: Any) -> DiscoveryMessage:
    subject = f"coc/clan/{tag.removeprefix('#')}"
    topics = ClanTopics(
        bridge_state="coc/bridge/state",
        availability=f"{subject}/state/availability",
        clan=f"{subject}/state/clan",
        war=f"{subject}/state/war",
        events=f"{subject}/+",
    )
    given: Json = {"instance": "home", "version": "1.2.3", "event_types": EVENT_TYPES, "war": True, **options}
    return clan_device(tag=tag, name=name, topics=topics, **given)


def decode(message: DiscoveryMessage) -> Json:
    payload: Json = orjson.loads(message.payload)
    return payload
