"""The metadata of the events about the API and about watches."""

from __future__ import annotations

from pydantic import Field

from coc2mqtt.events.metadata.common import Metadata, optional


class _Failure(Metadata):
    error: str
    """The kind of failure, such as `not_found`, `maintenance`, `unreachable` or `bad_answer`."""
    message: str
    """The failure and its remedy, for display."""


class PollError(_Failure):
    """A clan, a war, a player or the API cannot be polled; published once, and again only when the failure changes."""

    endpoint: str = Field(default="", json_schema_extra=optional)
    """`clan`, `currentwar` or `player`; missing for the API itself."""


class WatchUnavailable(_Failure):
    """The API cannot find the watched clan or player."""

    endpoint: str
    """`clan` or `player`."""


class WatchAvailable(Metadata):
    """The API found the watched clan or player again."""

    endpoint: str
    """`clan` or `player`."""


class MaintenanceStart(_Failure):
    """Game maintenance started."""


class ApiDenied(_Failure):
    """The API rejected the token."""

    address: str | None
    """The bridge's IP address as the API sees it, if the token is bound to another one."""


class _Recovery(Metadata):
    duration_seconds: float
    """The duration of the maintenance or failure."""


class MaintenanceEnd(_Recovery):
    """Game maintenance ended."""


class ApiRestored(_Recovery):
    """The API is available again."""
