"""An API that answers from memory, and pollers that watch it: whole histories in milliseconds, without a network."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, cast

import orjson

from coc2mqtt.clash import ApiResponse, ClashClient, NotFoundError
from coc2mqtt.events import PollingState
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.player_poller import PlayerPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.war_poller import WarPoller
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.events.stream.polling_state import QueueStore

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from coc2mqtt.clash import ClashError
    from coc2mqtt.events import Event
    from coc2mqtt.events.polling.poll_context import PollResult
    from coc2mqtt.events.polling.poller import Poller

Json = dict[str, Any]
POLLERS: dict[Kind, type[Poller]] = {Kind.CLAN: ClanPoller, Kind.WAR: WarPoller, Kind.PLAYER: PlayerPoller}


class Remembered:
    """What the API says at this moment, by path such as ``/clans/#2PP/currentwar``; an error is raised.

    ``max_age`` is what each answer says (seconds).
    """

    def __init__(self) -> None:
        self.answers: dict[str, Json | bytes | ClashError] = {}
        self.asked: list[str] = []
        self.max_age = 0.0

    async def clan(self, tag: str) -> ApiResponse:
        return self._answer(f"/clans/{tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        return self._answer(f"/clans/{tag}/currentwar")

    async def war_log(self, tag: str) -> ApiResponse:
        return self._answer(f"/clans/{tag}/warlog")

    async def player(self, tag: str) -> ApiResponse:
        return self._answer(f"/players/{tag}")

    def _answer(self, path: str) -> ApiResponse:
        self.asked.append(path)
        answer = self.answers.get(path, NotFoundError("nothing is known of it"))
        if isinstance(answer, Exception):
            raise answer
        return ApiResponse(200, answer if isinstance(answer, bytes) else orjson.dumps(answer), self.max_age)


class Replay:
    """One resource that is polled when the test says so.

    ``events`` is all that was told, ``wanted`` in how many seconds the last poll wants the next, ``backoff`` for how
    many it wants none. ``now`` is Unix time; ``jumped`` by how much of it the wall clock was set, and no time passed.
    """

    def __init__(self, kind: Kind, tag: str, *, now: float = 1_700_000_000.0, **options: Any) -> None:
        self.api = Remembered()
        self.now = now
        self.events: list[Event] = []
        self.latest = math.inf
        self.backoff = 0.0
        self.jumped = 0.0
        self._kind, self._tag, self._options = kind, tag, options
        self._path = {Kind.CLAN: f"/clans/{tag}", Kind.WAR: f"/clans/{tag}/currentwar", Kind.PLAYER: f"/players/{tag}"}
        self._state = PollingState()
        self.restart()

    def restart(self) -> None:
        """Begin a new run of the program with what the last one has stored."""
        store = QueueStore(self._state, asyncio.Queue())
        api = cast("ClashClient", self.api)
        self.context = PollContext(api, store, _Silent(), lambda: self.now, lambda: self.now - self.jumped)
        self._poller = POLLERS[self._kind](self.context, self._tag, interval=60, **self._options)

    @property
    def believed(self) -> Json:
        """What is believed now."""
        snapshot = self._state.snapshot(Resource(self._kind, self._tag))
        assert snapshot is not None
        assert snapshot.data is not None
        return snapshot.data

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward by so many seconds, or back."""
        self.now += seconds
        self.jumped += seconds

    def see(self, answer: Json | bytes | ClashError, *, after: float = 60.0) -> list[str]:
        """Poll once, so many seconds later, and return the types of the events that this made."""
        self.now += after
        self.api.answers[self._path[self._kind]] = answer
        return [event.event_type.value for event in self.poll()]

    def poll(self) -> Sequence[Event]:
        """Poll once, now."""
        polled = _finished(self._poller.poll())
        self.latest, self.backoff = polled.latest, polled.backoff
        self.events += polled.events
        return polled.events


def _finished(poll: Coroutine[Any, Any, PollResult]) -> PollResult:
    """Run a coroutine that has nothing to wait for: an event loop for each poll would take most of the time."""
    try:
        poll.send(None)
    except StopIteration as end:
        return cast("PollResult", end.value)
    raise AssertionError("a poll of what is in memory has waited for something")


class _Silent:
    status = None
    may_be_down = False

    async def observe(self, error: ClashError | None, **_: object) -> list[Event]:  # noqa: ARG002
        return []
