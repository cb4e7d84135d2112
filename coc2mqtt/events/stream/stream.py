"""A stream of events for Python programs: add watches, then iterate or register callbacks."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import Kind, Watch, validate_interval
from coc2mqtt.events.stream.library_client import LibraryClient, normalize_if_valid, normalize_tags
from coc2mqtt.events.stream.polling_state import PollingState, QueueStore
from coc2mqtt.events.stream.saved_state import StateFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from types import TracebackType

    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.events.event import Event, EventType
    from coc2mqtt.events.stream.dict_client import DictClient

    EventCallback = Callable[[Event], Awaitable[None] | None]

_log = structlog.get_logger()

_MAX_FAILED_EVENTS = 1000


class EventStream:
    """The events of all watches, in the order in which they were detected.

    ``api`` is an open ClashClient, or an open client with the methods of cocapi's ``CocApi`` (RuntimeError if it is
    not open). When ``queue_size`` events are waiting, polling pauses until one is consumed; 0 means no limit. With
    ``persist_path`` the state is saved to that file after every change, and unacknowledged events are delivered again
    after a restart; a file written by cocapi can be loaded too.

    An event is acknowledged when the iteration requests the next one, or when every callback has returned. If a
    callback raises, the event is delivered again at the next start; only the last 1000 such events are kept.
    """

    def __init__(
        self, api: ClashClient | DictClient, queue_size: int = 1000, persist_path: Path | str | None = None
    ) -> None:
        self._client = LibraryClient(api)
        self._client.check_open()
        self._state = PollingState()
        self._path = None if persist_path is None else Path(persist_path)
        # None until the state was loaded, so that the file is not overwritten before it is read.
        self._file: StateFile | None = None
        self._start_lock = asyncio.Lock()
        self._save_numbers = itertools.count()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(queue_size)
        self._unsaved = asyncio.Event()
        # Events that were taken from the queue for a consumer that was cancelled at that moment.
        self._returned: deque[Event] = deque()
        self._iteration: AsyncIterator[Event] | None = None
        self._engine = Engine(self._client, QueueStore(self._state, self._queue, on_commit=self._unsaved.set))
        self._callbacks: list[tuple[EventType | None, EventCallback]] = []
        self._failed: deque[Event] = deque()
        self._dropping_failed = False
        self._runner: asyncio.Task[None] | None = None

    def watch_clans(self, tags: Iterable[str], interval: float = 60.0, track_members: bool = True) -> EventStream:
        """Watch clans, with their members unless ``track_members`` is false, every ``interval`` seconds."""
        for tag in normalize_tags(tags):
            self._watch(Watch(Kind.CLAN, tag, interval, members=track_members, war=False))
        return self

    def watch_wars(self, tags: Iterable[str], interval: float = 30.0) -> EventStream:
        """Watch the current wars of clans every ``interval`` seconds."""
        for tag in normalize_tags(tags):
            self._watch(Watch(Kind.WAR, tag, interval))
        return self

    def watch_players(
        self,
        tags: Iterable[str],
        interval: float = 120.0,
        include_fields: frozenset[str] | None = None,
        exclude_fields: frozenset[str] | None = None,
    ) -> EventStream:
        """Watch players every ``interval`` seconds; ``include_fields`` and ``exclude_fields`` filter the changes."""
        for tag in normalize_tags(tags):
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
        """Probe the API every ``interval`` seconds with a player that is known to exist."""
        validate_interval(interval)
        (tag,) = normalize_tags([probe_tag])
        self._engine.watch_api(interval=interval, probe_tag=tag)
        return self

    def unwatch(self, kind: Kind, tag: str) -> bool:
        """Stop watching a clan, a war or a player; return whether it was watched."""
        return self._engine.unwatch(kind, normalize_if_valid(tag))

    def on(self, event_type: EventType | None = None) -> Callable[[EventCallback], EventCallback]:
        """Register the decorated function for one event type, or for all."""

        def register(callback: EventCallback) -> EventCallback:
            self.add_callback(callback, event_type)
            return callback

        return register

    def add_callback(self, callback: EventCallback, event_type: EventType | None = None) -> None:
        """Register a function or coroutine function for one event type, or for all."""
        self._callbacks.append((event_type, callback))

    async def start(self) -> None:
        """Start polling. Events that an earlier run left unacknowledged are delivered first.

        Raises ValueError if the file to persist to has other content, OSError if it cannot be written.
        """
        self._client.check_open()
        async with self._start_lock:
            await self._load_file()
            self._start()

    def _start(self) -> None:
        if self._runner is not None:
            return
        unacknowledged = self._state.unacknowledged()
        self._failed.clear()
        self._dropping_failed = False
        self._iteration = None
        self._returned.clear()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._runner = asyncio.get_running_loop().create_task(self._run(unacknowledged), name="EventStream")

    async def stop(self) -> None:
        """Stop polling and save the state; unacknowledged events are kept for the next start.

        An iteration returns the events that are still queued, then stops. If an error had ended the polling, it is
        raised.
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
        """Start, pass every event to the callbacks, and return when the stream is stopped; stop when cancelled."""
        async with self:
            async for event in self._events():
                if await self._dispatch(event):
                    self._acknowledge(event)
                else:
                    self._keep_failed(event)

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
        """Return the next event and acknowledge the previous one; may be cancelled by a timeout and called again."""
        if self._iteration is None:
            self._iteration = aiter(self)
        iteration, self._iteration = self._iteration, None
        event = await anext(iteration)
        # Kept only if an event was returned: otherwise the iteration is over, and the next call starts a new one.
        self._iteration = iteration
        return event

    async def _events(self) -> AsyncIterator[Event]:
        """Yield events until the stream is stopped and the queue is empty; raise the error that ended the polling."""
        runner = self._runner
        # After a restart the new run delivers all unacknowledged events again.
        while self._runner in (runner, None):
            if self._returned:
                yield self._returned.popleft()
            elif not self._queue.empty():
                yield self._queue.get_nowait()
            elif runner is None or self._runner is None or runner.cancelled():
                return
            elif (event := await self._next_event(runner)) is not None:
                yield event

    async def _next_event(self, runner: asyncio.Task[None]) -> Event | None:
        """Wait for an event; None if the polling was stopped first. Raises the error that ended the polling."""
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

    async def _run(self, unacknowledged: list[Event]) -> None:
        async with asyncio.TaskGroup() as group:
            if self._file is not None:
                group.create_task(self._save_changes())
            for event in unacknowledged:
                await self._queue.put(event)
            group.create_task(self._engine.run())

    async def _dispatch(self, event: Event) -> bool:
        """Pass an event to its callbacks; return whether none of them raised."""
        succeeded = True
        for event_type, callback in self._callbacks:
            if event_type is None or event_type is event.event_type:
                try:
                    result = callback(event)
                    if inspect.isawaitable(result):
                        await result
                except Exception:  # noqa: BLE001 - a user's function may raise anything, and the other callbacks get the event
                    succeeded = False
                    _log.exception("callback failed", hint="its event is delivered again at the next start")
        return succeeded

    def _keep_failed(self, event: Event) -> None:
        """Keep an event whose callback raised; drop the oldest of too many."""
        self._failed.append(event)
        if len(self._failed) > _MAX_FAILED_EVENTS:
            if not self._dropping_failed:
                _log.warning(
                    "too many events with failed callbacks",
                    maximum=_MAX_FAILED_EVENTS,
                    hint="only the latest are delivered again at the next start",
                )
            self._dropping_failed = True
            self._acknowledge(self._failed.popleft())

    async def _load_file(self) -> None:
        if self._path is None or self._file is not None:
            return
        if not await asyncio.to_thread(self._state.load, self._path) and await asyncio.to_thread(self._path.exists):
            raise ValueError(f"{self._path} does not contain a saved state: move it away, or persist to another file")
        self._file = StateFile(self._path)
        # Save immediately, so that a file that cannot be written is reported before any state can be lost.
        await self._save()

    def _acknowledge(self, event: Event) -> None:
        self._state.acknowledge(event)
        self._unsaved.set()

    async def _save_changes(self) -> None:
        while True:
            await self._unsaved.wait()
            await self._save()

    async def _save(self) -> None:
        self._unsaved.clear()
        if self._file is not None:
            await asyncio.to_thread(self._file.write, next(self._save_numbers), self._state.to_json())

    def _watch(self, watch: Watch) -> None:
        validate_interval(watch.interval)
        self._engine.watch(watch)
