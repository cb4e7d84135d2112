"""What the pollers of one engine share, and what a poll returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from coc2mqtt.events.polling.clocks import uptime
from coc2mqtt.events.polling.malformed_fields import MalformedFields
from coc2mqtt.events.resource import API, Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.clash.errors import ClashError
    from coc2mqtt.clash.protocol import ClashApi
    from coc2mqtt.events.compare.api_state import ApiStatus
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Store

_log = structlog.get_logger()


class PollResult(NamedTuple):
    """The events of one poll, and when to poll again, in seconds.

    ``committed`` tells whether a new snapshot was stored, with the events. Before ``not_before`` the API says the same
    again. ``wanted`` is when a poll is wanted even before its interval is over, infinity where it is not; ``backoff``
    how long a resource is left alone that fails or cannot be seen, unless something speaks for a look at it.
    ``error`` is the kind of the failure, None after a good answer.
    """

    events: list[Event]
    not_before: float
    committed: bool
    wanted: float = math.inf
    backoff: float = 0.0
    error: str | None = None


def log_bug(_error: Exception, resource: Resource) -> None:
    """Log a bug that is being handled."""
    _log.exception("an answer cannot be compared: please report it", kind=resource.kind.value, tag=resource.tag)


class Monitor(Protocol):
    """Takes up what each request says of the API as a whole."""

    @property
    def status(self) -> ApiStatus | None:
        """The present status, None where it is not known."""

    @property
    def in_doubt(self) -> bool:
        """Whether a failure may be the API's own: others fail as well, or there was no usable response yet."""

    async def observe(self, error: ClashError | None, *, from_probe: bool = False, source: object = API) -> list[Event]:
        """Take up one answer (None) or failure; returns the events that it caused, which are committed then."""


@dataclass(frozen=True, slots=True)
class PollContext:
    """What every poller of one engine works with.

    ``now`` gives Unix time in seconds, ``uptime`` seconds that no change of the wall clock affects. ``seen`` holds what
    was looked at since the engine began, ``periods`` how long (seconds) cache entries of each kind were seen to live,
    ``malformed`` counts the fields that were left out of responses. ``bug`` is called with a bug in comparing while it
    is handled.
    """

    api: ClashApi
    store: Store
    monitor: Monitor
    now: Callable[[], float]
    uptime: Callable[[], float] = uptime
    seen: set[Resource] = field(default_factory=set)
    periods: dict[Kind, float] = field(default_factory=dict)
    malformed: MalformedFields = field(default_factory=MalformedFields)
    bug: Callable[[Exception, Resource], None] = log_bug
