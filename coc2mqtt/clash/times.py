"""Times as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: object) -> datetime | None:
    """Return a time of the API (``20260417T011933.000Z``, always UTC), None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def parse_unix_time(text: object) -> float | None:
    """Return a time of the API as Unix time in seconds, None where it is none."""
    moment = parse_time(text)
    return None if moment is None else moment.timestamp()
