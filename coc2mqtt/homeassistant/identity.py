"""The permanent ids of devices and entities, and discovery topics; none of them depends on names in the game."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict, get_args

DISCOVERY_PREFIX = "homeassistant"

DeviceKind = Literal["bridge", "clan", "player"]
# The parts of a clan's or player's device that have discovery payloads of their own.
ClanPart = Literal["cwl", "raid", "activity", "reminders", "games"]
PlayerPart = Literal["ranked"]
PartName = ClanPart | PlayerPart
_PART_NAMES: dict[Literal["clan", "player"], tuple[PartName, ...]] = {
    "clan": get_args(ClanPart),
    "player": get_args(PlayerPart),
}

# Home Assistant ignores a discovery topic with any other character.
_OBJECT_ID = re.compile(r"[a-zA-Z0-9_-]+")
# A tag contains neither `_` nor lower-case letters, so the topics of two instances never look alike.
_OWN = re.compile(r"(?P<bridge>bridge)|(?P<kind>clan|player)_(?P<tag>[0-9A-Z]+)")
_OWN_MEMBER = re.compile(r"clan_(?P<clan>[0-9A-Z]+)_member_(?P<tag>[0-9A-Z]+)")
_OWN_PART = re.compile(r"(?P<kind>clan|player)_(?P<tag>[0-9A-Z]+)_(?P<part>[a-z]+)")


def object_id(instance: str, kind: DeviceKind, tag: str | None = None) -> str:
    """Return the permanent identifier of a device, which is also the prefix of its unique ids.

    The tag is normalised; only the bridge has None. Raises ValueError if a discovery topic cannot contain the result.
    """
    if (tag is None) is not (kind == "bridge"):
        raise ValueError(f"a {kind} with tag {tag!r} is not a valid device: only the bridge has no tag")
    name = f"coc2mqtt_{instance}_{kind}" if tag is None else f"coc2mqtt_{instance}_{kind}_{tag.removeprefix('#')}"
    if not _OBJECT_ID.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a valid discovery id: use only letters, digits, '_' and '-' in the instance name"
        )
    return name


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


class AnnouncedDevice(NamedTuple):
    """The device of a discovery topic: the bridge (its tag is None), a clan or a player."""

    kind: DeviceKind
    tag: str | None


class AnnouncedMember(NamedTuple):
    """The member of a clan whose sensor has a discovery topic."""

    clan: str
    tag: str


class AnnouncedPart(NamedTuple):
    """The tag of a clan or player, and the part of its device that has a discovery topic."""

    tag: str
    part: PartName


def discovery_topic(prefix: str, instance: str, kind: DeviceKind, tag: str | None = None) -> str:
    """Return the discovery topic of a device; raises the errors of ``object_id``."""
    return f"{prefix}/device/{object_id(instance, kind, tag)}/config"


def parse_discovery_topic(prefix: str, instance: str, topic: str) -> AnnouncedDevice | None:
    """Return the device of a discovery topic, None for other instances; the inverse of ``discovery_topic``."""
    match = _OWN.fullmatch(_own_id(prefix, instance, topic))
    if not match:
        return None
    if match["bridge"]:
        return AnnouncedDevice("bridge", None)
    return AnnouncedDevice("clan" if match["kind"] == "clan" else "player", f"#{match['tag']}")


def member_topic(prefix: str, instance: str, clan: str, tag: str) -> str:
    """Return the discovery topic of the sensor of a clan's member; raises the errors of ``object_id``."""
    return f"{prefix}/device/{object_id(instance, 'clan', clan)}_member_{tag.removeprefix('#')}/config"


def parse_member_topic(prefix: str, instance: str, topic: str) -> AnnouncedMember | None:
    """Return the member of a discovery topic, None for all others; the inverse of ``member_topic``."""
    match = _OWN_MEMBER.fullmatch(_own_id(prefix, instance, topic))
    return AnnouncedMember(f"#{match['clan']}", f"#{match['tag']}") if match else None


def part_device(part: PartName) -> Literal["clan", "player"]:
    """Return the kind of the device that a part belongs to."""
    return "player" if part in _PART_NAMES["player"] else "clan"


def part_topic(prefix: str, instance: str, tag: str, part: PartName) -> str:
    """Return the discovery topic of a part of a clan's or player's device; raises the errors of ``object_id``."""
    return f"{prefix}/device/{object_id(instance, part_device(part), tag)}_{part}/config"


def parse_part_topic(prefix: str, instance: str, topic: str) -> AnnouncedPart | None:
    """Return the part of a device of a discovery topic, None for all others; the inverse of ``part_topic``."""
    match = _OWN_PART.fullmatch(_own_id(prefix, instance, topic))
    if not match:
        return None
    names = _PART_NAMES["clan" if match["kind"] == "clan" else "player"]
    part = next((name for name in names if name == match["part"]), None)
    return None if part is None else AnnouncedPart(f"#{match['tag']}", part)


def _own_id(prefix: str, instance: str, topic: str) -> str:
    """Return the part of an object id after the instance, the empty text for the topics of others."""
    before, after = f"{prefix}/device/coc2mqtt_{instance}_", "/config"
    return topic[len(before) : -len(after)] if topic.startswith(before) and topic.endswith(after) else ""
