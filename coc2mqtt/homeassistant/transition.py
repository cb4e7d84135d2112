"""From one announcement of a device to the next: Home Assistant keeps a component that is merely left out."""

from __future__ import annotations

import re
from typing import Any

import orjson

Json = dict[str, Any]

_COMPONENT_ID = re.compile(r"[a-z0-9_]+")
_PLATFORM = re.compile(r"[a-z_]+")


def next_step(before: bytes | None, wanted: bytes) -> bytes:
    """Return what to publish now for a device to become what is wanted: that itself, or something on the way to it.

    ``before`` is what is retained, None where nothing is or where that is not known. A component that is to go is
    first named with its platform alone; after that the payload without it follows. Empty payloads remove the device.
    """
    if not before or not wanted:
        return wanted
    after = orjson.loads(wanted)
    kept = after["components"]
    gone = {
        key: {"platform": platform}
        for key, platform in _live(before).items()
        if kept.get(key, {}).get("platform") != platform
    }
    if not gone:
        return wanted
    return orjson.dumps({**after, "components": {**kept, **gone}})


def _live(payload: bytes) -> dict[str, str]:
    """Return the platform of each component that a payload announces; of one that is none of ours nothing."""
    try:
        announced = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    components = announced.get("components") if isinstance(announced, dict) else None
    return {
        key: platform
        for key, component in (components.items() if isinstance(components, dict) else ())
        if _COMPONENT_ID.fullmatch(key)
        and isinstance(component, dict)
        and component.keys() != {"platform"}
        and isinstance(platform := component.get("platform"), str)
        and _PLATFORM.fullmatch(platform)
    }
