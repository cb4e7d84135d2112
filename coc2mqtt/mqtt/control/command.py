"""The declaration of a command, and the parts of the bridge that its handler works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from coc2mqtt.mqtt.control.request import MAX_RESPONSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Kind
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.logs import LogLevel
    from coc2mqtt.mqtt.control.replay import Replay
    from coc2mqtt.mqtt.control.request import Request
    from coc2mqtt.mqtt.payloads.models import HealthPayload, Payload, WatchPayload


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
