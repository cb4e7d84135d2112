"""Where devices are announced, and whose announcement a topic is."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

DISCOVERY_PREFIX = "homeassistant"

DeviceKind = Literal["bridge", "clan", "player"]

# Home Assistant ignores a discovery topic with any other character.
_OBJECT_ID = re.compile(r"[a-zA-Z0-9_-]+")
# A tag has neither `_` nor small letters: so no instance can be named such that its topics look like another's.
_OWN = re.compile(r"(?P<bridge>bridge)|(?P<kind>clan|player)_(?P<tag>[0-9A-Z]+)")


class AnnouncedDevice(NamedTuple):
    """What a discovery topic of ours announces: the bridge, whose tag is None, or what is watched under a tag."""

    kind: DeviceKind
    tag: str | None


def object_id(instance: str, kind: DeviceKind, tag: str | None = None) -> str:
    """Return how a device is called for ever: its identifier and the beginning of its unique ids.

    The tag is normalised, None for the bridge alone. Raises ValueError for what no discovery topic can hold.
    """
    if (tag is None) is not (kind == "bridge"):
        raise ValueError(f"a {kind} with tag {tag!r} cannot be announced: the bridge has no tag, all else has one")
    name = f"coc2mqtt_{instance}_{kind}" if tag is None else f"coc2mqtt_{instance}_{kind}_{tag.removeprefix('#')}"
    if not _OBJECT_ID.fullmatch(name):
        raise ValueError(f"{name!r} cannot be announced: name the instance with letters, digits, '_' and '-' only")
    return name


def discovery_topic(prefix: str, instance: str, kind: DeviceKind, tag: str | None = None) -> str:
    """Return the topic on which the discovery of a device is retained; raises as object_id does."""
    return f"{prefix}/device/{object_id(instance, kind, tag)}/config"


def parse_discovery_topic(prefix: str, instance: str, topic: str) -> AnnouncedDevice | None:
    """Return what a topic announces, None unless this very instance announced it: the inverse of discovery_topic."""
    before, after = f"{prefix}/device/coc2mqtt_{instance}_", "/config"
    if not (topic.startswith(before) and topic.endswith(after)):
        return None
    match = _OWN.fullmatch(topic[len(before) : -len(after)])
    if not match:
        return None
    if match["bridge"]:
        return AnnouncedDevice("bridge", None)
    return AnnouncedDevice("clan" if match["kind"] == "clan" else "player", f"#{match['tag']}")
