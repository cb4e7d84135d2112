"""Error responses: typed errors for responses with a status other than 200."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.clash.errors import (
    BadRequestError,
    ClashError,
    DeniedError,
    InvalidResponseError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    WrongTokenError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_QUOTE = 200
_DEVELOPER_SITE = "https://developer.clashofclans.com"
_FROM_ADDRESS = re.compile(r"\bfrom IP\s+([0-9A-Fa-f:.]+)")


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A response with a status other than 200, and the request that it belongs to.

    ``subject`` names the requested resource, such as ``clan #2PP``, and ``token`` the token of the request, such as
    ``token 2 of 3``. ``needs_war_log`` is whether the endpoint is hidden by a private war log. ``max_age`` and
    ``retry_after`` are seconds. ``redact`` removes secrets from quoted text.

    Only an error that the API itself reports about one resource keeps its ``max_age``: any other may disappear at any
    time.
    """

    status: int
    body: bytes
    subject: str
    token: str
    needs_war_log: bool
    max_age: float
    retry_after: float | None
    redact: Callable[[str], str] = field(default=str, repr=False)

    def to_error(self) -> ClashError:
        """Return the typed error for this response."""
        match self.status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                make = self._denied
            # The 404 page of a web server or a proxy does not mean that the clan or player does not exist.
            case HTTPStatus.NOT_FOUND if self.body.lstrip()[:1] == b"<":
                make = self._html_page
            case HTTPStatus.NOT_FOUND:
                make = self._not_found
            case HTTPStatus.TOO_MANY_REQUESTS:
                make = self._throttled
            # Both the JSON (`inMaintenance`) and the HTML page of a maintenance contain the word. A proxy's own 503
            # does not. A 502 never means maintenance.
            case HTTPStatus.SERVICE_UNAVAILABLE if b"maintenance" in self.body.lower():
                make = self._maintenance
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                make = self._server_error
            case status if status >= HTTPStatus.BAD_REQUEST:
                make = self._bad_request
            case _:
                make = self._unexpected_status
        return make()

    def _denied(self) -> ClashError:
        reason, message = self._json_text("reason"), self._json_text("message")
        address = _find_address(message)
        # This is checked first because its message starts with "Invalid authorization" as well.
        if "invalidIp" in reason or address:
            return self._ip_not_allowed(address)
        if message.lower().startswith("invalid authorization"):
            return WrongTokenError(
                f"the API rejected {self.token} as wrong or revoked: create a new key at {_DEVELOPER_SITE}",
                status=self.status,
            )
        if self.needs_war_log and reason == "accessDenied" and not message:
            return PrivateWarLogError(
                f"{self.subject} has a private war log: its wars are visible once a leader makes it public",
                status=self.status,
                max_age=self.max_age,
            )
        return DeniedError(
            f"the API denied {self.token} access to {self.subject}{self._quote()}: check the key at {_DEVELOPER_SITE}",
            status=self.status,
        )

    def _ip_not_allowed(self, address: str | None) -> IpNotAllowedError:
        seen = address or "the IP address that the API sees"
        return IpNotAllowedError(
            f"the API rejected {self.token} for this IP address: create a key for {seen} at {_DEVELOPER_SITE}",
            address=address,
            status=self.status,
        )

    def _not_found(self) -> ClashError:
        return NotFoundError(
            f"{self.subject} was not found: check the tag",
            status=self.status,
            max_age=self.max_age if self._json_text("reason") else 0.0,
        )

    def _html_page(self) -> ClashError:
        return InvalidResponseError(
            f"got an HTML page with status {self.status} instead of a response of the API: check api.base_url, and any "
            "proxy or login page in between",
            status=self.status,
        )

    def _throttled(self) -> ClashError:
        return ThrottledError(
            f"the API throttles {self.token}: lower api.requests_per_second, or check what else uses the key",
            retry_after=self.retry_after,
            status=self.status,
        )

    def _maintenance(self) -> ClashError:
        return MaintenanceError("Clash of Clans is in maintenance: wait until it ends", status=self.status)

    def _server_error(self) -> ClashError:
        return ServerError(
            f"the API or a proxy in front of it failed (status {self.status}): this is usually temporary",
            status=self.status,
        )

    def _bad_request(self) -> ClashError:
        return BadRequestError(
            f"the API rejected the request for {self.subject} (status {self.status}){self._quote()}: check the tag and "
            "api.base_url",
            status=self.status,
        )

    def _unexpected_status(self) -> ClashError:
        return InvalidResponseError(
            f"the API responded with status {self.status} instead of 200 (redirects are not followed because they "
            "would send the token elsewhere): check api.base_url",
            status=self.status,
        )

    def _json_text(self, key: str) -> str:
        """Return a text in the JSON body; empty if there is none, as in the HTML pages of proxies."""
        try:
            data: Any = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        value = data.get(key) if isinstance(data, dict) else None
        return value if isinstance(value, str) else ""

    def _quote(self) -> str:
        words = " ".join(self.redact(self._json_text("message")).split())
        return f', saying "{words[:_LONGEST_QUOTE]}"' if words else ""


def _find_address(message: str) -> str | None:
    match = _FROM_ADDRESS.search(message)
    try:
        return str(ip_address(match[1].rstrip(".:"))) if match else None
    except ValueError:
        return None
