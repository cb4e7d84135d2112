from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from coc2mqtt.homeassistant.components import (
    Availability,
    BinarySensor,
    Button,
    DeviceTrigger,
    EnumSensor,
    Event,
    Image,
    NumberSensor,
    Removed,
    Select,
    TextField,
    TextSensor,
    TimestampSensor,
)
from coc2mqtt.homeassistant.discovery import Device, DeviceDiscovery, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

TEMPLATE = "{{ value_json.state }}"
ONLINE = Availability(topic="coc/bridge/state", value_template=TEMPLATE)
SENSOR: Json = {
    "unique_id": "coc2mqtt_home_x",
    "default_entity_id": "sensor.x",
    "name": "X",
    "state_topic": "coc/x",
    "value_template": TEMPLATE,
}
READING: Json = {"json_attributes_topic": "coc/x", "json_attributes_template": "{{ value_json | tojson }}"}
CONTROL: Json = {
    "unique_id": "x",
    "name": "X",
    "command_topic": "coc/x/set",
    "command_template": "{{ {'tag': value} | tojson }}",
}
# One valid model of each kind; the invalid ones below are derived from them.
LEGAL: Mapping[type[BaseModel], Json] = {
    Availability: {"topic": "coc/x", "value_template": TEMPLATE},
    Device: {"identifiers": ("x",), "name": "X", "manufacturer": "Y", "model": "Z"},
    Origin: {"name": "x", "sw_version": "1", "support_url": "https://x.org"},
    EnumSensor: {**SENSOR, "options": ("a", "b")},
    TimestampSensor: SENSOR,
    TextSensor: {**SENSOR, **READING, "entity_category": "diagnostic"},
    NumberSensor: {**SENSOR, "unit_of_measurement": "members", "suggested_display_precision": 1},
    BinarySensor: {**SENSOR, "default_entity_id": "binary_sensor.x"},
    Event: {
        "unique_id": "x",
        "default_entity_id": "event.x",
        "name": "X",
        "state_topic": "coc/+",
        "value_template": TEMPLATE,
        "event_types": ("a", "b"),
    },
    Image: {
        "unique_id": "x",
        "default_entity_id": "image.x",
        "name": "X",
        "url_topic": "coc/x",
        "url_template": TEMPLATE,
    },
    Button: {
        "unique_id": "x",
        "default_entity_id": "button.x",
        "name": "X",
        "command_topic": "coc/x/set",
        "payload_press": "{}",
    },
    TextField: {
        **CONTROL,
        "default_entity_id": "text.x",
        "state_topic": "coc/x",
        "value_template": "{{ value_json if value_json is string else '' }}",
        "max": 32,
        "pattern": "^$|^x$",
        "entity_category": "config",
    },
    Select: {
        **CONTROL,
        "default_entity_id": "select.x",
        "state_topic": "coc/x",
        "options": ("a", "b"),
        "value_template": TEMPLATE,
    },
    Removed: {"platform": "image"},
    DeviceTrigger: {
        "topic": "coc/x/+",
        "payload": "a",
        "value_template": "{{ value_json.event_type }}",
        "type": "happened",
        "subtype": "a",
    },
}


def root(**changes: Any) -> DeviceDiscovery:
    given: Json = {
        "device": Device(**LEGAL[Device]),
        "origin": Origin(**LEGAL[Origin]),
        "availability": (ONLINE,),
        "components": {"x": TimestampSensor(**SENSOR)},
    }
    return DeviceDiscovery(**{**given, **changes})


def encode(**changes: Any) -> Json:
    payload: Json = orjson.loads(root(**changes).encode())
    return payload


@pytest.mark.parametrize("model", LEGAL, ids=lambda model: str(model.__name__))
def test_valid_model_is_accepted_and_unknown_key_is_rejected(model: type[BaseModel]) -> None:
    model(**LEGAL[model])
    with pytest.raises(ValidationError, match="surprise\n  Extra inputs are not permitted"):
        model(**LEGAL[model], surprise=1)


@pytest.mark.parametrize("model", LEGAL, ids=lambda model: str(model.__name__))
def test_model_is_immutable(model: type[BaseModel]) -> None:
    built = model(**LEGAL[model])
    with pytest.raises(ValidationError, match="frozen"):
        setattr(built, next(iter(LEGAL[model])), "other")


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (Availability, {"topic": "coc/+/state"}),
        (Availability, {"topic": ""}),
        (Availability, {"value_template": "{{ value }}"}),
        (Availability, {"value_template": "value_json.state"}),
        (Availability, {"payload_available": "ON"}),
        (Device, {"identifiers": ()}),
        (Device, {"identifiers": ("x", "x")}),
        (Device, {"identifiers": ("The Order",)}),
        (Device, {"identifiers": "x"}),
        (Device, {"name": ""}),
        (Device, {"name": None}),
        (Device, {"configuration_url": "link.clashofclans.com"}),
        (Device, {"configuration_url": "https://x.org/a b"}),
        (Device, {"via_device": "x"}),
        (Origin, {"support_url": "x.org"}),
        (Origin, {"url": "https://x.org"}),
        (EnumSensor, {"options": ()}),
        (EnumSensor, {"options": ("a", "a")}),
        (EnumSensor, {"unit_of_measurement": "stars"}),
        (EnumSensor, {"state_class": "measurement"}),
        (EnumSensor, {"device_class": "timestamp"}),
        (EnumSensor, {"device_class": None}),
        (TimestampSensor, {"options": ("a",)}),
        (TimestampSensor, {"device_class": "enum"}),
        (NumberSensor, {"options": ("a",)}),
        (NumberSensor, {"device_class": "enum"}),
        (NumberSensor, {"unit_of_measurement": ""}),
        (NumberSensor, {"state_class": "total"}),
        (NumberSensor, {"state_class": None}),
        (NumberSensor, {"suggested_display_precision": -1}),
        (NumberSensor, {"suggested_display_precision": 0.5}),
        (TextSensor, {"unit_of_measurement": "stars"}),
        (TextSensor, {"state_class": "measurement"}),
        (TextSensor, {"json_attributes_template": "{{ value_json }}"}),
        (TextSensor, {"json_attributes_topic": "coc/+"}),
        (TimestampSensor, {"entity_category": "config"}),
        (TimestampSensor, {"platform": "binary_sensor"}),
        (TimestampSensor, {"default_entity_id": "binary_sensor.x"}),
        (TimestampSensor, {"default_entity_id": "sensor.The Order"}),
        (TimestampSensor, {"default_entity_id": "sensor.X"}),
        (TimestampSensor, {"object_id": "x"}),
        (TimestampSensor, {"unique_id": "#2PP"}),
        (TimestampSensor, {"unique_id": ""}),
        (TimestampSensor, {"state_topic": "coc/+"}),
        (TimestampSensor, {"state_topic": "coc/#"}),
        (TimestampSensor, {"state_topic": "coc//x"}),
        (TimestampSensor, {"icon": "sword-cross"}),
        (TimestampSensor, {"icon": "mdi:Sword"}),
        (TimestampSensor, {"availability_topic": "coc/bridge/state"}),
        (TimestampSensor, {"availability_mode": "latest"}),
        (BinarySensor, {"entity_category": "config"}),
        (BinarySensor, {"device_class": "enum"}),
        (BinarySensor, {"default_entity_id": "sensor.x"}),
        (Event, {"device_class": None}),
        (Event, {"event_types": ()}),
        (Event, {"event_types": ("a", "a")}),
        (Event, {"event_types": ("a", "")}),
        (Event, {"state_topic": "coc/#"}),
        (Event, {"state_topic": "coc/clan+"}),
        (Event, {"default_entity_id": "sensor.x"}),
        (Event, {"value_template": "{{ value }}"}),
        (Event, {"entity_category": "config"}),
        (Image, {"image_topic": "coc/x"}),
        (Image, {"url_topic": "coc/+"}),
        (Image, {"content_type": "image/png"}),
        (Image, {"url_template": "https://x.org/b.png"}),
        (Image, {"entity_category": "config"}),
        (Button, {"command_topic": "coc/+"}),
        (Button, {"payload_press": "PRESS"}),
        (Button, {"device_class": "refresh"}),
        (Button, {"entity_category": "other"}),
        (TextField, {"value_template": TEMPLATE}),
        (TextField, {"command_template": '{"tag": "{{ value }}"}'}),
        (TextField, {"command_template": "{{ value }}"}),
        (TextField, {"min": 1}),
        (TextField, {"max": 256}),
        (TextField, {"max": 0}),
        (TextField, {"pattern": "^x$"}),
        (TextField, {"mode": "password"}),
        (Select, {"options": ()}),
        (Select, {"options": ("a", "a")}),
        (Select, {"state_topic": "coc/+"}),
        (Select, {"device_class": "enum"}),
        (Removed, {"platform": "camera"}),
        (Removed, {"unique_id": "x"}),
        (DeviceTrigger, {"topic": "coc/#"}),
        (DeviceTrigger, {"subtype": ""}),
        (DeviceTrigger, {"unique_id": "x"}),
        (DeviceTrigger, {"automation_type": "action"}),
    ],
)
def test_model_with_invalid_value_is_rejected(model: type[BaseModel], change: Json) -> None:
    with pytest.raises(ValidationError) as raised:
        model(**{**LEGAL[model], **change})
    faults = {fault["loc"][0] for fault in raised.value.errors() if fault["loc"]}
    assert faults <= set(change)


@pytest.mark.parametrize("missing", ["unique_id", "default_entity_id", "name", "state_topic", "value_template"])
def test_sensor_without_required_key_is_rejected(missing: str) -> None:
    with pytest.raises(ValidationError, match=f"{missing}\n  Field required"):
        TimestampSensor(**{key: value for key, value in SENSOR.items() if key != missing})


@pytest.mark.parametrize("missing", READING)
def test_attributes_without_topic_or_template_are_rejected(missing: str) -> None:
    given = {key: value for key, value in LEGAL[TextSensor].items() if key != missing}
    with pytest.raises(ValidationError, match="set both"):
        TextSensor(**given)


@pytest.mark.parametrize(
    "change",
    [
        {"~": "coc"},
        {"name": "x"},
        {"state_topic": "coc/x"},
        {"availability": ()},
        {"availability_mode": "latest"},
        {"availability_topic": "coc/bridge/state"},
        {"components": {}},
        {"components": {"War-State": TimestampSensor(**SENSOR)}},
        {"components": {"x": {"platform": "camera"}}},
        {"components": {"x": Device(**LEGAL[Device])}},
    ],
)
def test_root_with_invalid_value_is_rejected(change: Json) -> None:
    with pytest.raises(ValidationError) as raised:
        root(**change)
    assert {fault["loc"][0] for fault in raised.value.errors()} == set(change)


@pytest.mark.parametrize(
    ("second", "twice"),
    [
        (TimestampSensor(**{**SENSOR, "default_entity_id": "sensor.y"}), "coc2mqtt_home_x"),
        (TimestampSensor(**{**SENSOR, "unique_id": "y"}), "sensor.x"),
    ],
)
def test_entities_with_equal_ids_are_rejected(second: TimestampSensor, twice: str) -> None:
    with pytest.raises(ValidationError, match=f"'{twice}' occurs twice"):
        root(components={"x": TimestampSensor(**SENSOR), "y": second})


def test_triggers_with_equal_type_and_subtype_are_rejected() -> None:
    trigger = DeviceTrigger(**LEGAL[DeviceTrigger])
    with pytest.raises(ValidationError, match="occurs twice"):
        root(components={"x": trigger, "y": trigger.model_copy(update={"topic": "coc/x/b"})})


def test_unset_optional_keys_are_omitted() -> None:
    payload = encode()
    assert payload["device"] == {"identifiers": ["x"], "name": "X", "manufacturer": "Y", "model": "Z"}
    assert payload["components"]["x"] == {**SENSOR, "platform": "sensor", "device_class": "timestamp"}


def test_null_name_and_empty_availability_are_included() -> None:
    main = TimestampSensor(**{**SENSOR, "name": None, "availability": ()})
    component = encode(components={"x": main})["components"]["x"]
    assert component["name"] is None
    assert component["availability"] == []
