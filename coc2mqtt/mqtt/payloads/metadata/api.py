"""The metadata of what is told of the API and of watches."""

from __future__ import annotations

from pydantic import Field

from coc2mqtt.mqtt.payloads.metadata.common import Metadata, optional


class _Trouble(Metadata):
    error: str
    """A word for the sort of trouble, such as `not_found`, `maintenance`, `unreachable` or `bad_answer`."""
    message: str
    """The same for people: what is wrong, and what to do."""


class PollError(_Trouble):
    """A clan, a war, a player or the API itself cannot be polled; told once until that changes."""

    endpoint: str = Field(default="", json_schema_extra=optional)
    """`clan`, `currentwar` or `player`; missing where it is the API itself."""


class WatchUnavailable(_Trouble):
    """The API knows nothing of what is watched."""

    endpoint: str
    """`clan` or `player`."""


class WatchAvailable(Metadata):
    """What is watched can be found again."""

    endpoint: str
    """`clan` or `player`."""


class MaintenanceStart(_Trouble):
    """The game is in maintenance."""


class ApiDenied(_Trouble):
    """The API refuses the token."""

    address: str | None
    """The address that the API sees, where the token is bound to another one."""


class _Over(Metadata):
    duration_seconds: float
    """How long it took."""


class MaintenanceEnd(_Over):
    """The maintenance of the game is over."""


class ApiRestored(_Over):
    """The API can be asked again."""
