"""The components of a device: what Home Assistant's MQTT integration accepts of each, and nothing beside it.

Home Assistant drops an unknown key inside a component without a word; so every key is named here and no other can be
sent. Keys are written out, never abbreviated. A field that is None is left out, except ``name``, where null has a
meaning.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from coc2mqtt.homeassistant.fields import (
    UNSAID,
    CommandTemplate,
    Icon,
    Identifier,
    Model,
    ObjectTemplate,
    Options,
    Template,
    Text,
    Topic,
    TopicFilter,
)

Platform = Literal["sensor", "binary_sensor", "event", "image", "button", "text", "select", "device_automation"]
StateClass = Literal["measurement", "total_increasing"]


class Availability(Model):
    """A topic whose template gives ``online`` or ``offline``; it must be retained."""

    topic: Topic
    value_template: Template


class Entity(Model):
    """What every entity has.

    ``name`` does not repeat the device's; null makes it the device's main entity. ``availability`` replaces the
    root's: empty means always available, None that the root's counts.
    """

    unique_id: Identifier
    name: Text | None
    icon: Annotated[Icon | None, UNSAID] = None
    availability: Annotated[tuple[Availability, ...] | None, UNSAID] = None


class Reading(Entity):
    """What every entity has that only reads; its template gives ``None`` for unknown.

    ``json_attributes_template`` always renders a JSON object, of less than 16,384 bytes with all that is in it.
    """

    # Home Assistant refuses `config` for what can only be read.
    entity_category: Annotated[Literal["diagnostic"] | None, UNSAID] = None
    state_topic: Topic
    value_template: Template
    json_attributes_topic: Annotated[Topic | None, UNSAID] = None
    json_attributes_template: Annotated[ObjectTemplate | None, UNSAID] = None

    @model_validator(mode="after")
    def _attributes_are_read_from_somewhere(self) -> Self:
        if (self.json_attributes_topic is None) is not (self.json_attributes_template is None):
            raise ValueError("attributes need both json_attributes_topic and json_attributes_template: name both")
        return self


class Sensor(Reading):
    """What every sensor has; its state is never longer than 255 characters."""

    platform: Literal["sensor"] = "sensor"
    default_entity_id: Annotated[str, Field(pattern=r"^sensor\.[a-z0-9_]+$")]


class TextSensor(Sensor):
    """Any words."""


class EnumSensor(Sensor):
    """One of some words. What is none of ``options`` is a warning for each message: the template must not let it by."""

    device_class: Literal["enum"] = "enum"
    options: Options


class TimestampSensor(Sensor):
    """A point in time: ISO 8601 with an offset."""

    device_class: Literal["timestamp"] = "timestamp"


class NumberSensor(Sensor):
    """A number with statistics; anything else than a number is an error in the log."""

    state_class: StateClass = "measurement"
    unit_of_measurement: Annotated[Text | None, UNSAID] = None
    suggested_display_precision: Annotated[int | None, Field(ge=0, le=6), UNSAID] = None


class BinarySensor(Reading):
    """``ON`` or ``OFF``, as the template says."""

    platform: Literal["binary_sensor"] = "binary_sensor"
    default_entity_id: Annotated[str, Field(pattern=r"^binary_sensor\.[a-z0-9_]+$")]
    device_class: Annotated[Literal["connectivity"] | None, UNSAID] = None


class Event(Entity):
    """Shows the last event; each message is a JSON object with ``event_type``, its other keys become attributes.

    A type that is not listed is one warning for each message: the template gives the empty text instead of it.
    """

    platform: Literal["event"] = "event"
    default_entity_id: Annotated[str, Field(pattern=r"^event\.[a-z0-9_]+$")]
    state_topic: TopicFilter
    value_template: Template
    event_types: Options


class Image(Entity):
    """A picture from the web. What is no URL is an error in the log: the template always gives one."""

    platform: Literal["image"] = "image"
    default_entity_id: Annotated[str, Field(pattern=r"^image\.[a-z0-9_]+$")]
    url_topic: Topic
    url_template: Template


class Button(Entity):
    """Publishes ``payload_press`` when it is pressed."""

    platform: Literal["button"] = "button"
    default_entity_id: Annotated[str, Field(pattern=r"^button\.[a-z0-9_]+$")]
    entity_category: Annotated[Literal["config", "diagnostic"] | None, UNSAID] = None
    command_topic: Topic
    payload_press: Annotated[str, Field(pattern=r"^\{.*\}$")]


class TextField(Entity):
    """A field to type in. What its state is at any time must fit the pattern, so that does the empty text."""

    platform: Literal["text"] = "text"
    default_entity_id: Annotated[str, Field(pattern=r"^text\.[a-z0-9_]+$")]
    entity_category: Annotated[Literal["config", "diagnostic"] | None, UNSAID] = None
    state_topic: Topic
    value_template: Literal["{{ '' }}"] = "{{ '' }}"
    command_topic: Topic
    command_template: CommandTemplate
    min: Literal[0] = 0
    max: Annotated[int, Field(ge=1, le=255)]
    pattern: Annotated[str, Field(pattern=r"^\^\$\|\^.+\$$")]


class Select(Entity):
    """A choice. What is none of ``options`` is an error for each message: the template must not let it by."""

    platform: Literal["select"] = "select"
    default_entity_id: Annotated[str, Field(pattern=r"^select\.[a-z0-9_]+$")]
    entity_category: Annotated[Literal["config", "diagnostic"] | None, UNSAID] = None
    state_topic: Topic
    value_template: Template
    command_topic: Topic
    command_template: CommandTemplate
    options: Options


class DeviceTrigger(Model):
    """A message on ``topic`` from which the template reads ``payload`` starts the automations that chose this.

    The editor shows "<subtype> <type>". On a topic of its own, beside an event entity on a filter that fits it too, it
    would start them twice with a broker that sends one copy for each subscription (MQTT 3.1.1 leaves that open).
    """

    platform: Literal["device_automation"] = "device_automation"
    automation_type: Literal["trigger"] = "trigger"
    topic: TopicFilter
    payload: Text
    value_template: Template
    type: Text
    subtype: Text


class Removed(Model):
    """A component that an earlier announcement may have had, taken back: leaving it out would let it stand."""

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
