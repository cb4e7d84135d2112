"""The discovery payloads of a bridge, a clan and a player, named as in the examples in ``config``."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from coc2mqtt.events.resource import DEFAULT_REMINDERS, Kind, Watch
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from tests.support.paths import ROOT

Json = dict[str, Any]

CONFIG = ROOT / "config"


@cache
def discovery_payloads() -> dict[str, Json]:
    """Return the payloads by the device's model: Bridge, Clan and Player, with all their parts."""
    discovery = Discovery(Topics(), instance="home", version="1", prefix="homeassistant")
    clan = Watch(Kind.CLAN, "#2PP", 60.0, cwl=True, cwl_standings=True, raids=True, games=True)
    clan = replace(clan, reminders=DEFAULT_REMINDERS)
    player = Watch(Kind.PLAYER, "#900PUCPV", 60.0, ranked=True)
    messages = (
        discovery.bridge(),
        discovery.clan(clan, "The Order", badge_url="https://example.org/badge.png"),
        discovery.player(player, "Alice"),
    )
    payloads = [orjson.loads(message.payload) for message in messages]
    found = {payload["device"]["model"]: payload for payload in payloads}
    for part in (*discovery.parts(clan, "The Order"), *discovery.parts(player, "Alice")):
        payload = orjson.loads(part.payload)
        found[payload["device"]["model"]]["components"] |= payload["components"]
    return found


def discovered_entity_ids() -> set[str]:
    """Return all entity ids."""
    return {
        component["default_entity_id"]
        for payload in discovery_payloads().values()
        for component in payload["components"].values()
        if "default_entity_id" in component
    }


def device_triggers(model: str) -> set[tuple[str, str]]:
    """Return type and subtype of every trigger of a device."""
    components = discovery_payloads()[model]["components"].values()
    return {(one["type"], one["subtype"]) for one in components if one["platform"] == "device_automation"}
