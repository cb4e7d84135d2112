"""A bridge for tests: a connection that runs, and tells of its sessions and waits."""

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
    """In place of the waits between attempts: hardly any, noted."""

    def __init__(self) -> None:
        self.seconds: asyncio.Queue[float] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        self.seconds.put_nowait(seconds)
        await asyncio.sleep(0.01)


class RecordingConnection:
    """Runs a connection and tells of its sessions."""

    def __init__(
        self, options: ConnectionOptions, *, offline_messages: tuple[RetainedMessage, ...] = (OFFLINE,)
    ) -> None:
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()
        self.ended: asyncio.Queue[float] = asyncio.Queue()
        self.waits = RecordedWaits()
        self.connection = Connection(
            options,
            on_session=self.talk,
            offline_messages=offline_messages,
            sleep=self.waits,
            rng=lambda: 1.0,
            clock=itertools.count(1000.0).__next__,
        )
        self.task: asyncio.Task[NoReturn] | None = None

    async def talk(self, session: Session) -> None:
        await session.publish(STATE, ONLINE, retain=True)
        self.sessions.put_nowait(session)
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.put_nowait(asyncio.get_running_loop().time())

    async def stop(self) -> float:
        """Stop it and return how many seconds that took."""
        assert self.task is not None
        start = asyncio.get_running_loop().time()
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        return asyncio.get_running_loop().time() - start


@asynccontextmanager
async def running_connection(bridge: RecordingConnection) -> AsyncIterator[RecordingConnection]:
    bridge.task = asyncio.create_task(bridge.connection.run())
    try:
        async with asyncio.timeout(LONG_ENOUGH):
            yield bridge
    finally:
        await bridge.stop()


async def get_items(count: int, queue: asyncio.Queue[Item]) -> list[Item]:
    return [await queue.get() for _ in range(count)]
