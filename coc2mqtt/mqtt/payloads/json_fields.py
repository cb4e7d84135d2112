"""What is read from an answer of the API, of which nothing is certain: None for what is of another type."""

from __future__ import annotations

from typing import Any

from coc2mqtt.mqtt.payloads.models import shorten

Json = dict[str, Any]


def integer(value: object) -> int | None:
    """Return a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def text(value: object) -> str | None:
    """Return a text, cut to what can be shown."""
    return shorten(value) if isinstance(value, str) else None


def json_object(value: object) -> Json:
    """Return an object, an empty one for all else."""
    return value if isinstance(value, dict) else {}


def json_objects(value: object) -> list[Json]:
    """Return the objects in a list, none for all else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def named(value: object) -> str | None:
    """Return what something is called that has a name, such as a league."""
    return text(json_object(value).get("name"))
