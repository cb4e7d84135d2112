"""The errors of requests to the Clash of Clans API, all derived from ClashError."""

from __future__ import annotations


class ClashError(Exception):
    """A request to the Clash of Clans API got no usable response.

    ``kind`` is a stable identifier for logs, events and counters. ``status`` is the HTTP status, None without a
    response. ``max_age`` is for how many seconds the API will return the same error; it is 0 unless the API itself
    reported the error about one clan, player or war. ``retryable`` is whether the same request may succeed if it is
    simply repeated.
    """

    kind = "error"
    retryable = False

    def __init__(self, message: str, *, status: int | None = None, max_age: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.max_age = max_age


class NotFoundError(ClashError):
    """No clan or player has this tag, or it was deleted."""

    kind = "not_found"


class PrivateWarLogError(ClashError):
    """The clan's war log is private, so its wars are not visible."""

    kind = "private_war_log"


class DeniedError(ClashError):
    """The API rejected the token."""

    kind = "denied"


class WrongTokenError(DeniedError):
    """The token is wrong or was revoked: create a new one at developer.clashofclans.com."""

    kind = "wrong_token"


class IpNotAllowedError(DeniedError):
    """The token is not valid for this IP address. ``address`` is the one that the API sees, None if unknown."""

    kind = "wrong_address"

    def __init__(self, message: str, *, address: str | None, status: int | None = None, max_age: float = 0.0) -> None:
        super().__init__(message, status=status, max_age=max_age)
        self.address = address


class ThrottledError(ClashError):
    """The token made too many requests. ``retry_after`` is how many seconds the API asks to wait, None if unknown."""

    kind = "throttled"
    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class MaintenanceError(ClashError):
    """Clash of Clans is in maintenance, as the API itself reports."""

    kind = "maintenance"


class UnreachableError(ClashError):
    """The connection to the API failed, or the response timed out."""

    kind = "unreachable"
    retryable = True


class CertificateError(UnreachableError):
    """The certificate of the API, or of a server in its place, is not accepted."""

    retryable = False


class ServerError(ClashError):
    """The API or a proxy in front of it failed (500, 502, 504, 520 to 525). This alone is not a maintenance."""

    kind = "server_error"
    retryable = True


class BadRequestError(ClashError):
    """The API rejected the request (400 and other statuses that a retry does not change)."""

    kind = "bad_request"


class InvalidResponseError(ClashError):
    """The response is not what the endpoint returns: not JSON, not an object, an HTML page, or truncated."""

    kind = "bad_answer"


class TruncatedResponseError(InvalidResponseError):
    """The connection was lost in the middle of a response."""

    retryable = True
