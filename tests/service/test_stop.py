"""A stop while the broker does not respond: pending events are delivered before the stop or after the next start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.broker import Mosquitto
from tests.support.observer import Observer, observing, observing_bridge
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coc2mqtt.demo import DemoServer, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.process

WithPendingEvent = Callable[[Mosquitto], AbstractAsyncContextManager[tuple[Observer, BridgeProcess]]]


@pytest.fixture
def with_pending_event(
    server: DemoServer, world: World, bridge: MakeBridge, settings: MakeSettings
) -> WithPendingEvent:
    """Start a bridge, pause its broker, and let the bridge store an event that it cannot deliver."""
    clan = world.clan_tags[0]
    path = f"/v1/clans/{clan}"

    @asynccontextmanager
    async def start(broker: Mosquitto) -> AsyncIterator[tuple[Observer, BridgeProcess]]:
        running = bridge(settings(broker.port, watch={"clans": [{"tag": clan, "interval": 1, "war": False}]}))
        async with observing_bridge(running, broker.port, clan) as observer:
            broker.pause()
            world.join(clan)
            before = server.requests[path]
            async with asyncio.timeout(LONG_ENOUGH):
                # When the second request arrives, the response to the first one is compared and stored.
                while server.requests[path] < before + 2:  # noqa: ASYNC110 - nothing notifies about a request
                    await asyncio.sleep(0.02)
            yield observer, running

    return start


def joined_events(observer: Observer) -> list[Any]:
    return [event for event in observer.events if event.topic.endswith("/member_joined")]


async def test_stop_delivers_pending_events_if_the_broker_resumes_in_time(
    mosquitto: StartMosquitto, with_pending_event: WithPendingEvent
) -> None:
    broker = mosquitto()
    async with with_pending_event(broker) as (observer, running):
        stopping = asyncio.create_task(running.stop())
        await asyncio.sleep(0.3)
        broker.resume()
        assert await stopping == 0
        await observer.wait_for_bridge_state("offline")
        assert len(joined_events(observer)) == 1
    assert "Traceback" not in running.log


async def test_next_start_delivers_pending_events_if_the_broker_hung_during_the_stop(
    mosquitto: StartMosquitto, with_pending_event: WithPendingEvent
) -> None:
    broker = mosquitto()
    async with with_pending_event(broker) as (_, running):
        assert await running.stop() == 0
        broker.kill()
    broker.start()
    async with observing(broker.port) as observer:
        await running.start()
        await observer.wait_until(lambda: joined_events(observer), "the event")
        assert await running.stop() == 0
        assert len(joined_events(observer)) == 1
    assert "Traceback" not in running.log
