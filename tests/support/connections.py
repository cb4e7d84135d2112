"""A running connection for tests, which records its sessions and waits."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

from coc2mqtt.mqtt.client.connection import Connection, ConnectionOptions, RetainedMessage, Session
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATE = "coc/bridge/state"
ONLINE = b'{"state":"online"}'
OFFLINE = RetainedMessage(STATE, b'{"state":"offline"}')
OPTIONS = ConnectionOptions("127.0.0.1", 0, "coc2mqtt_home", timeout=LONG_ENOUGH, will=OFFLINE)

Item = TypeVar("Item")


class RecordedWaits:
    """Replaces the waits between attempts with very short ones, and records their seconds."""

    def __init__(self) -> None:
        self.seconds: asyncio.Queue[float] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        self.seconds.put_nowait(seconds)
        await asyncio.sleep(0.01)


class RecordingConnection:
    """A connection that publishes ``ONLINE`` in each session and records its sessions, their ends and its waits."""

    def __init__(
        self, options: ConnectionOptions, *, offline_messages: tuple[RetainedMessage, ...] = (OFFLINE,)
    ) -> None:
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()
        self.ended_at: asyncio.Queue[float] = asyncio.Queue()
        self.waits = RecordedWaits()
        self.connection = Connection(
            options,
            on_session=self._on_session,
            offline_messages=offline_messages,
            sleep=self.waits,
            rng=lambda: 1.0,
            clock=itertools.count(1000.0).__next__,
        )
        self.task: asyncio.Task[NoReturn] | None = None

    async def _on_session(self, session: Session) -> None:
        await session.publish(STATE, ONLINE, retain=True)
        self.sessions.put_nowait(session)
        try:
            await asyncio.Event().wait()
        finally:
            self.ended_at.put_nowait(asyncio.get_running_loop().time())

    async def stop(self) -> float:
        """Stop it and return the seconds that this took."""
        assert self.task is not None
        start = asyncio.get_running_loop().time()
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        return asyncio.get_running_loop().time() - start


@asynccontextmanager
async def running_connection(recording: RecordingConnection) -> AsyncIterator[RecordingConnection]:
    """Run a connection, and stop it at the exit."""
    recording.task = asyncio.create_task(recording.connection.run())
    try:
        async with asyncio.timeout(LONG_ENOUGH):
            yield recording
    finally:
        await recording.stop()


async def get_items(count: int, queue: asyncio.Queue[Item]) -> list[Item]:
    """Return the next ``count`` items of a queue."""
    return [await queue.get() for _ in range(count)]
