"""Adapter for clients that return decoded JSON, such as cocapi's ``CocApi``."""

from __future__ import annotations

import inspect
import json
import math
from http import HTTPStatus
from typing import Any, Protocol

import orjson

from coc2mqtt.clash.error_response import ErrorResponse
from coc2mqtt.clash.errors import (
    BadRequestError,
    ClashError,
    DeniedError,
    InvalidResponseError,
    NotFoundError,
    UnreachableError,
)
from coc2mqtt.clash.response import ApiResponse

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


class DictClient(Protocol):
    """A client whose methods return awaitables of decoded JSON objects; ``{"result": "error", …}`` reports a failure.

    Optional attributes are those of cocapi: ``clan_war_log(tag)``, ``async_mode`` (false: the client is not open)
    and ``config`` with its rate limit.
    """

    def clan_tag(self, tag: str, /) -> Any:
        """Return a clan."""

    def clan_current_war(self, tag: str, /) -> Any:
        """Return a clan's current war."""

    def players(self, tag: str, /) -> Any:
        """Return a player."""


class DictClientAdapter:
    """A ClashApi on top of a DictClient.

    Errors that the client reports or raises become a ClashError. cocapi reports a private war log and a refused token
    the same way (403 without a reason), so the clan itself is then fetched to tell them apart.
    """

    def __init__(self, client: DictClient) -> None:
        self._client = client

    @property
    def is_open(self) -> bool:
        """Whether the client is in async mode; a client that does not tell counts as open."""
        return bool(getattr(self._client, "async_mode", True))

    @property
    def requests_per_second(self) -> float:
        """The client's own rate limit; infinity if it has none."""
        config = getattr(self._client, "config", None)
        rate = getattr(config, "requests_per_second", None)
        limited = getattr(config, "enable_rate_limiting", True) and isinstance(rate, int | float) and rate > 0
        return float(rate) if limited and rate is not None else math.inf

    async def clan(self, tag: str) -> ApiResponse:
        """Fetch a clan."""
        return await self._ask("clan_tag", tag, f"clan {tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        """Fetch a clan's current war."""
        return await self._ask_war("clan_current_war", tag)

    async def war_log(self, tag: str) -> ApiResponse:
        """Fetch a clan's past wars; NotFoundError if the client has no method for them."""
        if not hasattr(self._client, "clan_war_log"):
            raise NotFoundError(f"the client cannot fetch the war log of clan {tag}: it has no method clan_war_log")
        return await self._ask_war("clan_war_log", tag)

    async def player(self, tag: str) -> ApiResponse:
        """Fetch a player."""
        return await self._ask("players", tag, f"player {tag}")

    async def _ask_war(self, method: str, tag: str) -> ApiResponse:
        try:
            return await self._ask(method, tag, f"clan {tag}", war_log=True)
        except DeniedError as error:
            if type(error) is not DeniedError or error.status != HTTPStatus.FORBIDDEN:
                raise
        await self.clan(tag)  # raises the same error if the token is refused for everything
        raise error_from_dict(
            {"reason": "accessDenied"}, status=HTTPStatus.FORBIDDEN, subject=f"clan {tag}", war_log=True
        )

    async def _ask(self, method: str, tag: str, subject: str, *, war_log: bool = False) -> ApiResponse:
        # Looked up for each request: clients are wrapped and patched after the stream was made.
        result = await self._call(method, tag)
        if not isinstance(result, dict):
            raise InvalidResponseError(
                f"{method} returned {type(result).__name__} where a dict was expected: configure the client to return "
                "decoded JSON (cocapi: use_pydantic_models=False)"
            )
        if is_error(result):
            raise error_from_dict(result, subject=subject, war_log=war_log)
        return ApiResponse(status=HTTPStatus.OK, body=_encoded(result), max_age=0.0)

    async def _call(self, method: str, tag: str) -> Any:
        try:
            result = getattr(self._client, method)(tag)
            return await result if inspect.isawaitable(result) else result
        except ClashError:
            raise
        except Exception as error:  # the client is the user's and may raise anything; the watch goes on
            raise UnreachableError(f"{method} of the client raised {type(error).__name__}: {error}") from error


def _encoded(data: Json) -> bytes:
    """Return the JSON of a response: the engine compares digests and must not share the client's own objects."""
    try:
        return orjson.dumps(data)
    except TypeError:
        # For example half of a surrogate pair or a number above 64 bits: the standard library writes them.
        pass
    try:
        return json.dumps(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResponseError(f"the client returned what is not JSON: {error}") from error


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
