"""Builds the entities of a device that read a retained topic, its event entities and its device triggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import (
    BinarySensor,
    DeviceTrigger,
    EnumSensor,
    Event,
    NumberSensor,
    TextSensor,
    TimestampSensor,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coc2mqtt.homeassistant.components import Availability, StateClass
    from coc2mqtt.homeassistant.identity import Identity
    from coc2mqtt.translations import Language


class _EntityOptions(TypedDict):
    unique_id: str
    default_entity_id: str
    name: str
    icon: str
    entity_category: Literal["diagnostic"] | None
    availability: tuple[Availability, ...] | None
    enabled_by_default: Literal[False] | None
    state_topic: str


class _SensorOptions(_EntityOptions):
    json_attributes_topic: str | None
    json_attributes_template: str | None


@dataclass(frozen=True, slots=True)
class EntityFactory:
    """Builds entities from a state topic whose payload is a JSON object.

    ``key`` is the component id, ``path`` the keys from the outermost object to the value; it defaults to the key.
    The fields after ``topic`` apply to every entity; None as ``availability`` is the device's.
    """

    identity: Identity
    topic: str
    entity_category: Literal["diagnostic"] | None = None
    availability: tuple[Availability, ...] | None = None
    enabled_by_default: Literal[False] | None = None

    def number(
        self,
        key: str,
        name: str,
        icon: str,
        *,
        path: Sequence[str] = (),
        times: int = 1,
        unit: str | None = None,
        state_class: StateClass = "measurement",
        precision: int | None = None,
        attributes: str | None = None,
    ) -> NumberSensor:
        """Return a numeric sensor; ``times`` multiplies the value, ``precision`` is the number of decimals shown."""
        return NumberSensor(
            **self._sensor_options(key, name, icon, attributes),
            unit_of_measurement=unit,
            state_class=state_class,
            suggested_display_precision=precision,
            value_template=templates.number(*path or (key,), times=times),
        )

    def count(self, key: str, name: str, icon: str, *, path: Sequence[str], attributes: str) -> NumberSensor:
        """Return a sensor that shows the length of a list."""
        return NumberSensor(
            **self._sensor_options(key, name, icon, attributes),
            value_template=templates.count(*path),
        )

    def text(
        self, key: str, name: str, icon: str, *, path: Sequence[str] = (), attributes: str | None = None
    ) -> TextSensor:
        """Return a sensor that shows a text."""
        return TextSensor(
            **self._sensor_options(key, name, icon, attributes),
            value_template=templates.text(*path or (key,)),
        )

    def enum(
        self,
        key: str,
        name: str,
        icon: str,
        options: Mapping[str, str],
        *,
        labels: Mapping[str, str],
        path: Sequence[str] = (),
        attributes: str | None = None,
    ) -> EnumSensor:
        """Return a sensor with a fixed set of states; ``options`` maps each value in the payload to its state.

        ``labels`` maps each state to its text for people, which becomes the attribute ``label``. A template of
        ``attributes`` replaces it, and should contain it.
        """
        texts = {value: labels[state] for value, state in options.items()}
        return EnumSensor(
            **self._sensor_options(key, name, icon, attributes or templates.label(texts, *path or (key,))),
            options=tuple(options.values()),
            value_template=templates.translate(options, *path or (key,)),
        )

    def timestamp(
        self,
        key: str,
        name: str,
        icon: str,
        *,
        path: Sequence[str] = (),
        attributes: str | None = None,
    ) -> TimestampSensor:
        """Return a sensor that shows a point in time."""
        return TimestampSensor(
            **self._sensor_options(key, name, icon, attributes),
            value_template=templates.timestamp(*path or (key,)),
        )

    def flag(
        self, key: str, name: str, icon: str, *, path: Sequence[str] = (), attributes: str | None = None
    ) -> BinarySensor:
        """Return a binary sensor that shows a boolean."""
        return BinarySensor(
            **self._options("binary_sensor", key, name, icon),
            value_template=templates.yes_or_no(*path or (key,)),
            json_attributes_topic=self.topic if attributes else None,
            json_attributes_template=attributes,
        )

    def _options(self, platform: str, key: str, name: str, icon: str) -> _EntityOptions:
        return {
            **self.identity.ids(platform, key),
            "name": name,
            "icon": icon,
            "entity_category": self.entity_category,
            "availability": self.availability,
            "enabled_by_default": self.enabled_by_default,
            "state_topic": self.topic,
        }

    def _sensor_options(self, key: str, name: str, icon: str, attributes: str | None) -> _SensorOptions:
        return {
            **self._options("sensor", key, name, icon),
            "json_attributes_topic": self.topic if attributes else None,
            "json_attributes_template": attributes,
        }


def translated(labels: Mapping[str, str], language: Language) -> dict[str, str]:
    """Return the labels of states in a language."""
    return {state: language.text(text) for state, text in labels.items()}


def options(*states: str) -> dict[str, str]:
    """Return the options of an enum sensor whose states are the values in the payload."""
    return {state: state for state in states}


def event_entity(
    identity: Identity,
    key: str,
    *,
    name: str,
    icon: str,
    topic: str,
    event_types: Sequence[str],
    availability: tuple[Availability, ...] | None = None,
) -> Event:
    """Return an entity that shows the last event of these types; ``topic`` may have others too."""
    return Event(
        **identity.ids("event", key),
        name=name,
        icon=icon,
        availability=availability,
        state_topic=topic,
        value_template=templates.event(event_types),
        event_types=tuple(event_types),
    )


def triggers(topic: str, event_types: Sequence[str]) -> dict[str, DeviceTrigger]:
    """Return a trigger for each event type on a topic, by component id."""
    return {
        f"trigger_{event_type}": DeviceTrigger(
            topic=topic,
            payload=event_type,
            value_template=templates.event_type(),
            type="happened",
            subtype=event_type,
        )
        for event_type in event_types
    }
