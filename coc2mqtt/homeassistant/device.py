"""The discovery payload of a device: what Home Assistant's MQTT integration accepts, and nothing beside it.

Home Assistant rejects a payload with an unknown key at the root, in ``device``, in ``origin`` or in an availability
entry; so every key is named here and no other can be sent. A field that is None is left out.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from coc2mqtt.homeassistant.components import Availability, Component, DeviceTrigger, Entity
from coc2mqtt.homeassistant.fields import UNSAID, ComponentId, Identifier, Model, Text, Url, distinct


class Device(Model):
    """What the device registry shows. ``identifiers`` never come from a name, so that a renamed clan stays itself."""

    identifiers: Annotated[tuple[Identifier, ...], Field(min_length=1), AfterValidator(distinct)]
    name: Text
    manufacturer: Text
    model: Text
    model_id: Annotated[Text | None, UNSAID] = None
    sw_version: Annotated[Text | None, UNSAID] = None
    via_device: Annotated[Identifier | None, UNSAID] = None
    configuration_url: Annotated[Url | None, UNSAID] = None

    @model_validator(mode="after")
    def _is_not_behind_itself(self) -> Self:
        if self.via_device in self.identifiers:
            raise ValueError(f"{self.via_device!r} cannot be reached via itself: name another via_device")
        return self


class Origin(Model):
    """Who announces: shown in Home Assistant's log beside whatever it complains of."""

    name: Text
    sw_version: Text
    support_url: Url


class DeviceDiscovery(Model):
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
        distinct([entity.unique_id for entity in entities])
        distinct([entity.default_entity_id for entity in entities])
        distinct([(trigger.type, trigger.subtype) for trigger in triggers])
        return self

    def encode(self) -> bytes:
        """Return the bytes to publish."""
        return self.model_dump_json().encode()
