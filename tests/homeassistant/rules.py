"""What Home Assistant 2026.11 asks of a device's discovery, checked on the bare JSON, apart from our own models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

LARGEST_PAYLOAD = 64 * 1024
AVAILABILITY = {"topic", "value_template", "payload_available", "payload_not_available"}
INHERITED = {
    *("availability", "availability_mode", "availability_topic", "availability_template", "command_topic"),
    *("state_topic", "payload_available", "payload_not_available", "qos", "encoding"),
}
DEVICE = {
    *("identifiers", "name", "manufacturer", "model", "model_id", "serial_number", "sw_version", "hw_version"),
    *("via_device", "suggested_area", "configuration_url"),
}
ENTITY = {"platform", "unique_id", "default_entity_id", "name", "icon", "entity_category"} | INHERITED
READ = ENTITY | {"value_template", "device_class", "json_attributes_topic", "json_attributes_template"}
COMPONENTS = {
    "sensor": READ | {"options", "state_class", "unit_of_measurement", "suggested_display_precision"},
    "binary_sensor": READ | {"payload_on", "payload_off"},
    "event": READ | {"event_types"},
    "image": ENTITY | {"url_topic", "url_template", "image_topic", "image_encoding", "content_type"},
    "button": ENTITY | {"command_template", "payload_press", "device_class", "retain"},
    "text": READ | {"command_template", "min", "max", "pattern", "mode", "retain"},
    "select": READ | {"command_template", "options", "retain"},
    "device_automation": {
        *("platform", "automation_type", "topic", "type", "subtype", "payload", "value_template", "qos"),
    },
}
REQUIRED = {
    "sensor": {"unique_id", "default_entity_id", "name", "state_topic"},
    "binary_sensor": {"unique_id", "default_entity_id", "name", "state_topic"},
    "event": {"unique_id", "default_entity_id", "name", "state_topic", "event_types"},
    "image": {"unique_id", "default_entity_id", "name"},
    "button": {"unique_id", "default_entity_id", "name", "command_topic"},
    "text": {"unique_id", "default_entity_id", "name", "command_topic"},
    "select": {"unique_id", "default_entity_id", "name", "command_topic", "options"},
    "device_automation": {"automation_type", "topic", "type", "subtype"},
}


def violations(topic: str, payload: Json) -> list[str]:
    """Return every rule that an announcement breaks, in words."""
    found = [] if re.fullmatch(r"[^/]+/device/[a-zA-Z0-9_-]+/config", topic) else [f"topic {topic}"]
    found += _keys("root", payload, INHERITED | {"device", "origin", "components"}, {"device", "origin", "components"})
    found += _device(payload.get("device", {}))
    found += _keys("origin", payload.get("origin", {}), {"name", "sw_version", "support_url"}, {"name"})
    found += _availability("root", payload, "latest")
    components = payload.get("components", {})
    if not components:
        found.append("no components")
    for key, component in components.items():
        found += [] if re.fullmatch(r"[a-z0-9_]+", key) else [f"component id {key}"]
        found += [f"{key}: {fault}" for fault in _component(payload, component)]
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


def _component(root: Json, component: Json) -> Iterator[str]:
    platform = component.get("platform", "")
    if platform not in COMPONENTS:
        yield f"platform {platform}"
        return
    if set(component) == {"platform"}:
        return  # it takes back what an earlier announcement had
    yield from _keys(platform, component, COMPONENTS[platform], REQUIRED[platform])
    if platform == "device_automation":
        return
    yield from _availability(platform, component, root.get("availability_mode", "latest"))
    if component.get("availability") == [] and "availability_topic" in root:
        yield "an empty availability is rejected beside an availability_topic at the root"
    if not re.fullmatch(rf"{platform}\.[a-z0-9_]+", component.get("default_entity_id", "")):
        yield "default_entity_id is not of its platform"
    if component.get("name") and component["name"].lower().startswith(root["device"]["name"].lower()):
        yield "name repeats the device's"
    yield from RULES[platform](component)


def _read_only(component: Json) -> Iterator[str]:
    if component.get("entity_category", "diagnostic") != "diagnostic":
        yield "entity_category is not diagnostic"
    if "value_json" not in component.get("value_template", ""):
        yield "the payload is JSON and no template reads it"


def _sensor(component: Json) -> Iterator[str]:
    yield from _read_only(component)
    if ("options" in component) is not (component.get("device_class") == "enum"):
        yield "options and device_class enum go together only"
    if "options" in component and {"state_class", "unit_of_measurement"} & set(component):
        yield "options beside a state_class or a unit"
    if component.get("options") == []:
        yield "options are empty"


def _event(component: Json) -> Iterator[str]:
    if component.get("device_class", "doorbell") is None:
        yield "device_class is null"
    if not component.get("event_types"):
        yield "event_types are empty"


def _any(_: Json) -> Iterator[str]:
    yield from ()


def _twice(key: str, components: Json) -> list[str]:
    values = [component[key] for component in components.values() if key in component]
    return [f"{key} {value} twice" for value in sorted(set(values)) if values.count(value) > 1]


RULES: dict[str, Callable[[Json], Iterator[str]]] = {
    "sensor": _sensor,
    "binary_sensor": _read_only,
    "event": _event,
    "image": _any,
    "button": _any,
    "text": _any,
    "select": _any,
}
