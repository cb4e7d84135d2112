"""What Home Assistant's MQTT integration accepts as the discovery of a device, and nothing beside it.

Home Assistant rejects a payload with an unknown key at the root, in ``device``, in ``origin`` or in an availability
entry, and drops one inside a component without a word; so every key is named here and no other can be sent. Keys are
written out, never abbreviated. A field that is None is left out, except ``name``, where null has a meaning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Items = TypeVar("Items", bound=Iterable[Hashable])

_UNSAID = Field(exclude_if=lambda value: value is None)


def _distinct(items: Items) -> Items:
    for item, times in Counter(items).items():
        if times > 1:
            raise ValueError(f"{item!r} stands there twice: Home Assistant would take only one of them")
    return items


Text = Annotated[str, Field(min_length=1)]
Icon = Annotated[str, Field(pattern=r"^mdi:[a-z0-9-]+$")]
Url = Annotated[str, Field(pattern=r"^https?://[!-~]+$")]
ComponentId = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Identifier = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
Topic = Annotated[str, Field(pattern=r"^[^+#/\x00]+(/[^+#/\x00]+)*$")]
TopicFilter = Annotated[str, Field(pattern=r"^(\+|[^+#/\x00]+)(/(\+|[^+#/\x00]+))*$")]
# Everything that we retain is a JSON object: a template that reads it otherwise is a mistake.
Template = Annotated[str, Field(pattern=r"^\{\{ .*value_json.* \}\}$")]
Options = Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(_distinct)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Availability(_Model):
    """A topic whose template gives ``online`` or ``offline``; it must be retained."""

    topic: Topic
    value_template: Template


class Device(_Model):
    """What the device registry shows. ``identifiers`` never come from a name, so that a renamed clan stays itself."""

    identifiers: Annotated[tuple[Identifier, ...], Field(min_length=1), AfterValidator(_distinct)]
    name: Text
    manufacturer: Text
    model: Text
    model_id: Annotated[Text | None, _UNSAID] = None
    sw_version: Annotated[Text | None, _UNSAID] = None
    via_device: Annotated[Identifier | None, _UNSAID] = None
    configuration_url: Annotated[Url | None, _UNSAID] = None

    @model_validator(mode="after")
    def _is_not_behind_itself(self) -> Self:
        if self.via_device in self.identifiers:
            raise ValueError(f"{self.via_device!r} cannot be reached via itself: name another via_device")
        return self


class Origin(_Model):
    """Who announces: shown in Home Assistant's log beside whatever it complains of."""

    name: Text
    sw_version: Text
    support_url: Url


class Entity(_Model):
    """What every entity has.

    ``name`` does not repeat the device's; null makes it the device's main entity. ``availability`` replaces the
    root's: empty means always available, None that the root's counts.
    """

    unique_id: Identifier
    name: Text | None
    icon: Annotated[Icon | None, _UNSAID] = None
    # Home Assistant refuses `config` for what can only be read.
    entity_category: Annotated[Literal["diagnostic"] | None, _UNSAID] = None
    availability: Annotated[tuple[Availability, ...] | None, _UNSAID] = None


class Sensor(Entity):
    """What every sensor has; the template gives ``None`` for unknown, and never more than 255 characters."""

    platform: Literal["sensor"] = "sensor"
    default_entity_id: Annotated[str, Field(pattern=r"^sensor\.[a-z0-9_]+$")]
    state_topic: Topic
    value_template: Template


class EnumSensor(Sensor):
    """One of some words. What is none of ``options`` is a warning for each message: the template must not let it by."""

    device_class: Literal["enum"] = "enum"
    options: Options


class TimestampSensor(Sensor):
    """A point in time: ISO 8601 with an offset."""

    device_class: Literal["timestamp"] = "timestamp"


class MeasurementSensor(Sensor):
    """A number with statistics."""

    state_class: Literal["measurement"] = "measurement"
    unit_of_measurement: Text


class BinarySensor(Entity):
    """``ON`` or ``OFF``, as the template says."""

    platform: Literal["binary_sensor"] = "binary_sensor"
    default_entity_id: Annotated[str, Field(pattern=r"^binary_sensor\.[a-z0-9_]+$")]
    state_topic: Topic
    value_template: Template
    device_class: Annotated[Literal["connectivity"] | None, _UNSAID] = None


class Event(Entity):
    """Shows the last event; each message is a JSON object with ``event_type``, its other keys become attributes.

    A type that is not listed is one warning for each message.
    """

    platform: Literal["event"] = "event"
    default_entity_id: Annotated[str, Field(pattern=r"^event\.[a-z0-9_]+$")]
    state_topic: TopicFilter
    event_types: Options


class DeviceTrigger(_Model):
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


class Removed(_Model):
    """A component that an earlier announcement may have had, taken back: leaving it out would let it stand."""

    platform: Literal["sensor", "device_automation"]


Component = EnumSensor | TimestampSensor | MeasurementSensor | BinarySensor | Event | DeviceTrigger | Removed


class DeviceDiscovery(_Model):
    """The whole retained payload of one device. What stands here counts for every component that does not differ."""

    device: Device
    origin: Origin
    availability: Annotated[tuple[Availability, ...], Field(min_length=1)]
    # Home Assistant's default, `latest`, would believe whichever topic spoke last.
    availability_mode: Literal["all"] = "all"
    # It subscribes with 0 by default, and an event could get lost on its way from the broker.
    qos: Literal[1] = 1
    components: Annotated[dict[ComponentId, Component], Field(min_length=1)]

    @model_validator(mode="after")
    def _components_differ(self) -> Self:
        entities = [component for component in self.components.values() if isinstance(component, Entity)]
        triggers = [component for component in self.components.values() if isinstance(component, DeviceTrigger)]
        _distinct([entity.unique_id for entity in entities])
        _distinct([entity.default_entity_id for entity in entities])
        _distinct([(trigger.type, trigger.subtype) for trigger in triggers])
        return self

    def encode(self) -> bytes:
        """Return the bytes to publish."""
        return self.model_dump_json().encode()
