"""Iterating over a stream's events, also after it was stopped."""

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
    from tests.support.driven_stream import DrivenStream


def pending(stream: EventStream) -> int:
    return len(stream._state.unacknowledged())


async def test_anext_returns_an_event_and_acknowledges_the_previous_one(
    new_stream: Callable[..., DrivenStream],
) -> None:
    driven = new_stream()
    async with driven.stream, asyncio.timeout(LONG_ENOUGH):
        await driven.wait_for_baseline()
        await driven.join_member()
        assert (await anext(driven.stream)).event_type is EventType.CLAN_UPDATED
        assert pending(driven.stream) == 2
        assert (await anext(driven.stream)).event_type is EventType.MEMBER_JOINED
        assert pending(driven.stream) == 1


async def test_anext_that_timed_out_can_be_called_again(new_stream: Callable[..., DrivenStream]) -> None:
    driven = new_stream()
    async with driven.stream:
        await driven.wait_for_baseline()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(driven.stream), 0.001)
        await driven.join_member()
        async with asyncio.timeout(LONG_ENOUGH):
            assert (await anext(driven.stream)).event_type is EventType.CLAN_UPDATED
            assert (await anext(driven.stream)).event_type is EventType.MEMBER_JOINED


async def test_event_that_arrives_while_anext_is_cancelled_is_returned_next(
    new_stream: Callable[..., DrivenStream],
) -> None:
    driven = new_stream()
    async with driven.stream:
        await driven.wait_for_baseline()
        for number in range(5):
            waiting = asyncio.ensure_future(anext(driven.stream))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            event = Event(EventType.CLAN_UPDATED, driven.bench.clan)
            driven.stream._queue.put_nowait(event)
            for _ in range(number):
                await asyncio.sleep(0)
            if not waiting.done():
                waiting.cancel()
            try:
                taken = await waiting
            except asyncio.CancelledError:
                async with asyncio.timeout(LONG_ENOUGH):
                    taken = await anext(driven.stream)
            assert taken is event


async def test_events_in_the_queue_are_still_returned_after_stop(new_stream: Callable[..., DrivenStream]) -> None:
    driven = new_stream()
    async with driven.stream:
        await driven.wait_for_baseline()
        await driven.join_member()
    assert [event.event_type.value async for event in driven.stream] == ["clan_updated", "member_joined"]
    assert pending(driven.stream) == 0
    with pytest.raises(StopAsyncIteration):
        await anext(driven.stream)


async def test_callbacks_get_the_events_in_the_queue_after_stop(new_stream: Callable[..., DrivenStream]) -> None:
    driven = new_stream()
    seen: list[str] = []

    @driven.stream.on()
    async def stop_at_once(event: Event) -> None:
        await driven.stream.stop()
        seen.append(event.event_type.value)

    async with driven.stream:
        await driven.wait_for_baseline()
        await driven.join_member()
        async with asyncio.timeout(LONG_ENOUGH):
            await driven.stream.run()
    assert seen == ["clan_updated", "member_joined"]


async def test_iteration_of_an_earlier_run_ends_and_its_event_is_redelivered(
    new_stream: Callable[..., DrivenStream],
) -> None:
    driven = new_stream()
    async with driven.stream:
        await driven.wait_for_baseline()
        await driven.join_member()
        iteration = aiter(driven.stream)
        first = await anext(iteration)
    async with driven.stream, asyncio.timeout(LONG_ENOUGH):
        with pytest.raises(StopAsyncIteration):
            await anext(iteration)
        assert await anext(driven.stream) is first, "the next event was not requested before the stream stopped"


async def test_stream_that_was_never_started_has_no_events(new_stream: Callable[..., DrivenStream]) -> None:
    assert [event async for event in new_stream().stream] == []


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
            while stream._engine.metrics.polls < 4:  # noqa: ASYNC110 - the engine does not notify of polls
                await asyncio.sleep(0.001)
            world.gain_points(clan)
            stream._engine.poll_now(Kind.CLAN, clan)
            return await anext(stream)

    assert asyncio.run(collect()).event_type is EventType.CLAN_UPDATED
    assert {kind for kind, _ in client.requests} == {"clan", "war", "player"}
