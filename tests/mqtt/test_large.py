"""Tests of a bridge with thousands of watches, in simulated time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.mqtt.payloads.models import WatchesPayload
from coc2mqtt.mqtt.reports import watches_payload
from tests.support.bodies import clan
from tests.support.bridge_parts import EVENT, Parts, TimedSession
from tests.support.control import WatchesInMemory
from tests.support.recording_session import running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.looptime

WATCHES, POLL = "coc/bridge/watches", "coc/clan/2PP/state/poll"


def clan_watches(count: int) -> Iterator[Watch]:
    """Yield watches of clans other than #2PP."""
    alphabet = "0289PYLQGRJCUV"
    for number in range(count):
        tag = "".join(alphabet[number // 14**place % 14] for place in range(4))
        yield Watch(Kind.CLAN, f"#Q{tag}", 60.0, war=False)


def bridge_with(count: int, *, home_assistant: bool = True) -> Parts:
    parts = Parts(home_assistant=home_assistant)
    for watch in clan_watches(count):
        parts.watches.watches[watch.kind, watch.tag] = watch
        parts.journal.snapshots[Resource(watch.kind, watch.tag)] = Snapshot(clan(tag=watch.tag))
    return parts


async def test_events_are_published_before_thousands_of_states() -> None:
    parts, recording = bridge_with(1200), TimedSession(publish_time_s=0.1)
    await parts.journal.add_event(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)
        states = sum(topic.endswith("/clan") for topic in recording.topics)
    assert states < 100
    assert recording.published_at[EVENT][0] - recording.published_at["coc/bridge/state"][0] < 1.0


async def test_events_wait_only_seconds_for_hundreds_of_slow_states() -> None:
    parts, recording = bridge_with(400), TimedSession(publish_time_s=0.5)
    await parts.journal.add_event(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)
    assert 3.0 <= recording.published_at[EVENT][0] - recording.published_at["coc/bridge/state"][0] <= 5.0


async def test_long_watches_payload_is_published_at_once_then_at_intervals() -> None:
    parts, recording = bridge_with(1500), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(30)
        assert len(recording.published_at[WATCHES]) == 1
        for _ in range(100):
            parts.bridge.watches_changed()
            await asyncio.sleep(0.1)
        await asyncio.sleep(30)
    first, *others = recording.published_at[WATCHES]
    assert 2 <= len(others) <= 4
    assert others[0] - first == pytest.approx(30, abs=1), "a change after a quiet time is published at once"
    assert len(recording.published_on(WATCHES)[-1]["watches"]) == 1501


async def test_watches_payload_equals_the_payload_built_in_one_go() -> None:
    watches = WatchesInMemory(
        [*clan_watches(250), Watch(Kind.PLAYER, "#8QQ", 90.5, include_fields=frozenset({"b", "a"}))]
    )
    described = [await watches.describe(watch) for watch in watches.watches.values()]
    assert await watches_payload(watches) == WatchesPayload(watches=described).encode()
    assert await watches_payload(WatchesInMemory()) == WatchesPayload(watches=[]).encode()


async def test_poll_states_of_hundreds_of_watches_are_published_gradually() -> None:
    parts, recording = bridge_with(600, home_assistant=False), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(10)
        parts.watches.last_poll = 1_800_000_000.0
        await asyncio.sleep(10)
        published = sum(topic.endswith("/poll") for topic in recording.topics)
        await asyncio.sleep(45)
    assert 150 <= published <= 250
    assert sum(topic.endswith("/poll") for topic in recording.topics) == 601
    assert len(recording.published_at[POLL]) == 1


async def test_poll_state_is_published_without_reading_the_snapshot() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(10)
        before = len(recording.topics)
        parts.watches.last_poll = 1_800_000_000.0
        parts.journal.snapshots.clear()
        await asyncio.sleep(40)
        topics = [topic for topic in recording.topics[before:] if "bridge" not in topic]
    assert topics == [POLL]
