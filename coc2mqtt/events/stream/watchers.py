"""Watchers: poll many tags of one kind at one interval, for programs that have their own queue."""

from __future__ import annotations

import asyncio
import math
import random
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.polling.api_monitor import ApiMonitor, ApiProbe
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.player_poller import PlayerPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.scheduler import Scheduler
from coc2mqtt.events.polling.war_poller import WarPoller
from coc2mqtt.events.resource import API, MIN_INTERVAL_S, validate_interval
from coc2mqtt.events.stream.library_client import LibraryClient, normalize_tags
from coc2mqtt.events.stream.polling_state import QueueStore
from coc2mqtt.util.clocks import uptime
from coc2mqtt.util.tasks import unwrap_single

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.clash.errors import ClashError
    from coc2mqtt.events.polling.poll_context import PollResult
    from coc2mqtt.events.polling.poller import Poller
    from coc2mqtt.events.polling.scheduler import NextPoll
    from coc2mqtt.events.resource import Resource
    from coc2mqtt.events.stream.dict_client import DictClient
    from coc2mqtt.events.stream.polling_state import PollingState

    Poll = Callable[[], Coroutine[Any, Any, PollResult]]

_log = structlog.get_logger()


class BaseWatcher(ABC):
    """Calls ``_poll_once`` every ``interval`` seconds and puts the returned events on the queue.

    ``api`` is a ClashClient, or a client with the methods of cocapi's ``CocApi``. An exception of ``_poll_once`` is
    logged and reported as a ``poll_error`` event; polling continues.
    """

    def __init__(
        self, api: ClashClient | DictClient, state: PollingState, queue: asyncio.Queue[Event], interval: float
    ) -> None:
        self._api = api
        self._state = state
        self._queue = queue
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    @property
    def interval(self) -> float:
        """The seconds between polls; setting it to less than 1 raises ValueError."""
        return self._interval

    @interval.setter
    def interval(self, value: float) -> None:
        validate_interval(value)
        self._interval = value

    @abstractmethod
    async def _poll_once(self) -> list[Event]:
        """Poll everything once and return the events."""

    def start(self) -> None:
        """Start polling in the background; no effect if the watcher is running."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=type(self).__name__)

    async def stop(self) -> None:
        """Stop polling and wait until all polls have ended."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        while True:
            pause = self._interval
            try:
                await self._poll()
            except Exception as error:  # noqa: BLE001 - a user's watcher or client may raise anything
                await self._report(error)
                pause = max(pause, MIN_INTERVAL_S)
            await asyncio.sleep(pause)

    async def _poll(self) -> None:
        for event in await self._poll_once():
            await self._queue.put(event)

    async def _report(self, error: Exception) -> None:
        watcher = type(self).__name__
        _log.error("watcher failed", watcher=watcher, exc_info=error)
        cause = unwrap_single(error)
        message = f"{type(cause).__name__}: {cause}"
        metadata = {"error": "watcher_failed", "message": message, "watcher": watcher}
        await self._queue.put(Event(EventType.POLL_ERROR, "", metadata=metadata))


class _ResourceWatcher(BaseWatcher):
    """Polls each resource on its own schedule, so that a slow or failing one does not delay the others.

    Each poll puts its events on the queue itself, in one step with its snapshot.
    """

    def __init__(
        self,
        api: ClashClient | DictClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        interval: float,
        *,
        track_members: bool = True,
    ) -> None:
        super().__init__(api, state, queue, interval)
        self._client = LibraryClient(api)
        store = QueueStore(state, queue, track_members=track_members)
        # Failures of the whole API are reported by the MaintenanceWatcher.
        self._context = PollContext(self._client, store, _NullMonitor(), time.time)
        self._polls: dict[Resource, Poll] = {}
        self._pollers: list[Poller] = []
        self._scheduler: Scheduler | None = None

    @property
    def interval(self) -> float:
        """The seconds between polls; a new interval applies from the next poll."""
        return self._interval

    @interval.setter
    def interval(self, value: float) -> None:
        validate_interval(value)
        self._interval = value
        for poller in self._pollers:
            poller.set_interval(value)
        if self._scheduler is not None:
            self._schedule(self._scheduler)

    def _add_poller(self, poller: Poller) -> None:
        self._pollers.append(poller)
        self._polls[poller.resource] = poller.poll

    async def _poll_once(self) -> list[Event]:
        """Poll everything once, concurrently; the returned events are already on the queue."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._poll_resource(resource)) for resource in self._polls]
        return [event for task in tasks for event in task.result().events]

    async def _poll(self) -> None:
        """Poll until cancelled."""
        rng = random.Random()  # noqa: S311 - jitter need not be secret
        self._scheduler = Scheduler(rng=rng, rate=self._client.requests_per_second)
        try:
            self._schedule(self._scheduler)
            await self._scheduler.run()
        finally:
            self._scheduler = None

    def _schedule(self, scheduler: Scheduler) -> None:
        # cocapi accepts an interval of 0.
        interval = self._interval if self._interval > 0 else MIN_INTERVAL_S
        for resource in self._polls:
            scheduler.add(resource, interval, partial(self._scheduled_poll, resource))

    async def _scheduled_poll(self, resource: Resource) -> NextPoll:
        return (await self._poll_resource(resource)).next_poll

    async def _poll_resource(self, resource: Resource) -> PollResult:
        result = await self._polls[resource]()
        self._state.mark_polled(f"{resource.kind}:{resource.tag}")
        return result


class ClanWatcher(_ResourceWatcher):
    """Polls clans and, with ``track_members``, their members."""

    def __init__(
        self,
        api: ClashClient | DictClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        clan_tags: list[str],
        interval: float = 60.0,
        track_members: bool = True,
    ) -> None:
        super().__init__(api, state, queue, interval, track_members=track_members)
        for tag in normalize_tags(clan_tags):
            self._add_poller(ClanPoller(self._context, tag, interval=interval, track_members=track_members))


class WarWatcher(_ResourceWatcher):
    """Polls the current wars of clans: their states and attacks."""

    def __init__(
        self,
        api: ClashClient | DictClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        clan_tags: list[str],
        interval: float = 30.0,
    ) -> None:
        super().__init__(api, state, queue, interval)
        for tag in normalize_tags(clan_tags):
            self._add_poller(WarPoller(self._context, tag, interval=interval, standalone=True))


class PlayerWatcher(_ResourceWatcher):
    """Polls players; ``include_fields`` and ``exclude_fields`` filter the changes."""

    def __init__(
        self,
        api: ClashClient | DictClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        player_tags: list[str],
        interval: float = 120.0,
        include_fields: frozenset[str] | None = None,
        exclude_fields: frozenset[str] | None = None,
    ) -> None:
        super().__init__(api, state, queue, interval)
        for tag in normalize_tags(player_tags):
            self._add_poller(
                PlayerPoller(
                    self._context,
                    tag,
                    interval=interval,
                    include_fields=include_fields,
                    exclude_fields=exclude_fields,
                )
            )


class MaintenanceWatcher(_ResourceWatcher):
    """Probes the API with a player that is known to exist, and reports when a maintenance starts and ends."""

    def __init__(
        self,
        api: ClashClient | DictClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        interval: float = 30.0,
        probe_tag: str = "#JY9J2Y99",
    ) -> None:
        super().__init__(api, state, queue, interval)
        self._monitor = ApiMonitor(QueueStore(state, queue), now=time.time, uptime=uptime, on_change=lambda _: None)
        (tag,) = normalize_tags([probe_tag])
        self._probe = ApiProbe(self._client, self._monitor, probe_tag=tag)
        self._polls[API] = self._poll_api

    async def _poll_api(self) -> PollResult:
        if self._monitor.status is None:
            await self._monitor.load()
        return await self._probe.poll()


class _NullMonitor:
    """A monitor that ignores every outcome."""

    status = None
    may_be_down = False
    maintenance_ended_at = -math.inf

    async def observe(
        self,
        error: ClashError | None,  # noqa: ARG002
        *,
        from_probe: bool = False,  # noqa: ARG002
        source: object = None,  # noqa: ARG002
    ) -> list[Event]:
        return []
