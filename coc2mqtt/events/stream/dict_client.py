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
_STATUS_BY_REASON = {
    "inMaintenance": HTTPStatus.SERVICE_UNAVAILABLE,
    "notFound": HTTPStatus.NOT_FOUND,
    "accessDenied": HTTPStatus.FORBIDDEN,
    "accessDenied.invalidIp": HTTPStatus.FORBIDDEN,
    "requestThrottled": HTTPStatus.TOO_MANY_REQUESTS,
    "badRequest": HTTPStatus.BAD_REQUEST,
    "unknownException": HTTPStatus.INTERNAL_SERVER_ERROR,
}
# For clients that report only a message; the first match counts.
_STATUS_BY_PHRASE = (
    ("maintenance", HTTPStatus.SERVICE_UNAVAILABLE),
    ("not found", HTTPStatus.NOT_FOUND),
    ("denied", HTTPStatus.FORBIDDEN),
    ("forbidden", HTTPStatus.FORBIDDEN),
    ("invalid authorization", HTTPStatus.FORBIDDEN),
    ("rate limit", HTTPStatus.TOO_MANY_REQUESTS),
    ("too many requests", HTTPStatus.TOO_MANY_REQUESTS),
)
_UNREACHABLE_TYPES = ("timeout", "connection", "retry_exhausted")


class DictClient(Protocol):
    """A client whose methods return awaitables of decoded JSON objects; ``{"result": "error", …}`` reports a failure.

    The optional attributes are those of cocapi: ``clan_war_log(tag)``, ``async_mode`` (false: the client is not open)
    and ``config`` with its rate limit.
    """

    def clan_tag(self, tag: str, /) -> Any:
        """Return a clan."""

    def clan_current_war(self, tag: str, /) -> Any:
        """Return a clan's current war."""

    def players(self, tag: str, /) -> Any:
        """Return a player."""


class DictClientAdapter:
    """A ClashApi that uses a DictClient.

    Errors that the client reports or raises become a ClashError. cocapi reports a private war log and a rejected token
    in the same way (403 without a reason). In that case the clan itself is fetched to distinguish them.
    """

    def __init__(self, client: DictClient) -> None:
        self._client = client

    @property
    def is_open(self) -> bool:
        """Whether the client is in async mode; a client without that attribute counts as open."""
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
        return await self._fetch("clan_tag", tag, f"clan {tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        """Fetch a clan's current war."""
        return await self._fetch_war("clan_current_war", tag)

    async def war_log(self, tag: str) -> ApiResponse:
        """Fetch a clan's past wars; NotFoundError if the client has no method for them."""
        if not hasattr(self._client, "clan_war_log"):
            raise NotFoundError(f"the client cannot fetch the war log of clan {tag}: it has no method clan_war_log")
        return await self._fetch_war("clan_war_log", tag)

    async def league_group(self, tag: str) -> ApiResponse:
        """Raise NotFoundError: a stream does not watch clan war leagues."""
        raise NotFoundError(f"a stream does not fetch the league group of clan {tag}")

    async def league_war(self, war_tag: str) -> ApiResponse:
        """Raise NotFoundError: a stream does not watch clan war leagues."""
        raise NotFoundError(f"a stream does not fetch the league war {war_tag}")

    async def raid_seasons(self, tag: str, limit: int = 1) -> ApiResponse:  # noqa: ARG002 - the interface
        """Raise NotFoundError: a stream does not watch raid weekends."""
        raise NotFoundError(f"a stream does not fetch the raid weekends of clan {tag}")

    async def gold_pass(self) -> ApiResponse:
        """Raise NotFoundError: a stream does not watch the gold pass."""
        raise NotFoundError("a stream does not fetch the gold pass")

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:  # noqa: ARG002 - the interface
        """Raise NotFoundError: a stream does not watch ranked battles."""
        raise NotFoundError(f"a stream does not fetch the league group {group_tag}")

    async def league_history(self, tag: str) -> ApiResponse:
        """Raise NotFoundError: a stream does not watch ranked battles."""
        raise NotFoundError(f"a stream does not fetch the past leagues of player {tag}")

    async def battle_log(self, tag: str) -> ApiResponse:
        """Raise NotFoundError: a stream does not watch ranked battles."""
        raise NotFoundError(f"a stream does not fetch the battles of player {tag}")

    async def player(self, tag: str) -> ApiResponse:
        """Fetch a player."""
        return await self._fetch("players", tag, f"player {tag}")

    async def _fetch_war(self, method: str, tag: str) -> ApiResponse:
        try:
            return await self._fetch(method, tag, f"clan {tag}", war_log=True)
        except DeniedError as error:
            if type(error) is not DeniedError or error.status != HTTPStatus.FORBIDDEN:
                raise
        await self.clan(tag)  # raises the same error if the token is rejected for everything
        raise error_from_dict(
            {"reason": "accessDenied"}, status=HTTPStatus.FORBIDDEN, subject=f"clan {tag}", war_log=True
        )

    async def _fetch(self, method: str, tag: str, subject: str, *, war_log: bool = False) -> ApiResponse:
        result = await self._call(method, tag)
        if not isinstance(result, dict):
            raise InvalidResponseError(
                f"{method} returned {type(result).__name__}, expected a dict: configure the client to return decoded "
                "JSON (cocapi: use_pydantic_models=False)"
            )
        if is_error(result):
            raise error_from_dict(result, subject=subject, war_log=war_log)
        return ApiResponse(status=HTTPStatus.OK, body=_encode(result), max_age=0.0)

    async def _call(self, method: str, tag: str) -> Any:
        try:
            # The method is looked up for each request, because clients may be patched after the stream was created.
            result = getattr(self._client, method)(tag)
            return await result if inspect.isawaitable(result) else result
        except ClashError:
            raise
        except Exception as error:  # the client is the user's and may raise anything; polling must continue
            raise UnreachableError(f"{method} of the client raised {type(error).__name__}: {error}") from error


def _encode(data: Json) -> bytes:
    """Return a response as JSON: the engine compares digests, and must not share the client's objects."""
    try:
        return orjson.dumps(data)
    except TypeError:
        # For example a lone surrogate or an integer above 64 bits, which the standard library can encode.
        pass
    try:
        return json.dumps(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResponseError(f"the client returned a dict that cannot be encoded as JSON: {error}") from error


def is_error(result: Json) -> bool:
    """Return whether a response reports an error."""
    return result.get("result") == "error"


def error_from_dict(result: Json, *, subject: str, war_log: bool = False, status: int | None = None) -> ClashError:
    """Return the typed error that a dict reports with its status, reason, type and message.

    ``subject`` names the requested resource, such as ``clan #2PP``. ``war_log`` is true if a private war log hides the
    endpoint's data. ``status`` overrides the status in the dict. A 503 without a reason counts as maintenance, because
    cocapi drops the API's reason.
    """
    reason, message, error_type = (_text(result, key) for key in ("reason", "message", "error_type"))
    if error_type in _UNREACHABLE_TYPES:
        return UnreachableError(f"the client cannot reach the API ({message or error_type}): check the network")
    if error_type == "json":
        return InvalidResponseError("the API's response is not JSON: check the client's base URL if this persists")
    status = status or _status(result) or _STATUS_BY_REASON.get(reason) or _status_of_message(message)
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
        needs_war_log=war_log,
        max_age=0.0,
        retry_after=None,
    ).to_error()


def _status(result: Json) -> int | None:
    """Return the HTTP status of a failure, None if the dict has none."""
    for key in _STATUS_KEYS:
        value = result.get(key)
        if type(value) is int and value >= HTTPStatus.BAD_REQUEST:
            return value
    return None


def _status_of_message(message: str) -> int | None:
    text = message.lower()
    return next((status for phrase, status in _STATUS_BY_PHRASE if phrase in text), None)


def _text(result: Json, key: str) -> str:
    value = result.get(key)
    # A lone surrogate cannot be encoded, and errors are published.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
