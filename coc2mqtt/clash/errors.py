"""The one tree of errors that the Clash of Clans API can end a request with."""

from __future__ import annotations


class ClashError(Exception):
    """A request to the Clash of Clans API gave no answer that can be used.

    ``kind`` is a stable word for logs, events and counters. ``status`` is the HTTP status, None without one.
    ``max_age`` is for how many seconds the API will go on saying the same; 0 unless it is the API's own word on one
    clan, player or war.
    ``passing`` tells whether the same request may succeed when it is simply made again.
    """

    kind = "error"
    passing = False

    def __init__(self, message: str, *, status: int | None = None, max_age: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.max_age = max_age


class NotFoundError(ClashError):
    """There is no clan, player or war with this tag (any more)."""

    kind = "not_found"


class PrivateWarLogError(ClashError):
    """The clan keeps its war log private, so its current war cannot be seen."""

    kind = "private_war_log"


class DeniedError(ClashError):
    """The API refuses the token."""

    kind = "denied"


class WrongTokenError(DeniedError):
    """The token is wrong or was revoked: create a new one at developer.clashofclans.com."""

    kind = "wrong_token"


class IpNotAllowedError(DeniedError):
    """The token is bound to another address than the one that the API sees.

    ``address`` is the one that it sees, None if it did not say.
    """

    kind = "wrong_address"

    def __init__(self, message: str, *, address: str | None, status: int | None = None, max_age: float = 0.0) -> None:
        super().__init__(message, status=status, max_age=max_age)
        self.address = address


class ThrottledError(ClashError):
    """The token made too many requests. ``retry_after`` is how many seconds the API asks to wait, None if unsaid."""

    kind = "throttled"
    passing = True

    def __init__(self, message: str, *, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class MaintenanceError(ClashError):
    """The game is in maintenance: the API says so itself."""

    kind = "maintenance"


class UnreachableError(ClashError):
    """No connection to the API, or no answer in time."""

    kind = "unreachable"
    passing = True


class CertificateError(UnreachableError):
    """The certificate of the API, or of what poses as it, is not accepted."""

    passing = False


class ServerError(ClashError):
    """The API or a proxy before it had trouble (500, 502, 504, 520 to 525): no maintenance by itself."""

    kind = "server_error"
    passing = True


class BadRequestError(ClashError):
    """The API does not accept the request (400 and other refusals that repeating will not mend)."""

    kind = "bad_request"


class InvalidResponseError(ClashError):
    """The answer is not what the endpoint gives: not JSON, not an object, an HTML page, or cut off."""

    kind = "bad_answer"


class TruncatedResponseError(InvalidResponseError):
    """The connection ended in the middle of an answer."""

    passing = True
