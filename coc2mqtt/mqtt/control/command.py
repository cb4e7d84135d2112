"""The building blocks of a command: its declaration, the base of its request and what its handler works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from coc2mqtt.clash.tags import normalize_tag

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Kind
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.logs import LogLevel
    from coc2mqtt.mqtt.control.replay import Replay
    from coc2mqtt.mqtt.payloads.models import HealthPayload, Payload, WatchPayload

Json = dict[str, Any]

# A response of this size passes every broker and client.
MAX_RESPONSE_BYTES = 128 * 1024
_MAX_TRANSACTION_LENGTH = 256


class CommandError(Exception):
    """A request cannot be executed. The message is the error sentence of the response."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name in the topic, its models and its handler.

    ``request`` validates the payload of a request, ``response`` is the model of the response's ``data``.
    """

    name: str
    request: type[Request]
    response: type[Payload]
    handler: Callable[[CommandContext, Any], Awaitable[Payload]]


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The parts of the bridge that command handlers work with.

    ``max_response_bytes`` limits the size of a response whose length is a matter of choice.
    """

    watches: Watches
    health: Callable[[], Awaitable[HealthPayload]]
    replay: Replay
    log_level: LogLevel
    max_response_bytes: int = MAX_RESPONSE_BYTES


class Watches(Protocol):
    """The watches of the bridge, which commands can list and change."""

    async def watch(self, watch: Watch) -> None:
        """Add or replace a watch, also for later runs; raises CommandError if it cannot be added."""

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        """Remove a watch, also for later runs; returns whether it existed."""

    def select(self, *, kind: Kind | None = None, tag: str | None = None) -> list[Watch]:
        """Return the watches of a kind and a tag; None matches any."""

    async def describe(self, watch: Watch) -> WatchPayload:
        """Return the payload of a watch."""

    def poll_now(self, kind: Kind, tag: str) -> None:
        """Poll the resources of a watch as soon as possible."""


def check_transaction(value: object) -> str | int | None:
    """Return a transaction id unchanged; raises ValueError if it is invalid."""
    # type() instead of isinstance(): a bool is an int in Python.
    if value is None or type(value) is int or (isinstance(value, str) and len(value) <= _MAX_TRANSACTION_LENGTH):
        return value
    raise ValueError(f"must be a string of at most {_MAX_TRANSACTION_LENGTH} characters or an integer")


Transaction = Annotated[
    str | int | None,
    BeforeValidator(check_transaction),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": _MAX_TRANSACTION_LENGTH}, {"type": "integer"}, {"type": "null"}]}
    ),
]
Tag = Annotated[str, AfterValidator(normalize_tag)]
WatchedKind = Literal["clan", "player"]


class Request(BaseModel):
    """The base of all requests."""

    # Strict: otherwise `"interval": true` would mean one second, and `"war": "off"` would be guessed.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    # The key that a plain-text payload sets.
    main_key: ClassVar[str] = "tag"

    transaction: Transaction = Field(
        default=None, description="Returned in the response, to match it with the request."
    )

    @classmethod
    def from_text(cls, text: str) -> Json:
        """Return the keys that a plain-text payload sets."""
        return {cls.main_key: text}
