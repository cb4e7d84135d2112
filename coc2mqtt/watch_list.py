"""What is watched: the configuration's wishes, and what commands made of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.events.watch import MIN_INTERVAL_S, Watch
from coc2mqtt.mqtt.control.commands import CommandError
from coc2mqtt.mqtt.payloads.models import WatchPayload, shorten
from coc2mqtt.util.fair_iteration import yield_periodically

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from coc2mqtt.events.polling.engine import Engine
    from coc2mqtt.journal.protocol import Journal, StoredWatch

T = TypeVar("T")

_log = structlog.get_logger()


class WatchList:
    """Keeps the engine polling exactly what is watched.

    What a command decided is in the journal, holds over restarts, and wins over the configuration, whose file is
    never written. ``changed`` is called with each watch that was added, replaced or removed; of one that is found
    removed at start, only the kind and the tag are known. Commands can add watches up to ``maximum`` in all.
    """

    def __init__(
        self, journal: Journal, engine: Engine, *, changed: Callable[[Watch], None], maximum: int = 1000
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._changed = changed
        self._maximum = maximum
        self._configured: dict[tuple[Kind, str], Watch] = {}
        # So that a list of a thousand is not a thousand snapshots to read.
        self._names: dict[Resource, str | None] = {}

    async def load(self, configured: Iterable[Watch]) -> None:
        """Begin to watch what the configuration asks for and what commands made of it.

        A snapshot that no watch needs any more is told as changed: what is published of it is to be taken away.
        """
        by_key = {(watch.kind, watch.tag): watch for watch in configured}
        self._configured = by_key
        wanted = _merge(by_key, await self._journal.watches())
        stored = dict.fromkeys(await self._journal.resources())
        stored.pop(API, None)
        async for watch in yield_periodically(list(wanted.values())):
            self._engine.watch(watch)
            if Resource(watch.kind, watch.tag) not in stored:
                self._names[Resource(watch.kind, watch.tag)] = None
            for resource, _ in watch.resources():
                stored.pop(resource, None)
        for resource in stored:
            kind = Kind.PLAYER if resource.kind is Kind.PLAYER else Kind.CLAN
            self._changed(Watch(kind, resource.tag, MIN_INTERVAL_S))

    def find(self, kind: Kind, tag: str) -> Watch | None:
        """Return the watch of a clan or a player, None where there is none."""
        return self._engine.find(kind, tag)

    def polled_at(self, kind: Kind, tag: str) -> float | None:
        """Return when the API last answered for a watch (Unix time in seconds), None where it did not yet."""
        return self._engine.polled_at(kind, tag)

    def watched(self, tag: str | None, kind: Kind | None) -> list[Watch]:
        """Return the watches of a tag and a kind, None being any."""
        if tag is not None:
            found = (self._engine.find(one, tag) for one in ((Kind.CLAN, Kind.PLAYER) if kind is None else (kind,)))
            return [watch for watch in found if watch is not None]
        return [watch for watch in self._engine.watches if kind in (None, watch.kind)]

    async def watch(self, watch: Watch) -> None:
        """Watch from now on and after a restart; what was not watched until now begins with a first sight.

        Raises CommandError where there is no room for one more.
        """
        await _to_the_end(self._watch(watch))

    async def _watch(self, watch: Watch) -> None:
        before = self.find(watch.kind, watch.tag)
        count = self._engine.clans + self._engine.players
        if before is None and count >= self._maximum:
            raise CommandError(
                f"{count} clans and players are watched already, and watch.maximum is"
                f" {self._maximum}: stop a watch, or raise it in the configuration"
            )
        polled = set() if before is None else {resource for resource, _ in before.resources()}
        anew = [resource for resource, _ in watch.resources() if resource not in polled]
        try:
            await self._journal.save_watch(watch, anew=anew)
            self._engine.watch(watch)
            self._changed(watch)
        except Exception:
            await self._realign(watch.kind, watch.tag)
            raise

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        """Stop watching for good; returns whether it was watched. Whoever hears of it forgets the snapshots."""
        return await _to_the_end(self._unwatch(kind, tag))

    async def _unwatch(self, kind: Kind, tag: str) -> bool:
        watch = self.find(kind, tag)
        if watch is None:
            return False
        try:
            if (kind, tag) in self._configured:
                await self._journal.remove_watch(kind, tag)
            else:
                # Nothing would bring it back, and what was ever watched must not pile up.
                await self._journal.forget_watch(kind, tag)
            self._engine.unwatch(kind, tag)
            self._names.pop(Resource(kind, tag), None)
            self._changed(watch)
        except Exception:
            await self._realign(kind, tag)
            raise
        return True

    async def _realign(self, kind: Kind, tag: str) -> None:
        """Poll what the journal says of a watch: a bug may have come between storing a change and making it."""
        stored = {(one.kind, one.tag): one.watch for one in await self._journal.watches()}
        key = kind, tag
        wanted = stored[key] if key in stored else self._configured.get(key)
        if wanted is None:
            self._engine.unwatch(kind, tag)
            self._names.pop(Resource(kind, tag), None)
        elif wanted != self.find(kind, tag):
            self._engine.watch(wanted)
        self._changed(wanted or Watch(kind, tag, MIN_INTERVAL_S))

    def poll_now(self, kind: Kind, tag: str) -> None:
        """Make what a watch polls due at once."""
        self._engine.poll_now(kind, tag)

    def committed(self, resource: Resource) -> bool:
        """Take note of a new snapshot; returns whether a watch that was described without a name may have one now."""
        return self._names.pop(resource, "") is None

    def named(self, resource: Resource, name: str | None) -> None:
        """Take note of a name that somebody has read anyway; None is none that is known."""
        if name is not None:
            self._names[resource] = shorten(name)

    async def describe(self, watch: Watch) -> WatchPayload:
        """Return a watch as it is published."""
        clan = watch.kind is Kind.CLAN
        resource = Resource(watch.kind, watch.tag)
        if resource not in self._names:
            name = await self._name(resource)
            self._names.setdefault(resource, name)  # it may have become known meanwhile
        name = self._names[resource]
        return WatchPayload(
            kind="clan" if clan else "player",
            tag=watch.tag,
            name=name,
            interval=watch.interval,
            members=watch.members if clan else None,
            war=watch.war if clan else None,
            war_interval=watch.war_interval if clan and watch.war else None,
            include_fields=None if watch.include_fields is None else sorted(watch.include_fields),
            exclude_fields=None if watch.exclude_fields is None else sorted(watch.exclude_fields),
        )

    async def _name(self, resource: Resource) -> str | None:
        snapshot = await self._journal.snapshot(resource)
        name = None if snapshot is None or snapshot.data is None else snapshot.data.get("name")
        return shorten(name) if isinstance(name, str) else None


async def _to_the_end(change: Coroutine[Any, Any, T]) -> T:
    """Carry out a change whole, also where its caller is cancelled meanwhile.

    A command ends with its connection: half a change would be stored and not polled, or polled and not stored.
    """
    # A task of its own, and in no TaskGroup, because a group would cancel it together with its caller.
    task = asyncio.get_running_loop().create_task(change)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # else asyncio complains that nobody asked for it
        raise
    return task.result()


def _merge(configured: dict[tuple[Kind, str], Watch], stored: Sequence[StoredWatch]) -> dict[tuple[Kind, str], Watch]:
    """Return what is to be watched; where a command had the last word, say so."""
    wanted = dict(configured)
    for one in stored:
        key = (one.kind, one.tag)
        before = wanted.pop(key, None)
        if one.watch is not None:
            wanted[key] = one.watch
        if before is not None and one.watch != before:
            _log.info(
                "a command stopped a watch of the configuration: send 'watch' to have it back"
                if one.watch is None
                else "a command changed a watch of the configuration: send 'watch' to change it again",
                kind=one.kind.value,
                tag=one.tag,
            )
    return wanted
