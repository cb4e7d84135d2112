"""Home Assistant's handling of a message on a component's topic, including what it would log."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
import orjson
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.homeassistant.platforms import LONGEST_STATE

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

MOST_ATTRIBUTES = 16_384
# Reserved for the other attributes of an entity: its name, unit, icon and so on.
_OTHER_ATTRIBUTES = 2_000
# Home Assistant drops these attributes or overrides them.
_TAKEN_OUT = {
    *("available", "device_info", "entity_category", "entity_id", "entity_registry_enabled_default", "entity_picture"),
    *("extra_state_attributes", "force_update", "should_poll", "state", "unique_id", "assumed_state", "device_class"),
    *("friendly_name", "icon", "supported_features", "unit_of_measurement", "last_reset", "state_class", "options"),
    *("event_type", "event_types", "group_entities", "min", "max", "mode", "pattern", "restored", "editable"),
}
# Strict: raise an error where Home Assistant would only log one.
_JINJA = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)


def render(template: str, payload: bytes) -> str:
    """Return the rendered template; ``value_json`` is defined only for JSON, and None renders as a word."""
    values: Json = {"value": payload.decode()}
    with suppress(orjson.JSONDecodeError):
        values["value_json"] = orjson.loads(payload)
    return _compiled(template).render(values).strip()


def command(component: Json, typed: str) -> Any:
    """Return the decoded request that is published for a user's input."""
    return orjson.loads(_compiled(component["command_template"]).render(value=typed))


def shown(component: Json, payload: bytes) -> str | None:
    """Return the state after a message, None for unknown; fails where Home Assistant would log something."""
    template = component["url_template" if component["platform"] == "image" else "value_template"]
    return _TAKES[component["platform"]](component, render(template, payload))


def attributes(component: Json, payload: bytes) -> Json:
    """Return the attributes after a message; fails where Home Assistant would log something or drop one."""
    found = orjson.loads(render(component["json_attributes_template"], payload))
    assert isinstance(found, dict)
    assert not set(found) & _TAKEN_OUT
    assert len(orjson.dumps(found)) + _OTHER_ATTRIBUTES < MOST_ATTRIBUTES
    return found


@cache
def _compiled(template: str) -> jinja2.Template:
    return _JINJA.from_string(template)


def _sensor(component: Json, rendered: str) -> str | None:
    if rendered == "None":
        return None
    assert rendered
    assert len(rendered) <= LONGEST_STATE
    if "options" in component:
        assert rendered in component["options"]
    elif component.get("device_class") == "timestamp":
        assert datetime.fromisoformat(rendered).tzinfo
    elif "state_class" in component:
        float(rendered)
    return rendered


def _binary(_: Json, rendered: str) -> str | None:
    assert rendered in {"ON", "OFF", "None"}
    return None if rendered == "None" else rendered


def _event(component: Json, rendered: str) -> str | None:
    if rendered in {"", "None", "{}"}:
        return None
    event_type = orjson.loads(rendered)["event_type"]
    assert event_type in component["event_types"]
    return str(event_type)


def _image(_: Json, rendered: str) -> str | None:
    assert re.fullmatch(r"https://[^/\s]+.*", rendered)
    return rendered


def _text(component: Json, rendered: str) -> str | None:
    assert component["min"] <= len(rendered) <= component["max"]
    assert re.match(component["pattern"], rendered)
    return rendered


def _select(component: Json, rendered: str) -> str | None:
    assert rendered in {*component["options"], "None"}
    return None if rendered == "None" else rendered


_TAKES: dict[str, Callable[[Json, str], str | None]] = {
    "sensor": _sensor,
    "binary_sensor": _binary,
    "event": _event,
    "image": _image,
    "text": _text,
    "select": _select,
    "device_automation": lambda _, rendered: None if rendered == "None" else rendered,
}
