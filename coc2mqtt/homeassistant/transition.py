"""Changing the discovery payload of a device: Home Assistant keeps a component that is merely left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMPONENT_ID = re.compile(r"[a-z0-9_]+")
_PLATFORM = re.compile(r"[a-z_]+")


def removal_step(before: Iterable[tuple[str, str]], wanted: bytes) -> bytes:
    """Return the payload to publish next for a device to become ``wanted``: ``wanted`` itself or an intermediate one.

    ``before`` are the live components of the retained payload, empty if there is none or it is unknown. Home Assistant
    removes a component that is named with its platform alone, so this payload comes before the one without it. An empty
    payload removes the device.
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
