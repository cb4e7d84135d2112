"""What Home Assistant does with a message that comes on a component's topic, and what it would log of it."""

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
# What is more than that in an entity's attributes: its name, unit, icon and so on.
_OTHER_ATTRIBUTES = 2_000
# These it takes out of attributes, or lets its own stand.
_TAKEN_OUT = {
    *("available", "device_info", "entity_category", "entity_id", "entity_registry_enabled_default", "entity_picture"),
    *("extra_state_attributes", "force_update", "should_poll", "state", "unique_id", "assumed_state", "device_class"),
    *("friendly_name", "icon", "supported_features", "unit_of_measurement", "last_reset", "state_class", "options"),
    *("event_type", "event_types", "group_entities", "min", "max", "mode", "pattern", "restored", "editable"),
}
# Strict: what Home Assistant would merely log is an error here.
_JINJA = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)


def render(template: str, payload: bytes) -> str:
    """Return what a template makes of a message: ``value_json`` is there only if it is JSON, and None is a word."""
    values: Json = {"value": payload.decode()}
    with suppress(orjson.JSONDecodeError):
        values["value_json"] = orjson.loads(payload)
    return _compiled(template).render(values).strip()


def command(component: Json, typed: str) -> Any:
    """Return what is published, as JSON, when a user types or chooses something."""
    return orjson.loads(_compiled(component["command_template"]).render(value=typed))


def shown(component: Json, payload: bytes) -> str | None:
    """Return the state that a message makes, None for unknown; fails where Home Assistant would log something."""
    template = component["url_template" if component["platform"] == "image" else "value_template"]
    return _TAKES[component["platform"]](component, render(template, payload))


def attributes(component: Json, payload: bytes) -> Json:
    """Return the attributes that a message makes; fails where Home Assistant would log something or leave one out."""
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
