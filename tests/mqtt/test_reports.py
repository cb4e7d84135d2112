"""Periodic reports and cleanups of a bridge, on simulated time."""

from __future__ import annotations

import asyncio

import pytest

from coc2mqtt.mqtt.client.messages import Message
from tests.support.bridge_parts import DEVICE, STATUS, Parts, TimedSession
from tests.support.recording_session import running

pytestmark = pytest.mark.looptime

HEALTH, POLL, AVAILABILITY = "coc/bridge/health", "coc/clan/2PP/state/poll", "coc/clan/2PP/state/availability"
ORPHAN = "homeassistant/device/coc2mqtt_home_clan_8QQ/config"


async def test_health_is_published_soon_after_change_but_at_most_every_5_s() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(12)
        before = len(recording.published_at[HEALTH])
        for _ in range(100):
            parts.bridge.health_changed()
            await asyncio.sleep(0.1)
        assert 2 <= len(recording.published_at[HEALTH]) - before <= 3
        parts.bridge.health_changed()
        await asyncio.sleep(5.1)
        count = len(recording.published_at[HEALTH])
        await asyncio.sleep(20)
        assert len(recording.published_at[HEALTH]) == count, "without a change the interval is 30 s"


async def test_poll_time_is_published_every_five_minutes_without_changes() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
        assert POLL not in recording.published_at, "nothing was polled yet"
        for minute in range(30):
            parts.watches.last_poll = 1_800_000_000.0 + 60 * minute
            await asyncio.sleep(60)
    assert 5 <= len(recording.published_at[POLL]) <= 6
    assert len(recording.published_at[AVAILABILITY]) == 1


async def test_poll_time_is_published_after_clock_was_set_back() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        for polled_at in (1_800_000_000.0, 1_799_990_000.0, 1_799_990_060.0):
            parts.watches.last_poll = polled_at
            await asyncio.sleep(60)
    assert len(recording.published_at[POLL]) == 2


async def test_device_removed_after_last_will_is_removed_again_at_next_birth() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
        for status in (b"online", b"offline"):
            recording.incoming.put_nowait(Message(STATUS, status))
            await asyncio.sleep(0.5)
        (watch,) = parts.watches.watches.values()
        parts.watches.watches.clear()
        parts.retained.mark_watch(watch)
        await asyncio.sleep(600)
        recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(60)
    assert [payload is None for payload in recording.published_on(DEVICE)] == [False, True, False, True]


async def test_orphaned_topics_are_removed_before_events_are_delivered() -> None:
    parts, recording = Parts(), TimedSession()
    recording.retained = [Message(ORPHAN, b"{}", retain=True)]
    await parts.journal.add_event(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: any(not message.retain for message in recording.published))
        await recording.wait_until(lambda: "coc/clan/8QQ/state/availability" in recording.published_at)
    assert recording.published_on(ORPHAN) == [None]
    assert DEVICE in recording.topics


async def test_devices_are_removed_and_states_kept_without_home_assistant() -> None:
    parts, recording = Parts(home_assistant=False), TimedSession()
    recording.retained = [Message(DEVICE, b"{}", retain=True)]
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(5)
    assert recording.published_on(DEVICE) == [None]
    assert [topic for topic in recording.topics if topic.startswith("homeassistant")] == [DEVICE]
    assert recording.published_on(AVAILABILITY) == [{"state": "online"}]


async def test_device_removed_while_home_assistant_is_offline_is_removed_at_birth() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(10)
        recording.incoming.put_nowait(Message(STATUS, b"offline"))
        (watch,) = parts.watches.watches.values()
        parts.watches.watches.clear()
        parts.retained.mark_watch(watch)
        await asyncio.sleep(600)
        assert [payload is None for payload in recording.published_on(DEVICE)] == [False, True]
        recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(60)
    assert [payload is None for payload in recording.published_on(DEVICE)] == [False, True, False, True]
