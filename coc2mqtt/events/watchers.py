"""Watchers: many tags of one kind, polled on one interval, for programs that bring their own queue."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.events.api_monitor import ApiMonitor
from coc2mqtt.events.api_poller import ApiPoller
from coc2mqtt.events.clocks import uptime
from coc2mqtt.events.poller import PollContext
from coc2mqtt.events.pollers import ClanPoller, PlayerPoller
from coc2mqtt.events.queue_store import QueueStore
from coc2mqtt.events.resource import API
from coc2mqtt.events.scheduler import Again, Scheduler
from coc2mqtt.events.war_poller import WarPoller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.clash.errors import ClashError
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.poller import Polled, Poller
    from coc2mqtt.events.polling_state import PollingState
    from coc2mqtt.events.resource import Resource

    Poll = Callable[[], Coroutine[Any, Any, Polled]]


class BaseWatcher(ABC):
    """Calls ``_poll_once`` every ``interval`` seconds and puts the events that it returns on the queue."""

    def __init__(self, api: ClashClient, state: PollingState, queue: asyncio.Queue[Event], interval: float) -> None:
        self._api = api
        self._state = state
        self._queue = queue
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def _poll_once(self) -> list[Event]:
        """Poll everything once and return what changed."""

    def start(self) -> None:
        """Start polling in the background; a watcher that runs goes on as it is."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=type(self).__name__)

    async def stop(self) -> None:
        """Stop polling; returns when nothing is under way any more, and raises what ended the polling before."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def _run(self) -> None:
        while True:
            for event in await self._poll_once():
                await self._queue.put(event)
            await asyncio.sleep(self._interval)


class _Watcher(BaseWatcher):
    """Polls each of its resources on its own time: one that is slow or fails holds up no other.

    Here a poll itself puts its events on the queue, in one step with the snapshot.
    """

    def __init__(self, api: ClashClient, state: PollingState, queue: asyncio.Queue[Event], interval: float) -> None:
        super().__init__(api, state, queue, interval)
        # What concerns the API as a whole is the MaintenanceWatcher's to say, once.
        self._context = PollContext(api, QueueStore(state, queue), _Unmonitored(), time.time)
        self._polls: dict[Resource, Poll] = {}

    def _add(self, poller: Poller) -> None:
        self._polls[poller.resource] = poller.poll

    async def _poll_once(self) -> list[Event]:
        """Poll everything once, all at a time; returns the events, which are on the queue then."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(poll()) for poll in self._polls.values()]
        return [event for task in tasks for event in task.result().events]

    async def _run(self) -> None:
        rng = random.Random()  # noqa: S311 - jitter is no secret
        scheduler = Scheduler(rng=rng, rate=self._api.requests_per_second)
        for resource, poll in self._polls.items():
            scheduler.add(resource, self._interval, _when_again(poll))
        await scheduler.run()


class ClanWatcher(_Watcher):
    """Polls clans and, with ``track_members``, who is in them."""

    def __init__(
        self,
        api: ClashClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        clan_tags: list[str],
        interval: float = 60.0,
        track_members: bool = True,
    ) -> None:
        super().__init__(api, state, queue, interval)
        for tag in clan_tags:
            self._add(ClanPoller(self._context, normalize_tag(tag), interval=interval, members=track_members))


class WarWatcher(_Watcher):
    """Polls the current wars of clans: their states and attacks."""

    def __init__(
        self,
        api: ClashClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        clan_tags: list[str],
        interval: float = 30.0,
    ) -> None:
        super().__init__(api, state, queue, interval)
        for tag in clan_tags:
            self._add(WarPoller(self._context, normalize_tag(tag), interval=interval))


class PlayerWatcher(_Watcher):
    """Polls players: upgrades, and any other field that ``include_fields`` and ``exclude_fields`` let through."""

    def __init__(
        self,
        api: ClashClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        player_tags: list[str],
        interval: float = 120.0,
        include_fields: frozenset[str] | None = None,
        exclude_fields: frozenset[str] | None = None,
    ) -> None:
        super().__init__(api, state, queue, interval)
        for tag in player_tags:
            self._add(
                PlayerPoller(
                    self._context,
                    normalize_tag(tag),
                    interval=interval,
                    include_fields=include_fields,
                    exclude_fields=exclude_fields,
                )
            )


class MaintenanceWatcher(_Watcher):
    """Probes the API by a player that is known to exist, and tells when a maintenance starts and ends."""

    def __init__(
        self,
        api: ClashClient,
        state: PollingState,
        queue: asyncio.Queue[Event],
        interval: float = 30.0,
        probe_tag: str = "#JY9J2Y99",
    ) -> None:
        super().__init__(api, state, queue, interval)
        self._monitor = ApiMonitor(QueueStore(state, queue), now=time.time, uptime=uptime, changed=lambda _: None)
        self._probe = ApiPoller(api, self._monitor, probe_tag=normalize_tag(probe_tag))
        self._polls[API] = self._poll_api

    async def _poll_api(self) -> Polled:
        if self._monitor.status is None:
            await self._monitor.load()
        return await self._probe.poll()


class _Unmonitored:
    """Stands where an ApiMonitor would, and takes up nothing."""

    status = None

    async def observe(self, error: ClashError | None, *, from_probe: bool = False) -> list[Event]:  # noqa: ARG002
        return []


def _when_again(poll: Poll) -> Callable[[], Awaitable[Again]]:
    async def polled() -> Again:
        outcome = await poll()
        return Again(outcome.not_before, outcome.wanted, outcome.backoff)

    return polled
