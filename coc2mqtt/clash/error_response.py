"""A refusal: an answer other than 200, and the error that it means."""

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
_KEYS = "https://developer.clashofclans.com"
_FROM_ADDRESS = re.compile(r"\bfrom IP\s+([0-9A-Fa-f:.]+)")


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """What the API said instead of a good answer, and to which request.

    ``subject`` names what was asked for, such as ``clan #2PP``, and ``token`` the token that asked, such as
    ``token 2 of 3``. ``war_log`` tells whether the endpoint shows what a private war log hides. ``max_age`` and
    ``retry_after`` are seconds. ``redact`` takes secrets out of what is quoted.

    Only the API's own word on one resource says for how long it holds: anything else may pass at any time.
    """

    status: int
    body: bytes
    subject: str
    token: str
    war_log: bool
    max_age: float
    retry_after: float | None
    redact: Callable[[str], str] = field(default=str, repr=False)

    def error(self) -> ClashError:
        """Return the typed error that the refusal means."""
        match self.status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                make = self._denied
            # A web server's or a proxy's own page does not say what the game has.
            case HTTPStatus.NOT_FOUND if self.body.lstrip()[:1] == b"<":
                make = self._page
            case HTTPStatus.NOT_FOUND:
                make = self._not_found
            case HTTPStatus.TOO_MANY_REQUESTS:
                make = self._throttled
            # JSON `inMaintenance` or a page of HTML: both say the word. A proxy's own 503 does not; a 502 never counts.
            case HTTPStatus.SERVICE_UNAVAILABLE if b"maintenance" in self.body.lower():
                make = self._maintenance
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                make = self._trouble
            case status if status >= HTTPStatus.BAD_REQUEST:
                make = self._bad_request
            case _:
                make = self._unexpected
        return make()

    def _denied(self) -> ClashError:
        reason, message = self._said("reason"), self._said("message")
        address = _address_in(message)
        # First: the message about a wrong address begins with "Invalid authorization" as well.
        if "invalidIp" in reason or address:
            return self._wrong_address(address)
        if message.lower().startswith("invalid authorization"):
            return WrongTokenError(
                f"the API does not know {self.token}, it is wrong or was revoked: create a new key at {_KEYS}",
                status=self.status,
            )
        if self.war_log and reason == "accessDenied" and not message:
            return PrivateWarLogError(
                f"{self.subject} keeps its war log private: its wars can be seen once a leader makes it public",
                status=self.status,
                max_age=self.max_age,
            )
        return DeniedError(
            f"the API denies {self.token} access to {self.subject}{self._quote()}: check the key at {_KEYS}",
            status=self.status,
        )

    def _wrong_address(self, address: str | None) -> IpNotAllowedError:
        seen = address or "the address that the API sees"
        return IpNotAllowedError(
            f"{self.token} is bound to another address than this one: create a key for {seen} at {_KEYS}",
            address=address,
            status=self.status,
        )

    def _not_found(self) -> ClashError:
        return NotFoundError(
            f"the API knows no {self.subject} (any more): check the tag",
            status=self.status,
            max_age=self.max_age if self._said("reason") else 0.0,
        )

    def _page(self) -> ClashError:
        return InvalidResponseError(
            f"an HTML page answers with status {self.status} instead of the API: check api.base_url, and any proxy or "
            "login page in between",
            status=self.status,
        )

    def _throttled(self) -> ClashError:
        return ThrottledError(
            f"the API throttles {self.token}: lower api.requests_per_second, or see who else uses the key",
            retry_after=self.retry_after,
            status=self.status,
        )

    def _maintenance(self) -> ClashError:
        return MaintenanceError("the game is in maintenance: it comes back by itself", status=self.status)

    def _trouble(self) -> ClashError:
        return ServerError(
            f"the API or a proxy before it has trouble (status {self.status}): it should pass by itself",
            status=self.status,
        )

    def _bad_request(self) -> ClashError:
        return BadRequestError(
            f"the API does not accept the request for {self.subject} (status {self.status}){self._quote()}: "
            "check the tag and api.base_url",
            status=self.status,
        )

    def _unexpected(self) -> ClashError:
        return InvalidResponseError(
            f"the API answers with status {self.status} where only 200 is good, and redirects are not followed "
            "as they would carry the token elsewhere: check api.base_url",
            status=self.status,
        )

    def _said(self, key: str) -> str:
        """Return a text of the API's JSON, empty when there is none (pages of proxies are HTML)."""
        try:
            data: Any = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        value = data.get(key) if isinstance(data, dict) else None
        return value if isinstance(value, str) else ""

    def _quote(self) -> str:
        words = " ".join(self.redact(self._said("message")).split())
        return f', saying "{words[:_LONGEST_QUOTE]}"' if words else ""


def _address_in(message: str) -> str | None:
    found = _FROM_ADDRESS.search(message)
    try:
        return str(ip_address(found[1].rstrip(".:"))) if found else None
    except ValueError:
        return None
