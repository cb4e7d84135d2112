"""Permanent ids of devices and entities; they do not depend on names in the game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from coc2mqtt.homeassistant.topics import DeviceKind, object_id


class EntityIds(TypedDict):
    """The ids of an entity, as keyword arguments of its model."""

    unique_id: str
    default_entity_id: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A device's identifier, which is the prefix of its unique ids, and the prefix of its entity ids."""

    device: str
    entities: str

    @classmethod
    def of_bridge(cls, instance: str) -> Identity:
        """Return the identity of the bridge."""
        return cls(object_id(instance, "bridge"), f"coc2mqtt_{instance.lower().replace('-', '_')}")

    @classmethod
    def of_watched(cls, instance: str, kind: DeviceKind, tag: str) -> Identity:
        """Return the identity of a clan or player; the tag is normalised."""
        return cls(object_id(instance, kind, tag), f"{kind}_{tag.removeprefix('#').lower()}")

    def ids(self, platform: str, key: str) -> EntityIds:
        """Return the ids of the entity with the component id ``key``."""
        return {"unique_id": f"{self.device}_{key}", "default_entity_id": f"{platform}.{self.entities}_{key}"}
