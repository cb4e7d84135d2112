"""The discovery payload of a device, restricted to keys that Home Assistant's MQTT integration accepts.

Home Assistant rejects a payload with an unknown key at the root, in ``device``, in ``origin`` or in an availability
entry, so these models forbid other keys. Fields that are None are omitted.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

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

    def encode(self) -> bytes:
        """Return the bytes to publish."""
        return self.model_dump_json().encode()
