"""The discovery payload of a device: its model, the message that publishes it, and the steps to change it.

The model has only keys that Home Assistant's MQTT integration accepts. Home Assistant rejects a payload with an unknown
key at the root, in ``device``, in ``origin`` or in an availability entry, so the models forbid other keys. Fields that
are None are omitted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

import orjson
from pydantic import AfterValidator, Field, model_validator

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import (
    OMIT_NONE,
    Availability,
    Component,
    ComponentId,
    DeviceTrigger,
    Entity,
    Identifier,
    Model,
    Text,
    Url,
    unique,
)
from coc2mqtt.translations import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.translations import Language


PROJECT_URL = "https://github.com/coc2mqtt/coc2mqtt"
_COMPONENT_ID = re.compile(r"[a-z0-9_]+")
_PLATFORM = re.compile(r"[a-z_]+")


class Device(Model):
    """An entry of the device registry. ``identifiers`` do not depend on names, so a renamed clan keeps its device."""

    identifiers: Annotated[tuple[Identifier, ...], Field(min_length=1), AfterValidator(unique)]
    name: Text
    manufacturer: Text
    model: Text
    model_id: Annotated[Text | None, OMIT_NONE] = None
    sw_version: Annotated[Text | None, OMIT_NONE] = None
    via_device: Annotated[Identifier | None, OMIT_NONE] = None
    configuration_url: Annotated[Url | None, OMIT_NONE] = None

    @model_validator(mode="after")
    def _is_not_via_itself(self) -> Self:
        if self.via_device in self.identifiers:
            raise ValueError(f"{self.via_device!r} cannot be its own via_device: name another device")
        return self


class Origin(Model):
    """The program that publishes the payload; Home Assistant includes it in log messages."""

    name: Text
    sw_version: Text
    support_url: Url


class DeviceDiscovery(Model):
    """The complete retained payload of a device. Its options apply to components that do not override them."""

    device: Device
    origin: Origin
    availability: Annotated[tuple[Availability, ...], Field(min_length=1)]
    # Home Assistant's default, `latest`, uses the topic that was updated last.
    availability_mode: Literal["all"] = "all"
    # Home Assistant subscribes with QoS 0 by default, which can lose events.
    qos: Literal[1] = 1
    components: Annotated[dict[ComponentId, Component], Field(min_length=1)]

    @model_validator(mode="after")
    def _components_differ(self) -> Self:
        entities = [component for component in self.components.values() if isinstance(component, Entity)]
        triggers = [component for component in self.components.values() if isinstance(component, DeviceTrigger)]
        unique([entity.unique_id for entity in entities])
        unique([entity.default_entity_id for entity in entities])
        unique([(trigger.type, trigger.subtype) for trigger in triggers])
        return self

    def translate(self, language: Language) -> Self:
        """Return the payload with the names of its entities in a language.

        The ids stay the same, and so does the model: blueprints select a device by it.
        """
        if language is ENGLISH:
            return self
        components = {key: _translate(component, language) for key, component in self.components.items()}
        return self.model_copy(update={"components": components})

    def encode(self) -> bytes:
        """Return the bytes to publish."""
        return self.model_dump_json().encode()


def _translate(component: Component, language: Language) -> Component:
    name = getattr(component, "name", None)
    return component if name is None else component.model_copy(update={"name": language.text(name)})


def origin(version: str) -> Origin:
    """Return the origin of all discovery payloads."""
    return Origin(name="coc2mqtt", sw_version=version, support_url=PROJECT_URL)


def online(topic: str) -> Availability:
    """Return the availability from a topic with the payload ``{"state": "online"}`` or ``{"state": "offline"}``."""
    return Availability(topic=topic, value_template=templates.state())


def known(topic: str, *path: str) -> Availability:
    """Return the availability of an entity whose retained topic may have no value at a path."""
    return Availability(topic=topic, value_template=templates.is_known(*path))


@dataclass(frozen=True, slots=True)
class DiscoveryMessage:
    """A message to publish retained with QoS 1; an empty payload removes the device."""

    topic: str
    payload: bytes


def removal(discovery_topic: str) -> DiscoveryMessage:
    """Return the message that removes a device with all its entities.

    Publish it before removing the device's retained states, so that no entity reads an empty state.
    """
    return DiscoveryMessage(discovery_topic, b"")


def removal_step(before: Iterable[tuple[str, str]], wanted: bytes) -> bytes:
    """Return the payload to publish next for a device to become ``wanted``: ``wanted`` itself or an intermediate one.

    ``before`` are the live components of the retained payload, empty if there is none or it is unknown. Home Assistant
    keeps a component that is merely omitted and removes one that is named with its platform alone, so the latter comes
    before the payload without it. An empty payload removes the device.
    """
    before = tuple(before)
    if not before or not wanted:
        return wanted
    after = orjson.loads(wanted)
    kept = after["components"]
    removed = {key: {"platform": platform} for key, platform in before if kept.get(key, {}).get("platform") != platform}
    if not removed:
        return wanted
    return orjson.dumps({**after, "components": {**kept, **removed}})


def live_components(payload: bytes) -> tuple[tuple[str, str], ...]:
    """Return the keys and platforms of the components that a payload defines, empty for an invalid payload."""
    try:
        announced = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return ()
    components = announced.get("components") if isinstance(announced, dict) else None
    return tuple(
        (key, platform)
        for key, component in (components.items() if isinstance(components, dict) else ())
        if _COMPONENT_ID.fullmatch(key)
        and isinstance(component, dict)
        and component.keys() != {"platform"}
        and isinstance(platform := component.get("platform"), str)
        and _PLATFORM.fullmatch(platform)
    )
