"""An API with responses in memory, and one poller of it: replays long histories in milliseconds without a network."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson

from coc2mqtt.clash import ApiResponse, ClashClient, NotFoundError
from coc2mqtt.events import PollingState
from coc2mqtt.events.polling.moves import Moves
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.support.pollers import POLLERS

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from coc2mqtt.clash import ClashError
    from coc2mqtt.events import Event
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]
Result = TypeVar("Result")


class InMemoryApi:
    """The present response for each path, such as ``/clans/#2PP/currentwar``; an error is raised.

    ``max_age`` is the ``max-age`` of every response (seconds), ``requests`` the requested paths.
    """

    def __init__(self) -> None:
        self.responses: dict[str, Json | bytes | ClashError] = {}
        self.requests: list[str] = []
        self.max_age = 0.0

    async def clan(self, tag: str) -> ApiResponse:
        return self._respond(f"/clans/{tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        return self._respond(f"/clans/{tag}/currentwar")

    async def war_log(self, tag: str) -> ApiResponse:
        return self._respond(f"/clans/{tag}/warlog")

    async def league_group(self, tag: str) -> ApiResponse:
        return self._respond(f"/clans/{tag}/currentwar/leaguegroup")

    async def league_war(self, war_tag: str) -> ApiResponse:
        return self._respond(f"/clanwarleagues/wars/{war_tag}")

    async def raid_seasons(self, tag: str, limit: int = 1) -> ApiResponse:
        return self._respond(f"/clans/{tag}/capitalraidseasons?limit={limit}")

    async def gold_pass(self) -> ApiResponse:
        return self._respond("/goldpass/seasons/current")

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:
        return self._respond(f"/leaguegroup/{group_tag}/{season}?playerTag={player_tag}")

    async def league_history(self, tag: str) -> ApiResponse:
        return self._respond(f"/players/{tag}/leaguehistory")

    async def battle_log(self, tag: str) -> ApiResponse:
        return self._respond(f"/players/{tag}/battlelog")

    async def player(self, tag: str) -> ApiResponse:
        return self._respond(f"/players/{tag}")

    def _respond(self, path: str) -> ApiResponse:
        self.requests.append(path)
        response = self.responses.get(path, NotFoundError("not found"))
        if isinstance(response, Exception):
            raise response
        return ApiResponse(200, response if isinstance(response, bytes) else orjson.dumps(response), self.max_age)


class Replay:
    """One resource that is polled when the test requests it.

    ``events`` are all events so far. ``earliest``, ``latest`` and ``backoff`` are those of the last poll. ``now`` is
    Unix time; ``jumped`` is the part of it by which the wall clock was set without any time passing.
    """

    def __init__(self, kind: Kind, tag: str, *, now: float = 1_700_000_000.0, **options: Any) -> None:
        self.api = InMemoryApi()
        self.now = now
        self.events: list[Event] = []
        self.earliest = 0.0
        self.latest = math.inf
        self.backoff = 0.0
        self.jumped = 0.0
        self.moves = Moves()
        self._kind, self._tag, self._options = kind, tag, options
        self._path = {
            Kind.CLAN: f"/clans/{tag}",
            Kind.WAR: f"/clans/{tag}/currentwar",
            Kind.CWL: f"/clans/{tag}/currentwar/leaguegroup",
            Kind.RAID: f"/clans/{tag}/capitalraidseasons?limit=1",
            Kind.PLAYER: f"/players/{tag}",
        }
        self._state = PollingState()
        self.restart()

    def restart(self) -> None:
        """Start a new run of the program with the state that the last one has stored."""
        store = QueueStore(self._state, asyncio.Queue())
        api = cast("ClashClient", self.api)
        self.context = PollContext(
            api, store, _NullMonitor(), lambda: self.now, lambda: self.now - self.jumped, moves=self.moves
        )
        self._poller = POLLERS[self._kind](self.context, self._tag, **{"interval": 60, **self._options})

    def share(self, other: Replay) -> None:
        """Use the snapshots of another resource too, as in the store of a bridge."""
        self._state, self.moves = other._state, other.moves
        self.restart()

    @property
    def snapshot(self) -> Snapshot:
        """The present snapshot."""
        snapshot = self._state.snapshot(Resource(self._kind, self._tag))
        assert snapshot is not None
        return snapshot

    @property
    def accepted(self) -> Json:
        """The accepted state: the data of the present snapshot."""
        assert self.snapshot.data is not None
        return self.snapshot.data

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self.now += seconds
        self.jumped += seconds

    def feed(self, response: Json | bytes | ClashError, *, after: float = 60.0) -> list[str]:
        """Poll once, ``after`` seconds later, and return the types of the events that this response causes."""
        self.now += after
        self.api.responses[self._path[self._kind]] = response
        return [event.event_type.value for event in self.poll()]

    def poll(self) -> Sequence[Event]:
        """Poll once, now."""
        result = run_without_loop(self._poller.poll())
        self.earliest, self.latest, self.backoff = result.earliest, result.latest, result.backoff
        self.events += result.events
        return result.events


def run_without_loop(poll: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that never waits: an event loop for each poll would take most of the time."""
    try:
        poll.send(None)
    except StopIteration as end:
        return cast("Result", end.value)
    raise AssertionError("a poll of an API in memory has waited for something")


class _NullMonitor:
    status = None
    may_be_down = False
    maintenance_ended_at = -math.inf

    async def observe(self, error: ClashError | None, **_: object) -> list[Event]:  # noqa: ARG002
        return []
