"""What a bridge says by itself from time to time, on simulated time."""

from __future__ import annotations

import asyncio

import pytest

from coc2mqtt.mqtt.client.inbox import Message
from tests.support.bridge_parts import DEVICE, STATUS, Moments, Parts
from tests.support.recording_session import running

pytestmark = pytest.mark.looptime

HEALTH, POLL, AVAILABILITY = "coc/bridge/health", "coc/clan/2PP/state/poll", "coc/clan/2PP/state/availability"
GHOST = "homeassistant/device/coc2mqtt_home_clan_8QQ/config"


async def test_news_has_health_said_soon_and_much_news_not_more_often_than_every_few_seconds() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(12)
        before = len(recording.at[HEALTH])
        for _ in range(100):
            parts.bridge.report()
            await asyncio.sleep(0.1)
        assert 2 <= len(recording.at[HEALTH]) - before <= 3
        parts.bridge.report()
        await asyncio.sleep(5.1)
        said = len(recording.at[HEALTH])
        await asyncio.sleep(20)
        assert len(recording.at[HEALTH]) == said, "without news it is half a minute"


async def test_when_the_api_last_answered_is_said_every_five_minutes_where_nothing_changes() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
        assert POLL not in recording.at, "nothing was polled yet"
        for minute in range(30):
            parts.watches.last_poll = 1_800_000_000.0 + 60 * minute
            await asyncio.sleep(60)
    assert 5 <= len(recording.at[POLL]) <= 6
    assert len(recording.at[AVAILABILITY]) == 1


async def test_a_clock_that_is_set_back_does_not_silence_that() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        for polled_at in (1_800_000_000.0, 1_799_990_000.0, 1_799_990_060.0):
            parts.watches.last_poll = polled_at
            await asyncio.sleep(60)
    assert len(recording.at[POLL]) == 2


async def test_what_went_after_home_assistants_last_will_is_remembered_also_where_it_was_born_a_moment_before() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
        for word in (b"online", b"offline"):
            recording.incoming.put_nowait(Message(STATUS, word))
            await asyncio.sleep(0.5)
        (watch,) = parts.watches.watches.values()
        parts.watches.watches.clear()
        parts.retained.mark_watch(watch)
        await asyncio.sleep(600)
        recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(60)
    assert [said is None for said in recording.published_on(DEVICE)] == [False, True, False, True]


async def test_what_is_left_of_another_time_is_taken_away_before_events_are_delivered() -> None:
    parts, recording = Parts(), Moments()
    recording.retained = [Message(GHOST, b"{}", retain=True)]
    await parts.journal.happen(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: any(not message.retain for message in recording.published))
        await recording.wait_until(lambda: "coc/clan/8QQ/state/availability" in recording.at)
    assert recording.published_on(GHOST) == [None]
    assert DEVICE in recording.topics


async def test_without_home_assistant_its_devices_are_taken_away_and_the_states_stay() -> None:
    parts, recording = Parts(home_assistant=False), Moments()
    recording.retained = [Message(DEVICE, b"{}", retain=True)]
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(5)
    assert recording.published_on(DEVICE) == [None]
    assert [topic for topic in recording.topics if topic.startswith("homeassistant")] == [DEVICE]
    assert recording.published_on(AVAILABILITY) == [{"state": "online"}]


async def test_a_clan_that_was_unwatched_while_home_assistant_was_away_is_removed_at_its_birth() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(10)
        recording.incoming.put_nowait(Message(STATUS, b"offline"))
        (watch,) = parts.watches.watches.values()
        parts.watches.watches.clear()
        parts.retained.mark_watch(watch)
        await asyncio.sleep(600)
        assert [said is None for said in recording.published_on(DEVICE)] == [False, True]
        recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(60)
    assert [said is None for said in recording.published_on(DEVICE)] == [False, True, False, True]
