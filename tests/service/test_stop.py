"""A stop while the broker does not answer: what is on its way is delivered if it can be, and kept if it cannot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.service.observer import observing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.demo import DemoServer, World
    from tests.brokers import Mosquitto
    from tests.conftest import StartMosquitto
    from tests.service.bridges import BridgeProcess
    from tests.service.observer import Observer

    MakeBridge = Callable[[dict[str, Any]], BridgeProcess]
    MakeSettings = Callable[..., dict[str, Any]]
    SeeAChange = Callable[[Observer, Mosquitto], Awaitable[None]]


@pytest.fixture
def every_second(world: World, settings: MakeSettings) -> MakeSettings:
    def build(port: int) -> dict[str, Any]:
        return settings(port, watch={"clans": [{"tag": world.clan_tags[0], "interval": 1, "war": False}]})

    return build


@pytest.fixture
def see_a_change_in_a_hang(server: DemoServer, world: World) -> SeeAChange:
    """Have the bridge, which has just been started, see somebody join while its broker hangs, and store that."""
    clan = world.clan_tags[0]

    async def see(observer: Observer, broker: Mosquitto) -> None:
        state = f"coc/clan/{clan.removeprefix('#')}/state/clan"
        await observer.until(lambda: observer.retained(state), "a first look")
        broker.pause()
        world.join(clan)
        before = server.requests[f"/v1/clans/{clan}"]
        async with asyncio.timeout(10):
            # After the second request the answer to the first one is compared and stored.
            while server.requests[f"/v1/clans/{clan}"] < before + 2:  # noqa: ASYNC110 - nothing tells of a request
                await asyncio.sleep(0.02)

    return see


def joined(observer: Observer) -> list[Any]:
    return [one.data["id"] for one in observer.events if one.topic.endswith("/member_joined")]


async def test_events_of_the_last_seconds_are_delivered_before_a_stop_if_the_broker_comes_back_in_time(
    mosquitto: StartMosquitto, bridge: MakeBridge, every_second: MakeSettings, see_a_change_in_a_hang: SeeAChange
) -> None:
    broker = mosquitto()
    running = bridge(every_second(broker.port))
    async with observing(broker.port) as observer:
        await running.start()
        await see_a_change_in_a_hang(observer, broker)
        stopping = asyncio.create_task(running.end())
        await asyncio.sleep(0.3)
        broker.resume()
        assert await stopping == 0
        await observer.until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "goodbye")
        assert len(joined(observer)) == 1
    assert "Traceback" not in running.log


async def test_events_of_the_last_seconds_are_delivered_after_the_next_start_if_the_broker_stays_away(
    mosquitto: StartMosquitto, bridge: MakeBridge, every_second: MakeSettings, see_a_change_in_a_hang: SeeAChange
) -> None:
    broker = mosquitto()
    running = bridge(every_second(broker.port))
    async with observing(broker.port) as observer:
        await running.start()
        await see_a_change_in_a_hang(observer, broker)
        assert await running.end() == 0
        broker.kill()
    broker.start()
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: joined(observer), "the event")
        assert await running.end() == 0
        assert len(joined(observer)) == 1
    assert "Traceback" not in running.log
