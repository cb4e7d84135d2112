"""The components of a device, restricted to keys and values that Home Assistant's MQTT integration accepts.

Home Assistant silently drops an unknown key inside a component, so these models forbid other keys. Keys are written
out, never abbreviated. Fields that are None are omitted, except ``name``, where null has a meaning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Items = TypeVar("Items", bound=Iterable[Hashable])

OMIT_NONE = Field(exclude_if=lambda value: value is None)


def unique(items: Items) -> Items:
    """Return the items unchanged; raise ValueError if one occurs twice."""
    for item, times in Counter(items).items():
        if times > 1:
            raise ValueError(f"{item!r} occurs twice: Home Assistant would use only one of them")
    return items


# The types of the values, with the format that Home Assistant requires.
Text = Annotated[str, Field(min_length=1)]
Icon = Annotated[str, Field(pattern=r"^mdi:[a-z0-9-]+$")]
Url = Annotated[str, Field(pattern=r"^https?://[!-~]+$")]
ComponentId = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Identifier = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
Topic = Annotated[str, Field(pattern=r"^[^+#/\x00]+(/[^+#/\x00]+)*$")]
TopicFilter = Annotated[str, Field(pattern=r"^(\+|[^+#/\x00]+)(/(\+|[^+#/\x00]+))*$")]
# Every published state is a JSON object, so each template must read `value_json`.
Template = Annotated[str, Field(pattern=r"^\{[{%] .*value_json.* \}\}$")]
# Must render a JSON object.
ObjectTemplate = Annotated[str, Field(pattern=r"^\{[{%] .*value_json.* \| tojson \}\}$")]
# The user's input must pass through `tojson` to become valid JSON.
CommandTemplate = Annotated[str, Field(pattern=r"^\{\{ \{.*: value\} \| tojson \}\}$")]
Options = Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(unique)]
Platform = Literal["sensor", "binary_sensor", "event", "image", "button", "text", "select", "device_automation"]
StateClass = Literal["measurement", "total_increasing"]


class Model(BaseModel):
    """A JSON object of a discovery payload; unknown keys are forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Availability(Model):
    """A retained topic and a template that renders ``online`` or ``offline``."""

    topic: Topic
    value_template: Template


class Entity(Model):
    """The common options of all entities.

    ``name`` does not repeat the device's name; null makes it the device's main entity. ``availability`` overrides the
    device's: empty means always available, None uses the device's. ``enabled_by_default`` is false for an entity that
    Home Assistant adds as disabled; it does not change an entity that is already registered.
    """

    unique_id: Identifier
    name: Text | None
    icon: Annotated[Icon | None, OMIT_NONE] = None
    availability: Annotated[tuple[Availability, ...] | None, OMIT_NONE] = None
    enabled_by_default: Annotated[Literal[False] | None, OMIT_NONE] = None


class Reading(Entity):
    """The common options of read-only entities; the template renders ``None`` for unknown.

    ``json_attributes_template`` always renders a JSON object of less than 16,384 bytes.
    """

    # Home Assistant rejects `config` for read-only entities.
    entity_category: Annotated[Literal["diagnostic"] | None, OMIT_NONE] = None
    state_topic: Topic
    value_template: Template
    json_attributes_topic: Annotated[Topic | None, OMIT_NONE] = None
    json_attributes_template: Annotated[ObjectTemplate | None, OMIT_NONE] = None

    @model_validator(mode="after")
    def _attributes_have_topic_and_template(self) -> Self:
        if (self.json_attributes_topic is None) is not (self.json_attributes_template is None):
            raise ValueError("attributes need both json_attributes_topic and json_attributes_template: set both")
        return self


class Sensor(Reading):
    """The common options of sensors; a state has at most 255 characters."""

    platform: Literal["sensor"] = "sensor"
    default_entity_id: Annotated[str, Field(pattern=r"^sensor\.[a-z0-9_]+$")]


class TextSensor(Sensor):
    """A sensor with any text."""


class EnumSensor(Sensor):
    """A sensor with a fixed set of states. Other values cause a warning per message, so the template filters them."""

    device_class: Literal["enum"] = "enum"
    options: Options


class TimestampSensor(Sensor):
    """A sensor with a point in time: ISO 8601 with an offset."""

    device_class: Literal["timestamp"] = "timestamp"


class NumberSensor(Sensor):
    """A numeric sensor with statistics; a value that is not a number is logged as an error."""

    state_class: StateClass = "measurement"
    unit_of_measurement: Annotated[Text | None, OMIT_NONE] = None
    suggested_display_precision: Annotated[int | None, Field(ge=0, le=6), OMIT_NONE] = None


class BinarySensor(Reading):
    """A binary sensor whose template renders ``ON`` or ``OFF``."""

    platform: Literal["binary_sensor"] = "binary_sensor"
    default_entity_id: Annotated[str, Field(pattern=r"^binary_sensor\.[a-z0-9_]+$")]
    device_class: Annotated[Literal["connectivity"] | None, OMIT_NONE] = None


class Event(Entity):
    """An event entity. Each message is a JSON object with ``event_type``; its other keys become attributes.

    An unlisted type causes a warning per message, so the template renders the empty text for it.
    """

    platform: Literal["event"] = "event"
    default_entity_id: Annotated[str, Field(pattern=r"^event\.[a-z0-9_]+$")]
    state_topic: TopicFilter
    value_template: Template
    event_types: Options


class Image(Entity):
    """An image from a URL. An invalid URL is logged as an error, so the template always renders a valid one."""

    platform: Literal["image"] = "image"
    default_entity_id: Annotated[str, Field(pattern=r"^image\.[a-z0-9_]+$")]
    url_topic: Topic
    url_template: Template


class Button(Entity):
    """A button that publishes ``payload_press``."""

    platform: Literal["button"] = "button"
    default_entity_id: Annotated[str, Field(pattern=r"^button\.[a-z0-9_]+$")]
    entity_category: Annotated[Literal["config", "diagnostic"] | None, OMIT_NONE] = None
    command_topic: Topic
    payload_press: Annotated[str, Field(pattern=r"^\{.*\}$")]


class TextField(Entity):
    """A text field. Its state must always match the pattern, so the pattern must match the empty text.

    The template renders the empty text unless the field is in use.
    """

    platform: Literal["text"] = "text"
    default_entity_id: Annotated[str, Field(pattern=r"^text\.[a-z0-9_]+$")]
    entity_category: Annotated[Literal["config", "diagnostic"] | None, OMIT_NONE] = None
    state_topic: Topic
    value_template: Annotated[Template, Field(pattern=r" else '' \}\}$")]
    command_topic: Topic
    command_template: CommandTemplate
    min: Literal[0] = 0
    max: Annotated[int, Field(ge=1, le=255)]
    pattern: Annotated[str, Field(pattern=r"^\^\$\|\^.+\$$")]


class Select(Entity):
    """A selection. Values that are not in ``options`` cause an error per message, so the template filters them."""

    platform: Literal["select"] = "select"
    default_entity_id: Annotated[str, Field(pattern=r"^select\.[a-z0-9_]+$")]
    entity_category: Annotated[Literal["config", "diagnostic"] | None, OMIT_NONE] = None
    state_topic: Topic
    value_template: Template
    command_topic: Topic
    command_template: CommandTemplate
    options: Options


class DeviceTrigger(Model):
    """A device trigger: fires for each message on ``topic`` for which the template renders ``payload``.

    The editor shows "<subtype> <type>". The topic must be the same filter as that of the event entity. With overlapping
    filters, a broker may send one copy per subscription (MQTT 3.1.1 allows it), and the trigger would fire twice.
    """

    platform: Literal["device_automation"] = "device_automation"
    automation_type: Literal["trigger"] = "trigger"
    topic: TopicFilter
    payload: Text
    value_template: Template
    type: Text
    subtype: Text


class Removed(Model):
    """Removes a component that an earlier payload may have had; Home Assistant keeps one that is merely omitted."""

    platform: Platform


Component = (
    TextSensor
    | EnumSensor
    | TimestampSensor
    | NumberSensor
    | BinarySensor
    | Event
    | Image
    | Button
    | TextField
    | Select
    | DeviceTrigger
    | Removed
)
