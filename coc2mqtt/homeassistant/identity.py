"""How the entities of a device are called for ever, whatever the clan or the player is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from coc2mqtt.homeassistant.topics import DeviceKind, object_id


class EntityIds(TypedDict):
    """The names of an entity, to be put into its model."""

    unique_id: str
    default_entity_id: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A device's identifier, which its entities' unique ids begin with, and what their entity ids begin with."""

    device: str
    entities: str

    @classmethod
    def of_bridge(cls, instance: str) -> Identity:
        """Return the bridge's."""
        return cls(object_id(instance, "bridge"), f"coc2mqtt_{instance.lower().replace('-', '_')}")

    @classmethod
    def of_watched(cls, instance: str, kind: DeviceKind, tag: str) -> Identity:
        """Return that of a clan or a player; the tag is normalised."""
        return cls(object_id(instance, kind, tag), f"{kind}_{tag.removeprefix('#').lower()}")

    def ids(self, platform: str, key: str) -> EntityIds:
        """Return the ids of the entity that is the component ``key`` of the device."""
        return {"unique_id": f"{self.device}_{key}", "default_entity_id": f"{platform}.{self.entities}_{key}"}
