"""Durations in configuration and commands: seconds, or a number with a unit."""

from __future__ import annotations

import re
from datetime import timedelta

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", None: "seconds"}


def parse_duration(value: object) -> timedelta:
    """Parse a duration such as ``90``, ``30m`` or ``7d``; raises ValueError with a message for the user."""
    if isinstance(value, timedelta):
        return value
    match = DURATION.fullmatch(str(value).strip())
    try:
        if match:
            return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        pass
    raise ValueError(f"must be seconds, or a number with s, m, h or d such as 7d, got {value!r}")
