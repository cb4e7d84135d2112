"""A stop while the broker does not answer: what is on its way is delivered if it can be, and kept if it cannot."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.observer import observing
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from coc2mqtt.demo import DemoServer, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import BridgeProcess
    from tests.support.broker import Mosquitto
    from tests.support.observer import Observer

    MakeBridge = Callable[[dict[str, Any]], BridgeProcess]
    MakeSettings = Callable[..., dict[str, Any]]
    InAHang = Callable[[Mosquitto], AbstractAsyncContextManager[tuple[Observer, BridgeProcess]]]

pytestmark = pytest.mark.process


@pytest.fixture
def in_a_hang(server: DemoServer, world: World, bridge: MakeBridge, settings: MakeSettings) -> InAHang:
    """Start a bridge, and have it see and store that somebody joins while its broker hangs."""
    clan = world.clan_tags[0]
    path, state = f"/v1/clans/{clan}", f"coc/clan/{clan.removeprefix('#')}/state/clan"

    @asynccontextmanager
    async def begin(broker: Mosquitto) -> AsyncIterator[tuple[Observer, BridgeProcess]]:
        running = bridge(settings(broker.port, watch={"clans": [{"tag": clan, "interval": 1, "war": False}]}))
        async with observing(broker.port) as observer:
            await running.start()
            await observer.until(lambda: observer.retained(state), "a first look")
            broker.pause()
            world.join(clan)
            before = server.requests[path]
            async with asyncio.timeout(LONG_ENOUGH):
                # After the second request the answer to the first one is compared and stored.
                while server.requests[path] < before + 2:  # noqa: ASYNC110 - nothing tells of a request
                    await asyncio.sleep(0.02)
            yield observer, running

    return begin


def joined(observer: Observer) -> list[Any]:
    return [one.data["id"] for one in observer.events if one.topic.endswith("/member_joined")]


async def test_events_of_the_last_seconds_are_delivered_before_a_stop_if_the_broker_comes_back_in_time(
    mosquitto: StartMosquitto, in_a_hang: InAHang
) -> None:
    broker = mosquitto()
    async with in_a_hang(broker) as (observer, running):
        stopping = asyncio.create_task(running.end())
        await asyncio.sleep(0.3)
        broker.resume()
        assert await stopping == 0
        await observer.until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "goodbye")
        assert len(joined(observer)) == 1
    assert "Traceback" not in running.log


async def test_events_of_the_last_seconds_are_delivered_after_the_next_start_if_the_broker_stays_away(
    mosquitto: StartMosquitto, in_a_hang: InAHang
) -> None:
    broker = mosquitto()
    async with in_a_hang(broker) as (_, running):
        assert await running.end() == 0
        broker.kill()
    broker.start()
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: joined(observer), "the event")
        assert await running.end() == 0
        assert len(joined(observer)) == 1
    assert "Traceback" not in running.log
