"""A stop while the broker does not answer: what is on its way is delivered if it can be, and kept if it cannot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.service.observer import observing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.demo import DemoServer, World
    from tests.conftest import StartMosquitto
    from tests.service.bridges import BridgeProcess
    from tests.service.observer import Observer

    MakeBridge = Callable[[dict[str, Any]], BridgeProcess]
    MakeSettings = Callable[..., dict[str, Any]]
    Until = Callable[[], Awaitable[None]]


@pytest.fixture
def every_second(world: World, settings: MakeSettings) -> MakeSettings:
    def build(port: int) -> dict[str, Any]:
        return settings(port, watch={"clans": [{"tag": world.clan_tags[0], "interval": 1, "war": False}]})

    return build


@pytest.fixture
def until_polled_again(server: DemoServer, world: World) -> Callable[[], Awaitable[None]]:
    """Wait until the clan was asked for twice, so that the first answer is compared and stored by now."""

    async def wait() -> None:
        path = f"/v1/clans/{world.clan_tags[0]}"
        before = server.requests[path]
        async with asyncio.timeout(10):
            while server.requests[path] < before + 2:  # noqa: ASYNC110 - nothing tells of a request
                await asyncio.sleep(0.02)

    return wait


def joined(observer: Observer) -> list[Any]:
    return [one.data["id"] for one in observer.events if one.topic.endswith("/member_joined")]


async def test_events_of_the_last_seconds_are_delivered_before_a_stop_if_the_broker_comes_back_in_time(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, every_second: MakeSettings, until_polled_again: Until
) -> None:
    broker = mosquitto()
    running = bridge(every_second(broker.port))
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: observer.retained(state_of(world)), "a first look")
        broker.pause()
        world.join(world.clan_tags[0])
        await until_polled_again()
        stopping = asyncio.create_task(running.end())
        await asyncio.sleep(0.3)
        broker.resume()
        assert await stopping == 0
        await observer.until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "goodbye")
        assert len(joined(observer)) == 1
    assert "Traceback" not in running.log


async def test_events_of_the_last_seconds_are_delivered_after_the_next_start_if_the_broker_stays_away(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, every_second: MakeSettings, until_polled_again: Until
) -> None:
    broker = mosquitto()
    running = bridge(every_second(broker.port))
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: observer.retained(state_of(world)), "a first look")
        broker.pause()
        world.join(world.clan_tags[0])
        await until_polled_again()
        assert await running.end() == 0
        broker.kill()
    broker.start()
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: joined(observer), "the event")
        assert await running.end() == 0
        assert len(joined(observer)) == 1
    assert "Traceback" not in running.log


def state_of(world: World) -> str:
    return f"coc/clan/{world.clan_tags[0].removeprefix('#')}/state/clan"
