from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import pytest
from pydantic import SecretStr

from coc2mqtt.clash import ClashClient
from coc2mqtt.demo import DemoServer, World
from coc2mqtt.events import PollingState
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.support.driven_stream import DrivenStream
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from coc2mqtt.events import Event
    from coc2mqtt.events.resource import Resource

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class Until(Protocol):
    async def __call__(self, condition: Callable[[], object]) -> None: ...


class OpenClient(Protocol):
    async def __call__(self, base_url: str) -> ClashClient: ...


@dataclass
class Clock:
    """Unix time in seconds, set by the test."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Calendar:
    """The time of the scripted world."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Bench:
    """A scripted API over real HTTP, and a state that pollers of several runs can share."""

    world: World
    server: DemoServer
    api: ClashClient
    calendar: Calendar
    clock: Clock = field(default_factory=Clock)
    state: PollingState = field(default_factory=PollingState)
    queue: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)

    @property
    def store(self) -> QueueStore:
        return QueueStore(self.state, self.queue)

    @property
    def clan(self) -> str:
        """A clan whose war log is public."""
        return self.world.clan_tags[0]

    @property
    def private_clan(self) -> str:
        return self.world.clan_tags[1]

    @property
    def player(self) -> str:
        return self.world.player_tags[0]

    def snapshot_data(self, resource: Resource) -> object:
        snapshot = self.state.snapshot(resource)
        return None if snapshot is None else snapshot.data

    def queued_types(self) -> list[str]:
        """Remove the queued events and return their types."""
        return [self.queue.get_nowait().event_type.value for _ in range(self.queue.qsize())]


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def world(calendar: Calendar) -> World:
    return World(now=calendar, members=10, players=1)


@pytest.fixture
async def open_client() -> AsyncIterator[OpenClient]:
    """Open clients without retries and rate limit."""
    async with AsyncExitStack() as stack:

        async def enter(base_url: str) -> ClashClient:
            client = ClashClient(
                [SecretStr("token-of-a-test")], base_url=base_url, requests_per_second=10_000, attempts=1
            )
            return await stack.enter_async_context(client)

        yield enter


@pytest.fixture
async def bench(world: World, calendar: Calendar, open_client: OpenClient) -> AsyncIterator[Bench]:
    async with DemoServer(world) as server:
        yield Bench(world, server, await open_client(server.base_url), calendar)


@pytest.fixture
def until() -> Until:
    """Wait until a condition is true; fail if it never is."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LONG_ENOUGH):
            while not condition():  # noqa: ASYNC110 - the program does not notify tests
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture
def at_war(bench: Bench) -> None:
    """Put the bench's clan in battle, with one attack."""
    bench.world.declare_war(bench.clan)
    bench.world.start_battle(bench.clan)
    bench.world.attack(bench.clan)


@pytest.fixture
def new_stream(bench: Bench, until: Until) -> Callable[..., DrivenStream]:
    return lambda **options: DrivenStream(bench, until, **options)
