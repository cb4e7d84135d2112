"""The rules of Home Assistant 2026.11 for a discovery payload, checked on plain JSON without the project's models."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.homeassistant.platforms import INHERITED, KNOWN, REQUIRED, component

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

LARGEST_PAYLOAD = 64 * 1024
AVAILABILITY = {"topic", "value_template", "payload_available", "payload_not_available"}
DEVICE = {
    *("identifiers", "name", "manufacturer", "model", "model_id", "serial_number", "sw_version", "hw_version"),
    *("via_device", "suggested_area", "configuration_url"),
}


def violations(topic: str, payload: Json) -> list[str]:
    """Return a sentence for each rule that a discovery payload breaks."""
    found = [] if re.fullmatch(r"[^/]+/device/[a-zA-Z0-9_-]+/config", topic) else [f"topic {topic}"]
    found += [] if len(json.dumps(payload, ensure_ascii=False).encode()) < LARGEST_PAYLOAD else ["too large"]
    found += _keys("root", payload, INHERITED | {"device", "origin", "components"}, {"device", "origin", "components"})
    found += _device(payload.get("device", {}))
    found += _keys("origin", payload.get("origin", {}), {"name", "sw_version", "support_url"}, {"name"})
    found += _availability("root", payload, "latest")
    components = payload.get("components", {})
    if not components:
        found.append("no components")
    for key, part in components.items():
        found += [] if re.fullmatch(r"[a-z0-9_]+", key) else [f"component id {key}"]
        found += [f"{key}: {fault}" for fault in _component(payload, part)]
    found += _twice("unique_id", components) + _twice("default_entity_id", components)
    return found


def _keys(where: str, part: Json, allowed: set[str], required: set[str]) -> list[str]:
    unknown, missing = set(part) - allowed, required - set(part)
    return [f"{where}: unknown key {key}" for key in sorted(unknown)] + [
        f"{where}: no {key}" for key in sorted(missing)
    ]


def _device(device: Json) -> list[str]:
    found = _keys("device", device, DEVICE, {"identifiers", "name"})
    if not device.get("identifiers"):
        found.append("device: no identifiers")
    url = device.get("configuration_url", "https://")
    return found if re.match(r"https?://", url) else [*found, "device: configuration_url without a scheme"]


def _availability(where: str, part: Json, mode: str) -> Iterator[str]:
    if "availability" in part and "availability_topic" in part:
        yield f"{where}: availability and availability_topic"
    entries = part.get("availability", [])
    for entry in entries:
        yield from _keys(f"{where}: availability", entry, AVAILABILITY, {"topic", "value_template"})
    if len(entries) > 1 and part.get("availability_mode", mode) != "all":
        yield f"{where}: more than one availability topic and the mode is not all"


def _component(root: Json, part: Json) -> Iterator[str]:
    platform = part.get("platform", "")
    if platform not in KNOWN:
        yield f"platform {platform}"
        return
    if set(part) == {"platform"}:
        return  # it takes back what an earlier announcement had
    yield from _keys(platform, part, KNOWN[platform], REQUIRED[platform])
    if platform != "device_automation":
        yield from _entity(root, part)
    yield from component(part)


def _entity(root: Json, part: Json) -> Iterator[str]:
    platform = part["platform"]
    yield from _availability(platform, part, root.get("availability_mode", "latest"))
    if part.get("availability") == [] and "availability_topic" in root:
        yield "an empty availability is rejected with an availability_topic at the root"
    if not ({"availability", "availability_topic"} & (set(root) | set(part))):
        yield "nothing says whether it is available"
    if not re.fullmatch(rf"{platform}\.[a-z0-9_]+", part.get("default_entity_id", "")):
        yield "default_entity_id is not of its platform"
    if part.get("name") and part["name"].lower().startswith(root["device"]["name"].lower()):
        yield "name repeats the device's"


def _twice(key: str, components: Json) -> list[str]:
    values = [part[key] for part in components.values() if key in part]
    return [f"{key} {value} twice" for value in sorted(set(values)) if values.count(value) > 1]
