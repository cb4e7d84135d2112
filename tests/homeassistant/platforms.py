"""Home Assistant's rules for the components of each platform, checked on plain JSON without the project's models."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

LONGEST_STATE = 255
INHERITED = {
    *("availability", "availability_mode", "availability_topic", "availability_template", "command_topic"),
    *("state_topic", "payload_available", "payload_not_available", "qos", "encoding"),
}
ENTITY = {
    *("platform", "unique_id", "default_entity_id", "name", "icon", "entity_category", "enabled_by_default"),
} | INHERITED
READ = ENTITY | {"value_template", "json_attributes_topic", "json_attributes_template"}
# The known keys besides the inherited ones; Home Assistant drops unknown keys.
KNOWN = {
    "sensor": READ | {"device_class", "options", "state_class", "unit_of_measurement", "suggested_display_precision"},
    "binary_sensor": READ | {"device_class", "payload_on", "payload_off"},
    "event": READ | {"device_class", "event_types"},
    "image": ENTITY | {"url_topic", "url_template", "image_topic", "image_encoding", "content_type"},
    "button": ENTITY | {"command_template", "payload_press", "device_class", "retain"},
    "text": READ | {"command_template", "min", "max", "pattern", "mode", "retain"},
    "select": READ | {"command_template", "options", "retain"},
    "device_automation": {
        *("platform", "automation_type", "topic", "type", "subtype", "payload", "value_template", "qos"),
    },
}
_IDS = {"unique_id", "default_entity_id", "name"}
REQUIRED = {
    "sensor": _IDS | {"state_topic"},
    "binary_sensor": _IDS | {"state_topic"},
    "event": _IDS | {"state_topic", "event_types"},
    "image": _IDS,
    "button": _IDS | {"command_topic", "payload_press"},
    "text": _IDS | {"command_topic"},
    "select": _IDS | {"command_topic", "options"},
    "device_automation": {"automation_type", "topic", "type", "subtype"},
}
_READ_ONLY = {"sensor", "binary_sensor", "event", "image"}
# The allowed units by device class of a sensor; any unit for numbers without a device class.
_UNITS: dict[str | None, set[str] | None] = {None: None, "enum": set(), "timestamp": set()}
_STATE_CLASSES = {"measurement", "total", "total_increasing"}
_BINARY_CLASSES = {None, "connectivity", "problem", "running", "update"}
_JINJA = ImmutableSandboxedEnvironment()


def component(found: Json) -> Iterator[str]:
    """Yield a sentence for each rule that a component of a known platform breaks."""
    platform = found["platform"]
    yield from _topics(found)
    for key, template in found.items():
        if key.endswith("_template") and template != "{{ '' }}":
            yield from _template(key, template)
    category = found.get("entity_category")
    if category not in ({None, "diagnostic"} if platform in _READ_ONLY else {None, "config", "diagnostic"}):
        yield f"entity_category {category} is not for a {platform}"
    if not isinstance(found.get("enabled_by_default", True), bool):
        yield "enabled_by_default is not a boolean"
    if ("json_attributes_topic" in found) is not ("json_attributes_template" in found):
        yield "json_attributes_topic and json_attributes_template go together only"
    if not found.get("json_attributes_template", "tojson }}").endswith("tojson }}"):
        yield "json_attributes_template does not give JSON for certain"
    if not found.get("command_template", "tojson }}").endswith("tojson }}"):
        yield "command_template does not give JSON for certain"
    yield from _RULES[platform](found)


def _topics(found: Json) -> Iterator[str]:
    for key, topic in found.items():
        if key.endswith("topic"):
            wild = key in {"state_topic", "topic"} and found["platform"] in {"event", "device_automation"}
            levels = topic.split("/")
            if "" in levels or any(("+" in level or "#" in level) and not (wild and level == "+") for level in levels):
                yield f"{key} {topic}"


def _template(key: str, template: str) -> Iterator[str]:
    parsed = _parsed(template)
    if isinstance(parsed, jinja2.TemplateSyntaxError):
        yield f"{key}: {parsed}"
    if not re.search(r"\bvalue\b" if key == "command_template" else r"\bvalue_json\b", template):
        yield f"{key}: what was received is JSON and no template reads it"


# Parsing takes milliseconds, and the same templates are checked many times.
@cache
def _parsed(template: str) -> jinja2.nodes.Template | jinja2.TemplateSyntaxError:
    try:
        return _JINJA.parse(template)
    except jinja2.TemplateSyntaxError as error:
        return error


def _words(template: str) -> set[str]:
    """Return the values that a translating template can render, besides unknown."""
    parsed = _parsed(template)
    if isinstance(parsed, jinja2.TemplateSyntaxError):
        return set()
    tables = [*parsed.find_all(jinja2.nodes.Dict)]
    values = [pair.value for table in tables for pair in table.items]
    return {value.value for value in values if isinstance(value, jinja2.nodes.Const)}


def _reads(found: Json) -> Iterator[str]:
    if "value_template" not in found:
        yield "the payload is JSON and no template reads it"


def _sensor(found: Json) -> Iterator[str]:
    yield from _reads(found)
    device_class, unit = found.get("device_class"), found.get("unit_of_measurement")
    if device_class not in _UNITS:
        yield f"device_class {device_class}"
        return
    if ("options" in found) is not (device_class == "enum"):
        yield "options and device_class enum go together only"
    units = _UNITS[device_class]
    if unit is not None and ((units is not None and unit not in units) or not unit.strip()):
        yield f"unit {unit!r} is not for device_class {device_class}"
    if found.get("state_class", "total") not in _STATE_CLASSES:
        yield f"state_class {found['state_class']}"
    if "state_class" in found and device_class is not None:
        yield f"state_class {found['state_class']} is not for device_class {device_class}"
    if "state_class" not in found and ({"unit_of_measurement", "suggested_display_precision"} & set(found)):
        yield "a unit or a precision and no statistics"
    if device_class == "enum":
        yield from _choice(found)


def _choice(found: Json) -> Iterator[str]:
    options = found.get("options") or []
    if not options or len(set(options)) < len(options) or not all(isinstance(option, str) for option in options):
        yield "options are empty, twice the same or no words"
    if _words(found.get("value_template", "")) != set(options):
        yield "the template gives other words than the options"


def _binary(found: Json) -> Iterator[str]:
    yield from _reads(found)
    if found.get("device_class") not in _BINARY_CLASSES:
        yield f"device_class {found['device_class']}"
    if not {"ON", "OFF"} <= {found.get("payload_on", "ON"), found.get("payload_off", "OFF")}:
        yield "it is not ON or OFF"
    if not _words(found.get("value_template", "")) <= {"ON", "OFF"}:
        yield "the template gives other words than ON and OFF"


def _event(found: Json) -> Iterator[str]:
    yield from _reads(found)
    if found.get("device_class", "doorbell") is None:
        yield "device_class is null"
    if not found.get("event_types"):
        yield "event_types are empty"
    for event_type in found.get("event_types", ()):
        if repr(event_type) not in found.get("value_template", ""):
            yield f"the template lets no {event_type} pass"


def _image(found: Json) -> Iterator[str]:
    if ("url_topic" in found) is ("image_topic" in found):
        yield "exactly one of url_topic and image_topic"
    if "content_type" in found and "url_topic" in found:
        yield "content_type with url_topic"


def _button(found: Json) -> Iterator[str]:
    try:
        json.loads(found.get("payload_press", ""))
    except json.JSONDecodeError:
        yield "payload_press is not JSON"


def _text(found: Json) -> Iterator[str]:
    shortest, longest = found.get("min", 0), found.get("max", LONGEST_STATE)
    if not 0 <= shortest <= longest <= LONGEST_STATE:
        yield f"min {shortest} and max {longest}"
    try:
        pattern = re.compile(found.get("pattern", ""))
    except re.error as error:
        yield f"pattern: {error}"
        return
    if shortest > 0 or not pattern.match(""):
        yield "its state, the empty text, does not fit its own pattern"


def _nothing(_: Json) -> Iterator[str]:
    yield from ()


_RULES: dict[str, Callable[[Json], Iterator[str]]] = {
    "sensor": _sensor,
    "binary_sensor": _binary,
    "event": _event,
    "image": _image,
    "button": _button,
    "text": _text,
    "select": _choice,
    "device_automation": _nothing,
}
