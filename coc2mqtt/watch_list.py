"""The watches: those of the configuration, and the changes that commands made to them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from coc2mqtt.events.resource import API, CALENDAR, MIN_INTERVAL_S, Kind, Resource, Watch
from coc2mqtt.mqtt.control import sentences
from coc2mqtt.mqtt.control.commands import ResetWatches
from coc2mqtt.mqtt.control.request import CommandError
from coc2mqtt.mqtt.payloads.models import WatchPayload
from coc2mqtt.util.tasks import yield_periodically
from coc2mqtt.util.text import shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence

    from coc2mqtt.events.polling.engine import Engine
    from coc2mqtt.journal.protocol import Journal, StoredWatch

T = TypeVar("T")

_log = structlog.get_logger()


class WatchList:
    """Adds, replaces and removes watches, and keeps the engine polling exactly these.

    Changes by commands are stored in the journal. They survive restarts and override the configuration, whose file is
    never written. Commands can add watches up to a total of ``maximum``.

    ``on_change`` is called with each watch that was added, replaced or removed. For a watch that was removed from the
    configuration before the start, only the kind and the tag are known. ``on_add`` is called before that with a watch
    that a command added.
    """

    def __init__(
        self,
        journal: Journal,
        engine: Engine,
        *,
        on_change: Callable[[Watch], None],
        on_add: Callable[[Watch], None] = lambda _: None,
        maximum: int = 1000,
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._on_change = on_change
        self._on_add = on_add
        self._maximum = maximum
        # Held during each change: commands can be executed concurrently.
        self._lock = asyncio.Lock()
        self._configured: dict[tuple[Kind, str], Watch] = {}
        # Caches names: listing a thousand watches must not read a thousand snapshots.
        self._names: dict[Resource, str | None] = {}

    async def load(self, configured: Iterable[Watch]) -> None:
        """Start the watches of the configuration, with the changes that commands made to them.

        Calls ``on_change`` for each stored snapshot that no watch needs, so that its topics are emptied.
        """
        self._configured = {(watch.kind, watch.tag): watch for watch in configured}
        watches = _merge(self._configured, await self._journal.watches())
        unused = dict.fromkeys(await self._journal.resources())
        for resource in (API, CALENDAR):
            unused.pop(resource, None)
        async for watch in yield_periodically(list(watches.values())):
            self._engine.watch(watch)
            if Resource(watch.kind, watch.tag) not in unused:
                self._names[Resource(watch.kind, watch.tag)] = None
            for resource, _ in watch.resources():
                unused.pop(resource, None)
        for resource in unused:
            kind = Kind.PLAYER if resource.kind is Kind.PLAYER else Kind.CLAN
            self._on_change(Watch(kind, resource.tag, MIN_INTERVAL_S))

    def find(self, kind: Kind, tag: str) -> Watch | None:
        """Return the watch of a clan or a player, None if it is not watched."""
        return self._engine.find(kind, tag)

    def configured(self, kind: Kind, tag: str) -> Watch | None:
        """Return the watch of the configuration, None if it has none."""
        return self._configured.get((kind, tag))

    def polled_at(self, kind: Kind, tag: str) -> float | None:
        """Return the Unix time in seconds of the last response for a watch, None before the first."""
        return self._engine.polled_at(kind, tag)

    def select(self, *, kind: Kind | None = None, tag: str | None = None) -> list[Watch]:
        """Return the watches with this tag and kind; None matches any."""
        if tag is not None:
            kinds = (Kind.CLAN, Kind.PLAYER) if kind is None else (kind,)
            return [watch for one in kinds if (watch := self._engine.find(one, tag)) is not None]
        return [watch for watch in self._engine.watches if kind in (None, watch.kind)]

    async def watch(self, watch: Watch, *, name: str | None = None) -> None:
        """Add or replace a watch, permanently. Resources that were not watched before start from a new baseline.

        ``name`` is that of the clan or player, None if it is unknown. Raises CommandError if the maximum number of
        watches is reached.
        """
        await self._change(partial(self._watch, watch, name))

    async def _watch(self, watch: Watch, name: str | None) -> None:
        previous = self.find(watch.kind, watch.tag)
        count = self._engine.clans + self._engine.players
        if previous is None and count >= self._maximum:
            raise CommandError(sentences.too_many_watches(count, self._maximum))
        new = _new_resources(previous, watch)
        try:
            if watch == self.configured(watch.kind, watch.tag):
                # Without a row, later changes of the file apply to it.
                await self._journal.delete_watch(watch.kind, watch.tag, reset_snapshots=new)
            else:
                await self._journal.save_watch(watch, reset_snapshots=new)
            self._start(previous, watch, name)
        except Exception:
            await self._resync(watch.kind, watch.tag)
            raise

    def _start(self, previous: Watch | None, watch: Watch, name: str | None = None) -> None:
        self._engine.watch(watch)
        self.cache_name(Resource(watch.kind, watch.tag), name)
        if previous is None:
            self._on_add(watch)
        self._on_change(watch)

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        """Remove a watch permanently, and return whether it existed.

        Its snapshots stay in the journal until its topics are emptied, which ``on_change`` initiates.
        """
        return await self._change(partial(self._unwatch, kind, tag))

    async def _unwatch(self, kind: Kind, tag: str) -> bool:
        watch = self.find(kind, tag)
        if watch is None:
            return False
        try:
            if (kind, tag) in self._configured:
                await self._journal.mark_watch_removed(kind, tag)
            else:
                # Without a row it stays removed, and rows of former watches must not accumulate.
                await self._journal.delete_watch(kind, tag)
            self._engine.unwatch(kind, tag)
            self._names.pop(Resource(kind, tag), None)
            self._on_change(watch)
        except Exception:
            await self._resync(kind, tag)
            raise
        return True

    async def reset(self, *, kind: Kind | None = None, tag: str | None = None) -> ResetWatches:
        """Give up what commands changed about the watches of a kind and a tag; None matches any.

        Returns the watches that were removed, and those that are again as in the configuration.
        """
        return await self._change(partial(self._reset, kind, tag))

    async def _reset(self, kind: Kind | None, tag: str | None) -> ResetWatches:
        removed, restored = [], []
        for one in await self._journal.watches():
            if kind not in (None, one.kind) or tag not in (None, one.tag):
                continue
            watch, configured = self.find(one.kind, one.tag), self.configured(one.kind, one.tag)
            if configured is not None:
                if await self._restore(watch, configured):
                    restored.append(configured)
            elif watch is None:  # removed by a command, and later from the configuration
                await self._journal.delete_watch(one.kind, one.tag)
            elif await self._unwatch(one.kind, one.tag):
                removed.append(watch)
        return ResetWatches(removed, restored)

    async def _restore(self, watch: Watch | None, configured: Watch) -> bool:
        """Make a watch as in the configuration again; return whether it was different."""
        kind, tag = configured.kind, configured.tag
        try:
            await self._journal.delete_watch(kind, tag, reset_snapshots=_new_resources(watch, configured))
            if watch != configured:
                self._start(watch, configured)
        except Exception:
            await self._resync(kind, tag)
            raise
        return watch != configured

    async def _change(self, change: Callable[[], Awaitable[T]]) -> T:
        """Make one change after another, and complete each even if its caller is cancelled."""

        async def make() -> T:
            async with self._lock:
                return await change()

        return await _complete(make())

    async def _resync(self, kind: Kind, tag: str) -> None:
        """Make the engine match the journal after a bug between storing a change and applying it."""
        stored = {(one.kind, one.tag): one.watch for one in await self._journal.watches()}
        key = kind, tag
        watch = stored[key] if key in stored else self._configured.get(key)
        if watch is None:
            self._engine.unwatch(kind, tag)
            self._names.pop(Resource(kind, tag), None)
        elif watch != self.find(kind, tag):
            self._engine.watch(watch)
        self._on_change(watch or Watch(kind, tag, MIN_INTERVAL_S))

    def poll_now(self, kind: Kind, tag: str) -> None:
        """Make all polls of a watch due immediately."""
        self._engine.poll_now(kind, tag)

    def on_commit(self, resource: Resource) -> bool:
        """Invalidate the cached name after a commit; return whether the name was unknown and may be known now."""
        return self._names.pop(resource, "") is None

    def cache_name(self, resource: Resource, name: str | None) -> None:
        """Cache a name that another component has just read; None means unknown and is ignored."""
        if name is not None:
            self._names[resource] = shorten(name)

    async def describe(self, watch: Watch) -> WatchPayload:
        """Return the payload of a watch."""
        resource = Resource(watch.kind, watch.tag)
        if resource not in self._names:
            name = await self._name(resource)
            self._names.setdefault(resource, name)  # another task may have cached it during the read
        return WatchPayload.of(watch, self._names[resource])

    async def _name(self, resource: Resource) -> str | None:
        snapshot = await self._journal.snapshot(resource)
        return None if snapshot is None or snapshot.name is None else shorten(snapshot.name)


def _new_resources(previous: Watch | None, watch: Watch) -> list[Resource]:
    """Return the resources of a watch that the previous one did not poll."""
    polled = set() if previous is None else {resource for resource, _ in previous.resources()}
    return [resource for resource, _ in watch.resources() if resource not in polled]


async def _complete(change: Coroutine[Any, Any, T]) -> T:
    """Complete a change even if the caller is cancelled meanwhile.

    A command is cancelled when its connection is lost. Half a change would be stored but not polled, or the reverse.
    """
    # Not in a TaskGroup, which would cancel the task together with the caller.
    task = asyncio.get_running_loop().create_task(change)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # otherwise asyncio logs that the exception was never retrieved
        raise
    return task.result()


def _merge(configured: dict[tuple[Kind, str], Watch], stored: Sequence[StoredWatch]) -> dict[tuple[Kind, str], Watch]:
    """Return the watches by kind and tag; log each watch of the configuration that a command changed or removed."""
    watches = dict(configured)
    for one in stored:
        key = (one.kind, one.tag)
        before = watches.pop(key, None)
        if one.watch is not None:
            watches[key] = one.watch
        if before is None or one.watch == before:
            continue
        if one.watch is None:
            event, hint = "configured watch was removed by a command", "send 'watch' to restore it"
        else:
            event, hint = "configured watch was changed by a command", "send 'watch' to change it again"
        _log.info(event, kind=one.kind.value, tag=one.tag, hint=hint)
    return watches
