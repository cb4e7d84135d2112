"""Reading values of the API, whose types are not validated: a value of an unexpected type becomes None."""

from __future__ import annotations

from typing import Any

from coc2mqtt.util.text import shorten, shorten_json

Json = dict[str, Any]
# Longer than any name in the game, in bytes of JSON.
_MAX_NAME_BYTES = 64


def integer(value: object) -> int | None:
    """Return an integer, None for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return a number, None for any other value."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Return a text, cut to the maximum length of a state in Home Assistant, None for any other value."""
    return shorten(value) if isinstance(value, str) else None


def short_text(value: object, max_bytes: int = _MAX_NAME_BYTES) -> str | None:
    """Return a text of at most ``max_bytes`` bytes of JSON, for lists of limited size, None for any other value."""
    return shorten_json(value, max_bytes) if isinstance(value, str) else None


def json_object(value: object) -> Json:
    """Return a JSON object, an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def json_objects(value: object) -> list[Json]:
    """Return the objects of a list, none for any other value."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def name_of(value: object) -> str | None:
    """Return the name of an object such as a league."""
    return text(json_object(value).get("name"))
