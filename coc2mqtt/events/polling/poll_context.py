"""The context that the pollers of one engine share, and the result of a poll."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from coc2mqtt.events.calendar import ClanGames
from coc2mqtt.events.polling.league_wars import LeagueWarCache
from coc2mqtt.events.polling.moves import Moves
from coc2mqtt.events.polling.scheduler import NextPoll
from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.util.clocks import uptime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.clash.client import ClashApi
    from coc2mqtt.clash.errors import ClashError
    from coc2mqtt.events.compare.api_state import ApiStatus
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Store

_log = structlog.get_logger()

_MAX_LOGGED_CHARS = 80
# A field's name may come from the API, so the number of names must be limited.
_MAX_FIELDS = 200
_OTHER_FIELDS = "other"


class PollResult(NamedTuple):
    """The events of one poll, and when to poll again.

    ``committed`` is true if a new snapshot was stored, together with the events. ``earliest``, ``latest`` and
    ``backoff`` are seconds from the end of the poll, as in ``NextPoll``. ``error`` is the kind of the failure, None
    after a valid response.
    """

    events: list[Event]
    earliest: float
    committed: bool
    latest: float = math.inf
    backoff: float = 0.0
    error: str | None = None

    @property
    def next_poll(self) -> NextPoll:
        """When to poll again."""
        return NextPoll(self.earliest, self.latest, self.backoff)


def log_bug(_error: Exception, resource: Resource) -> None:
    """Log the exception that is being handled, a bug in comparing."""
    _log.exception(
        "cannot compare response",
        kind=resource.kind.value,
        tag=resource.tag,
        hint="the response is ignored; this is a bug, please report it",
    )


class MalformedFields:
    """Counts the fields that do not have their documented type, and logs the first of each.

    The keys of ``counts`` are paths such as ``clan.memberList.donations``. Counting continues from ``counts``.
    """

    def __init__(self, counts: Counter[str] | None = None) -> None:
        self.counts = Counter[str]() if counts is None else counts

    def record(self, resource: Resource, fields: Iterable[MalformedField]) -> None:
        """Count the malformed fields of one response."""
        for path, value in fields:
            field = f"{resource.kind.value}.{path}"
            if field not in self.counts:
                if len(self.counts) >= _MAX_FIELDS:
                    self.counts[_OTHER_FIELDS] += 1
                    continue
                _log.warning(
                    "response field is malformed",
                    field=field,
                    tag=resource.tag,
                    value=ascii(value)[:_MAX_LOGGED_CHARS],
                    hint="only this field is ignored; if it stays malformed, the API has changed: please report it",
                )
            self.counts[field] += 1


class Monitor(Protocol):
    """Tracks the state of the API as a whole from the outcome of each request."""

    @property
    def status(self) -> ApiStatus | None:
        """The present status, None while it is unknown."""

    @property
    def maintenance_ended_at(self) -> float:
        """The uptime in seconds at which a maintenance was last seen to end in this run, minus infinity if never."""

    @property
    def may_be_down(self) -> bool:
        """Whether a failure may be the API's: other resources fail too, or no response has been usable yet."""

    async def observe(self, error: ClashError | None, *, from_probe: bool = False, source: object = API) -> list[Event]:
        """Process one response (None) or failure; return the events it caused, which are already committed."""


@dataclass(frozen=True, slots=True)
class PollContext:
    """The dependencies and the shared state of all pollers of one engine.

    ``now`` returns Unix time in seconds, ``uptime`` seconds that do not depend on the wall clock. ``polled`` holds the
    resources that gave a valid response since the engine started, each with the uptime of the last accepted one.
    ``cache_periods`` is the longest ``max-age`` (seconds) seen for each kind. ``malformed_fields`` counts the fields
    that were removed from responses. ``on_bug`` is called with a bug in comparing while the exception is being handled.
    ``league_wars`` are the wars of clan war leagues, of which several clans need the same ones. ``moves`` are the
    members who left or joined any of the clans. ``clan_games`` is when clan games take place.
    """

    api: ClashApi
    store: Store
    monitor: Monitor
    now: Callable[[], float]
    uptime: Callable[[], float] = uptime
    polled: dict[Resource, float] = field(default_factory=dict)
    cache_periods: dict[Kind, float] = field(default_factory=dict)
    malformed_fields: MalformedFields = field(default_factory=MalformedFields)
    on_bug: Callable[[Exception, Resource], None] = log_bug
    league_wars: LeagueWarCache = field(default_factory=LeagueWarCache)
    moves: Moves = field(default_factory=Moves)
    clan_games: ClanGames = field(default_factory=ClanGames)
