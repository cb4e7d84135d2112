"""The errors of a client that reports them as dicts, such as cocapi. Pure: no clock, no I/O."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson

from coc2mqtt.clash.error_response import ErrorResponse
from coc2mqtt.clash.errors import BadRequestError, ClashError, InvalidResponseError, UnreachableError

Json = dict[str, Any]

# cocapi's asynchronous client reports `http_status`, its synchronous one `status_code`.
_STATUS_KEYS = ("http_status", "status_code", "status", "code")
_STATUS_OF_REASON = {
    "inMaintenance": HTTPStatus.SERVICE_UNAVAILABLE,
    "notFound": HTTPStatus.NOT_FOUND,
    "accessDenied": HTTPStatus.FORBIDDEN,
    "accessDenied.invalidIp": HTTPStatus.FORBIDDEN,
    "requestThrottled": HTTPStatus.TOO_MANY_REQUESTS,
    "badRequest": HTTPStatus.BAD_REQUEST,
    "unknownException": HTTPStatus.INTERNAL_SERVER_ERROR,
}
# For clients that report a message alone; the first match counts.
_STATUS_OF_WORDS = (
    ("maintenance", HTTPStatus.SERVICE_UNAVAILABLE),
    ("not found", HTTPStatus.NOT_FOUND),
    ("denied", HTTPStatus.FORBIDDEN),
    ("forbidden", HTTPStatus.FORBIDDEN),
    ("invalid authorization", HTTPStatus.FORBIDDEN),
    ("rate limit", HTTPStatus.TOO_MANY_REQUESTS),
    ("too many requests", HTTPStatus.TOO_MANY_REQUESTS),
)
_UNREACHABLE = ("timeout", "connection", "retry_exhausted")


def is_error(result: Json) -> bool:
    """Tell whether a response is an error and not a resource."""
    return result.get("result") == "error"


def error_from_dict(result: Json, *, subject: str, war_log: bool = False, status: int | None = None) -> ClashError:
    """Return the typed error that a dict reports with its status, reason, type and message.

    ``subject`` names what was asked for, such as ``clan #2PP``; ``war_log`` tells whether the endpoint shows what a
    private war log hides. A ``status`` overrides the dict's own. A 503 without a reason counts as maintenance: cocapi
    drops the API's reason.
    """
    reason, message, kind = (_text(result, key) for key in ("reason", "message", "error_type"))
    if kind in _UNREACHABLE:
        return UnreachableError(f"the client cannot reach the API ({message or kind}): check the network")
    if kind == "json":
        return InvalidResponseError("the API's response is not JSON: check the client's base URL if this persists")
    status = status or _status(result) or _STATUS_OF_REASON.get(reason) or _status_in(message)
    if status is None:
        if "invalid param" in message.lower():
            return BadRequestError(f'the client does not accept the request for {subject}: "{message}"')
        return InvalidResponseError(f'the client reports an error for {subject}: "{message}"')
    if status == HTTPStatus.SERVICE_UNAVAILABLE and not reason:
        reason = "inMaintenance"
    return ErrorResponse(
        status=status,
        body=orjson.dumps({"reason": reason, "message": message}),
        subject=subject,
        token="the token",  # noqa: S106 - how messages name it
        war_log=war_log,
        max_age=0.0,
        retry_after=None,
    ).error()


def _status(result: Json) -> int | None:
    """Return the HTTP status of a failure, None if the dict has none."""
    for key in _STATUS_KEYS:
        value = result.get(key)
        if type(value) is int and value >= HTTPStatus.BAD_REQUEST:
            return value
    return None


def _status_in(message: str) -> int | None:
    text = message.lower()
    return next((status for words, status in _STATUS_OF_WORDS if words in text), None)


def _text(result: Json, key: str) -> str:
    value = result.get(key)
    # Half of a surrogate pair cannot be encoded, and errors are published.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
