"""Headers: how long an answer holds and how long to wait, in seconds."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

# Seconds for which a response is believed to stay the same, at most.
LONGEST_LIFE = 900.0

_DELAY = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)


def parse_max_age(cache_control: str) -> float:
    """Return the seconds of ``max-age`` in a Cache-Control header, 0 when there is none that makes sense.

    ``no-cache`` and ``no-store`` mean 0 as well.
    """
    max_age = 0.0
    # The API's error answers say `public max-age=600` without the comma of RFC 9111 5.2.
    for directive in re.split(r"[,\s]+", cache_control.lower()):
        name, _, value = directive.partition("=")
        if name in ("no-cache", "no-store"):
            return 0.0
        seconds = value.strip('"')
        if name == "max-age" and _SECONDS.fullmatch(seconds):
            max_age = float(seconds)
    return max_age


def remaining_life(cache_control: str, age: str) -> float:
    """Return for how many seconds a response will stay the same: ``max-age`` less ``Age``, at most 15 minutes.

    Nothing of the game is cached for longer; a proxy that says so is wrong, and must not end the watch.
    """
    passed = age.strip()
    seconds = parse_max_age(cache_control) - (float(passed) if _SECONDS.fullmatch(passed) else 0.0)
    return min(max(0.0, seconds), LONGEST_LIFE)


def parse_retry_after(retry_after: str, *, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks to wait from ``now`` (Unix time), None when it is nonsense.

    RFC 9110 10.2.3 allows seconds and an HTTP date; one in the past is 0.
    """
    text = retry_after.strip()
    if _DELAY.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter where the year, say, has twenty digits
        return None
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now)
