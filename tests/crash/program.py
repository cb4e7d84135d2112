"""The program that crashes: the whole bridge between the API client and the broker session."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.mqtt.client.errors import ConnectionLostError
from coc2mqtt.watch_list import WatchList
from tests.support.bridge_parts import BridgeParts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
    from tests.crash.harness import FakeSession, FileBroker, ScriptedApi

BASE = "coc"
_POLL_INTERVAL_S = 0.005


class _Journal(SqliteJournal):
    """Reports acknowledgements and deletions. The other overrides give crash points a recognisable name."""

    on_change: Callable[[], None]

    async def commit(self, resource: Resource, snapshot: Snapshot | None, events: Sequence[Event]) -> None:
        await super().commit(resource, snapshot, events)

    async def save_watch(self, watch: Watch, *, reset_snapshots: Sequence[Resource] = ()) -> None:
        await super().save_watch(watch, reset_snapshots=reset_snapshots)

    async def mark_watch_removed(self, kind: Kind, tag: str) -> None:
        await super().mark_watch_removed(kind, tag)

    async def acknowledge(self, seqs: Iterable[int]) -> None:
        await super().acknowledge(seqs)
        self.on_change()

    async def delete_snapshot(self, resource: Resource) -> None:
        await super().delete_snapshot(resource)
        self.on_change()


class Program:
    """One run over ``sessions``, one after another; ``now`` is the constant Unix time."""

    def __init__(
        self, folder: Path, *, api: ScriptedApi, broker: FileBroker, sessions: Sequence[FakeSession], now: float
    ) -> None:
        self.sessions = sessions
        self.broker = broker
        self.journal = _Journal(folder / "coc2mqtt.db", clock=lambda: now, rng=random.Random(broker.run))
        self.engine = Engine(
            api.client,
            self.journal,
            on_commit=self._on_commit,
            now=lambda: now,
            uptime=lambda: now,
            rng=random.Random(1),
        )
        self.watches = WatchList(self.journal, self.engine, on_change=self._on_watch_change)
        # Waiting for devices would take a second per session.
        self._parts = BridgeParts(
            self.journal, self.watches, base=BASE, home_assistant_status=None, device_delays=False
        )
        self._changed = asyncio.Event()
        self.journal.on_change = broker.on_message = self._changed.set

    async def run(self, configured: Iterable[Watch], body: Callable[[Program], Awaitable[None]]) -> None:
        """Run until ``body`` returns."""
        async with self.journal:
            await self.watches.load(configured)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.engine.run()), group.create_task(self._serve_broker())]
                await body(self)
                for task in tasks:
                    task.cancel()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the broker's messages and the journal make the condition true."""
        while True:
            self._changed.clear()
            if await condition():
                return
            # A poll without changes triggers no notification.
            timer = asyncio.get_running_loop().call_later(_POLL_INTERVAL_S, self._changed.set)
            await self._changed.wait()
            timer.cancel()

    async def _serve_broker(self) -> None:
        for line in self.sessions:
            try:
                await self._parts.bridge.serve(line.session)
            except* ConnectionLostError:
                pass

    def _on_commit(self, resource: Resource) -> None:
        self._parts.retained.mark(resource)

    def _on_watch_change(self, watch: Watch) -> None:
        self._parts.on_watch_change(watch)
