"""A stream of events for Python programs: watch, iterate or register callbacks."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.stream.library_client import LibraryClient, library_tag, library_tags
from coc2mqtt.events.stream.polling_state import PollingState, QueueStore
from coc2mqtt.events.stream.saved_state import StateFile
from coc2mqtt.events.watch import Watch, validate_interval

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from types import TracebackType

    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.events.event import Event, EventType
    from coc2mqtt.events.stream.dict_client import DictClient

    EventCallback = Callable[[Event], Awaitable[None] | None]

_log = structlog.get_logger()

_MOST_FAILED = 1000


class EventStream:
    """Events of everything that is watched, in the order in which they were seen.

    ``api`` is an open ClashClient, or an open client with the methods of cocapi's ``CocApi`` (RuntimeError if it is
    not open). ``queue_size`` events wait for their consumer before polling is held up, 0 means without end. With
    ``persist_path`` the state is written to that file after every change, and what nobody acknowledged is delivered
    again after a restart; a file that cocapi has written is read as well. An event is acknowledged when the iteration
    asks for the next one, or when every callback has returned; one whose callback raised is delivered again at the
    next start. Of those, the last thousand are kept.
    """

    def __init__(
        self, api: ClashClient | DictClient, queue_size: int = 1000, persist_path: Path | str | None = None
    ) -> None:
        self._client = LibraryClient(api)
        self._client.check_open()
        self._state = PollingState()
        self._path = None if persist_path is None else Path(persist_path)
        # None until the state is taken up from it, lest the file be replaced before it is read.
        self._file: StateFile | None = None
        self._starting = asyncio.Lock()
        self._images = itertools.count()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(queue_size)
        self._dirty = asyncio.Event()
        # Events that were taken from the queue for a consumer who was cancelled at that moment.
        self._returned: deque[Event] = deque()
        self._iteration: AsyncIterator[Event] | None = None
        self._engine = Engine(self._client, QueueStore(self._state, self._queue, committed=self._dirty.set))
        self._callbacks: list[tuple[EventType | None, EventCallback]] = []
        self._failed: deque[Event] = deque()
        self._dropping = False
        self._runner: asyncio.Task[None] | None = None

    def watch_clans(self, tags: Iterable[str], interval: float = 60.0, track_members: bool = True) -> EventStream:
        """Watch clans, with their members unless ``track_members`` is false, every ``interval`` seconds."""
        for tag in library_tags(tags):
            self._watch(Watch(Kind.CLAN, tag, interval, members=track_members, war=False))
        return self

    def watch_wars(self, tags: Iterable[str], interval: float = 30.0) -> EventStream:
        """Watch the current wars of clans every ``interval`` seconds."""
        for tag in library_tags(tags):
            self._watch(Watch(Kind.WAR, tag, interval))
        return self

    def watch_players(
        self,
        tags: Iterable[str],
        interval: float = 120.0,
        include_fields: frozenset[str] | None = None,
        exclude_fields: frozenset[str] | None = None,
    ) -> EventStream:
        """Watch players every ``interval`` seconds; only changes of the fields that are let through are reported."""
        for tag in library_tags(tags):
            self._watch(
                Watch(
                    Kind.PLAYER,
                    tag,
                    interval,
                    include_fields=include_fields,
                    exclude_fields=exclude_fields,
                )
            )
        return self

    def watch_maintenance(self, interval: float = 30.0, probe_tag: str = "#JY9J2Y99") -> EventStream:
        """Probe the API every ``interval`` seconds by a player that is known to exist."""
        validate_interval(interval)
        (tag,) = library_tags([probe_tag])
        self._engine.watch_api(interval=interval, probe_tag=tag)
        return self

    def unwatch(self, kind: Kind, tag: str) -> bool:
        """Stop watching a clan, a war or a player; returns whether it was watched."""
        return self._engine.unwatch(kind, library_tag(tag))

    def on(self, event_type: EventType | None = None) -> Callable[[EventCallback], EventCallback]:
        """Register the decorated function for one type of event, or for every one."""

        def register(callback: EventCallback) -> EventCallback:
            self.add_callback(callback, event_type)
            return callback

        return register

    def add_callback(self, callback: EventCallback, event_type: EventType | None = None) -> None:
        """Register a function, which may be a coroutine function, for one type of event or for every one."""
        self._callbacks.append((event_type, callback))

    async def start(self) -> None:
        """Start polling. What an earlier run left without acknowledgement comes first.

        Raises ValueError where the file to persist to holds something else, OSError where it cannot be written.
        """
        self._client.check_open()
        async with self._starting:
            await self._take_up_file()
            self._start()

    def _start(self) -> None:
        if self._runner is not None:
            return
        waiting = self._state.unacknowledged()
        self._failed.clear()
        self._dropping = False
        self._iteration = None
        self._returned.clear()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._runner = asyncio.get_running_loop().create_task(self._run(waiting), name="EventStream")

    async def stop(self) -> None:
        """Stop polling and save the state; what was not acknowledged is kept for the next start.

        An iteration still returns the events that wait in the queue, then ends.
        Raises what ended the polling before.
        """
        runner, self._runner = self._runner, None
        try:
            if runner is not None:
                runner.cancel()
                await asyncio.wait({runner})
                if not runner.cancelled():
                    runner.result()
        finally:
            await self._save()

    async def run(self) -> None:
        """Start, hand every event to the callbacks, and return when the stream is stopped, or stop when cancelled."""
        async with self:
            async for event in self._events():
                if await self._dispatch(event):
                    self._acknowledge(event)
                else:
                    self._keep(event)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event in self._events():
            yield event
            self._acknowledge(event)
        await self._save()

    async def __anext__(self) -> Event:
        """Return the next event, which acknowledges the one before; may be cancelled by a time-out and called again."""
        if self._iteration is None:
            self._iteration = aiter(self)
        iteration, self._iteration = self._iteration, None
        event = await anext(iteration)
        # After anything else the iteration is over: the next call starts a new one.
        self._iteration = iteration
        return event

    async def _events(self) -> AsyncIterator[Event]:
        """Yield events until the stream is stopped and the queue is empty; raise what ended the polling."""
        runner = self._runner
        # After a restart the new run delivers everything again that was not acknowledged.
        while self._runner in (runner, None):
            if self._returned:
                yield self._returned.popleft()
            elif not self._queue.empty():
                yield self._queue.get_nowait()
            elif runner is None or self._runner is None or runner.cancelled():
                return
            elif (event := await self._next(runner)) is not None:
                yield event

    async def _next(self, runner: asyncio.Task[None]) -> Event | None:
        """Wait for an event, None if the polling ended first; raise what ended it."""
        getter = asyncio.ensure_future(self._queue.get())
        event = None
        try:
            await asyncio.wait({getter, runner}, return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                event = getter.result()
        finally:
            if event is None and not getter.cancel() and not getter.cancelled():
                self._returned.append(getter.result())
        if event is None and not runner.cancelled():
            runner.result()
        return event

    async def _run(self, waiting: list[Event]) -> None:
        async with asyncio.TaskGroup() as group:
            if self._file is not None:
                group.create_task(self._save_changes())
            for event in waiting:
                await self._queue.put(event)
            group.create_task(self._engine.run())

    async def _dispatch(self, event: Event) -> bool:
        done = True
        for event_type, callback in self._callbacks:
            if event_type is None or event_type is event.event_type:
                try:
                    result = callback(event)
                    if inspect.isawaitable(result):
                        await result
                except Exception:  # noqa: BLE001 - whatever a user's function raises, the others get the event
                    done = False
                    _log.exception("a callback raised: its event is delivered again at the next start")
        return done

    def _keep(self, event: Event) -> None:
        """Keep an event whose callback raised, and let go of the oldest one of too many."""
        self._failed.append(event)
        if len(self._failed) > _MOST_FAILED:
            if not self._dropping:
                _log.warning("callbacks raise all the time: of their events only the last are kept", most=_MOST_FAILED)
            self._dropping = True
            self._acknowledge(self._failed.popleft())

    async def _take_up_file(self) -> None:
        if self._path is None or self._file is not None:
            return
        if not await asyncio.to_thread(self._state.load, self._path) and await asyncio.to_thread(self._path.exists):
            raise ValueError(f"{self._path} holds no saved state: move it away, or name another file to persist to")
        self._file = StateFile(self._path)
        # At once, so that a file that cannot be written is known before there is something to lose.
        await self._save()

    def _acknowledge(self, event: Event) -> None:
        self._state.acknowledge(event)
        self._dirty.set()

    async def _save_changes(self) -> None:
        while True:
            await self._dirty.wait()
            await self._save()

    async def _save(self) -> None:
        self._dirty.clear()
        if self._file is not None:
            await asyncio.to_thread(self._file.write, next(self._images), self._state.image())

    def _watch(self, watch: Watch) -> None:
        validate_interval(watch.interval)
        self._engine.watch(watch)
