"""Durations as people write them: seconds, or a number with a unit."""

from __future__ import annotations

import re
from datetime import timedelta

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", None: "seconds"}


def read_duration(value: object) -> timedelta:
    """Return the duration that ``90``, ``30m`` or ``7d`` is; raises ValueError, in words for a user."""
    if isinstance(value, timedelta):
        return value
    match = DURATION.fullmatch(str(value).strip())
    try:
        if match:
            return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        pass
    raise ValueError(f"must be seconds, or a number with s, m, h or d such as 7d, got {value!r}")
