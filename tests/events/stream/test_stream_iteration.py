"""Taking events from a stream one by one, and what is left in it when it stops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.demo import World
from coc2mqtt.events import Event, EventStream, EventType
from coc2mqtt.events.resource import Kind
from tests.support.dict_clients import WorldClient
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.conftest import Calendar
    from tests.support.driven_stream import Watched


def pending(stream: EventStream) -> int:
    return len(stream._state.unacknowledged())


async def test_anext_returns_events_and_acknowledges_the_one_before(watched: Callable[..., Watched]) -> None:
    one = watched()
    async with one.stream, asyncio.timeout(LONG_ENOUGH):
        await one.baseline()
        await one.join()
        assert (await anext(one.stream)).event_type is EventType.CLAN_UPDATED
        assert pending(one.stream) == 2
        assert (await anext(one.stream)).event_type is EventType.MEMBER_JOINED
        assert pending(one.stream) == 1


async def test_anext_that_timed_out_can_be_called_again(watched: Callable[..., Watched]) -> None:
    one = watched()
    async with one.stream:
        await one.baseline()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(one.stream), 0.001)
        await one.join()
        async with asyncio.timeout(LONG_ENOUGH):
            assert (await anext(one.stream)).event_type is EventType.CLAN_UPDATED
            assert (await anext(one.stream)).event_type is EventType.MEMBER_JOINED


async def test_event_that_arrives_while_anext_is_cancelled_is_returned_next(watched: Callable[..., Watched]) -> None:
    one = watched()
    async with one.stream:
        await one.baseline()
        for number in range(5):
            waiting = asyncio.ensure_future(anext(one.stream))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            event = Event(EventType.CLAN_UPDATED, one.bench.clan)
            one.stream._queue.put_nowait(event)
            for _ in range(number):
                await asyncio.sleep(0)
            if not waiting.done():
                waiting.cancel()
            try:
                taken = await waiting
            except asyncio.CancelledError:
                async with asyncio.timeout(LONG_ENOUGH):
                    taken = await anext(one.stream)
            assert taken is event


async def test_events_in_the_queue_are_still_returned_after_stop(watched: Callable[..., Watched]) -> None:
    one = watched()
    async with one.stream:
        await one.baseline()
        await one.join()
    assert [event.event_type.value async for event in one.stream] == ["clan_updated", "member_joined"]
    assert pending(one.stream) == 0
    with pytest.raises(StopAsyncIteration):
        await anext(one.stream)


async def test_callbacks_get_the_events_in_the_queue_after_stop(watched: Callable[..., Watched]) -> None:
    one = watched()
    seen: list[str] = []

    @one.stream.on()
    async def stop_at_once(event: Event) -> None:
        await one.stream.stop()
        seen.append(event.event_type.value)

    async with one.stream:
        await one.baseline()
        await one.join()
        async with asyncio.timeout(LONG_ENOUGH):
            await one.stream.run()
    assert seen == ["clan_updated", "member_joined"]


async def test_iteration_of_an_earlier_run_ends_and_the_next_run_delivers_again(
    watched: Callable[..., Watched],
) -> None:
    one = watched()
    async with one.stream:
        await one.baseline()
        await one.join()
        iteration = aiter(one.stream)
        first = await anext(iteration)
    async with one.stream, asyncio.timeout(LONG_ENOUGH):
        with pytest.raises(StopAsyncIteration):
            await anext(iteration)
        assert await anext(one.stream) is first, "nobody had asked for the next one when the stream stopped"


async def test_stream_that_was_never_started_has_no_events(watched: Callable[..., Watched]) -> None:
    assert [event async for event in watched().stream] == []


def test_watches_can_be_registered_before_an_event_loop_runs(calendar: Calendar) -> None:
    world = World(now=calendar, members=10, players=1)
    clan, player = world.clan_tags[0], world.player_tags[0]
    client = WorldClient(world)
    stream = EventStream(client).watch_clans([clan], interval=60).watch_wars([clan]).watch_players([player])
    stream.watch_maintenance().watch_players(["#TAG1"])
    stream.watch_clans([clan], interval=30)
    assert stream.unwatch(Kind.PLAYER, "#TAG1")

    async def collect() -> Event:
        async with stream, asyncio.timeout(LONG_ENOUGH):
            while stream._engine.metrics.polls < 4:  # noqa: ASYNC110 - the engine announces no polls
                await asyncio.sleep(0.001)
            world.gain_points(clan)
            stream._engine.poll_now(Kind.CLAN, clan)
            return await anext(stream)

    assert asyncio.run(collect()).event_type is EventType.CLAN_UPDATED
    assert {kind for kind, _ in client.asked} == {"clan", "war", "player"}
