"""Responses of the API: their bodies, caching headers and timestamps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import orjson

from coc2mqtt.clash.errors import InvalidResponseError

REPLACEMENT = "\ufffd"
# No data of the game is cached for longer. A proxy that claims more is wrong, and must not stop all polling.
MAX_FRESHNESS_S = 900.0

_SECONDS = re.compile(r"\d{1,9}", re.ASCII)
_DECIMAL_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
# An escape sequence in JSON: a surrogate pair, a lone surrogate, or any other. Backslashes occur nowhere else in JSON.
_ESCAPE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)


@dataclass(frozen=True)
class ApiResponse:
    """A successful response of the API.

    ``body`` is the JSON as received, so that an unchanged response is recognised by its digest without decoding it.
    ``max_age`` is for how many seconds the API will return the same body: 0 if unknown, at most 900.
    """

    status: int
    body: bytes = field(repr=False)
    max_age: float

    @cached_property
    def data(self) -> dict[str, Any]:
        """The JSON object in the body, decoded on first access. Invalid Unicode is replaced by U+FFFD.

        Raises InvalidResponseError if the body is not a JSON object.
        """
        return self._decoded[0]

    @property
    def repaired(self) -> bool:
        """Whether invalid Unicode in the body was replaced; raises the errors of ``data``."""
        return self._decoded[1]

    @cached_property
    def _decoded(self) -> tuple[dict[str, Any], bool]:
        data, repaired = self._parse()
        if not isinstance(data, dict):
            raise self._invalid("JSON, but not an object")
        return data, repaired

    def _parse(self) -> tuple[Any, bool]:
        try:
            return orjson.loads(self.body), False
        except orjson.JSONDecodeError as error:
            failure = error
        repaired = repair_text(self.body)
        if repaired != self.body:
            try:
                return orjson.loads(repaired), True
            except orjson.JSONDecodeError as error:
                failure = error
        raise self._invalid(f"not JSON ({failure})") from failure

    def _invalid(self, found: str) -> InvalidResponseError:
        return InvalidResponseError(
            f"the API's response is {found}: if this persists, check api.base_url", status=self.status
        )


def repair_text(body: bytes) -> bytes:
    """Return JSON with invalid UTF-8 and lone surrogates replaced by U+FFFD."""
    return _ESCAPE.sub(
        lambda escape: "\\ufffd" if escape["lone"] else escape[0], body.decode(errors="replace")
    ).encode()


def parse_max_age(cache_control: str) -> float:
    """Return the seconds of ``max-age`` in a Cache-Control header, 0 if it is missing or invalid.

    Returns 0 for ``no-cache`` and ``no-store`` too.
    """
    max_age = 0.0
    # The API's error responses have `public max-age=600`, without the comma that RFC 9111 5.2 requires.
    for directive in re.split(r"[,\s]+", cache_control.lower()):
        name, _, value = directive.partition("=")
        if name in ("no-cache", "no-store"):
            return 0.0
        seconds = value.strip('"')
        if name == "max-age" and _SECONDS.fullmatch(seconds):
            max_age = float(seconds)
    return max_age


def remaining_freshness(cache_control: str, age: str) -> float:
    """Return for how many seconds a response stays fresh: ``max-age`` minus ``Age``, from 0 to 900."""
    age = age.strip()
    seconds = parse_max_age(cache_control) - (float(age) if _SECONDS.fullmatch(age) else 0.0)
    return min(max(0.0, seconds), MAX_FRESHNESS_S)


def parse_retry_after(retry_after: str, *, now: float) -> float | None:
    """Return the seconds to wait after ``now`` (Unix time) by a Retry-After header, None if it is invalid.

    RFC 9110 10.2.3 allows seconds and an HTTP date. A date in the past is 0.
    """
    text = retry_after.strip()
    if _DECIMAL_SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # OverflowError: a year with twenty digits, for example
        return None
    return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)


def parse_time(text: object) -> datetime | None:
    """Return a timestamp of the API (``20260417T011933.000Z``, always UTC), None if it is invalid."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def api_time(text: object) -> str | None:
    """Return a timestamp of the API in ISO 8601, such as ``2026-04-17T01:19:33.000+00:00``, None if it is invalid."""
    time = parse_time(text)
    return None if time is None else time.isoformat(timespec="milliseconds")


def parse_unix_time(text: object) -> float | None:
    """Return a timestamp of the API as Unix time in seconds, None if it is invalid."""
    time = parse_time(text)
    return None if time is None else time.timestamp()


def iso_time(unix_time: float) -> str:
    """Return a Unix time in seconds in ISO 8601, such as ``2026-11-23T12:00:00.123+00:00``."""
    return datetime.fromtimestamp(unix_time, UTC).isoformat(timespec="milliseconds")
