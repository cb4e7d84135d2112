"""The first events of watches that are added while the bridge is connected, on simulated time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.mqtt.client.errors import PublishDeniedError
from coc2mqtt.mqtt.publish import new_devices
from tests.support.bodies import clan
from tests.support.bridge_parts import CLAN, EVENT, Parts, TimedSession
from tests.support.recording_session import RecordingSession, event_number, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.looptime

WATCH = Watch(Kind.CLAN, "#8QQ", 60.0, members=False)
NEW, WAR, PLAYER = (Resource(kind, "#8QQ") for kind in (Kind.CLAN, Kind.WAR, Kind.PLAYER))
DEVICE, NEW_EVENT = "homeassistant/device/coc2mqtt_home_clan_8QQ/config", "coc/clan/8QQ/clan_updated"
PLAYER_EVENT = "coc/player/8QQ/clan_updated"
UNAVAILABLE = Snapshot(None, {"unavailable": True})


class Bench(Parts):
    """A bridge that a test adds watches to."""

    def add(self, watch: Watch = WATCH) -> None:
        """Add a watch, as the watch list does."""
        self.watches.watches[watch.kind, watch.tag] = watch
        self.new_devices.add(watch)
        self.retained.mark_watch(watch)

    def remove(self, watch: Watch = WATCH) -> None:
        """Remove a watch, as the watch list does."""
        del self.watches.watches[watch.kind, watch.tag]
        self.new_devices.discard(watch)
        self.retained.mark_watch(watch)

    def poll(self, snapshot: Snapshot = UNAVAILABLE) -> None:
        """Store the first snapshot of the new clan."""
        self.journal.snapshots[NEW] = snapshot
        self.retained.mark(NEW)


@asynccontextmanager
async def serving(bench: Bench, recording: RecordingSession) -> AsyncIterator[None]:
    """Serve a connection, and add a watch when everything else is published."""
    async with running(bench.bridge.serve(recording.session)):
        await asyncio.sleep(10)
        bench.add()
        yield


def elapsed(recording: TimedSession, topic: str, since: float) -> list[float]:
    return [round(at - since, 2) for at in recording.published_at.get(topic, [])]


@pytest.mark.parametrize("snapshot", [UNAVAILABLE, Snapshot(clan(tag="#8QQ"))], ids=["unavailable", "available"])
async def test_first_event_of_added_watch_waits_for_its_device_and_others_do_not(snapshot: Snapshot) -> None:
    bench, recording = Bench(), TimedSession()
    async with serving(bench, recording):
        started = asyncio.get_running_loop().time()
        for number, resource in enumerate((NEW, WAR, CLAN, PLAYER) * 3, start=1):
            await bench.journal.add_event(number, resource)
        await asyncio.sleep(3)
        bench.poll(snapshot)
        await asyncio.sleep(10)
    assert elapsed(recording, DEVICE, started) == [3.0]
    assert elapsed(recording, NEW_EVENT, started) == [4.0] * 6
    assert elapsed(recording, EVENT, started) == elapsed(recording, PLAYER_EVENT, started) == [0.0] * 3
    published = [message for message in recording.published if message.topic == NEW_EVENT]
    assert [event_number(message) for message in published] == [1, 2, 5, 6, 9, 10]


async def test_events_of_a_device_that_is_not_announced_wait_for_15_seconds() -> None:
    bench, recording = Bench(), TimedSession()
    async with serving(bench, recording):
        await asyncio.sleep(100)
        started = asyncio.get_running_loop().time()
        await bench.journal.add_event(1, NEW)
        await asyncio.sleep(5)
        await bench.journal.add_event(2, NEW)
        await asyncio.sleep(20)
        await bench.journal.add_event(3, NEW)
        await asyncio.sleep(1)
    assert elapsed(recording, NEW_EVENT, started) == [15.0, 15.0, 25.0]


async def test_events_after_the_first_second_of_a_device_do_not_wait() -> None:
    bench, recording = Bench(), TimedSession()
    async with serving(bench, recording):
        bench.poll()
        await asyncio.sleep(1.2)
        started = asyncio.get_running_loop().time()
        await bench.journal.add_event(1, NEW)
        await asyncio.sleep(1)
    assert elapsed(recording, NEW_EVENT, started) == [0.0]


async def test_rejected_device_delays_its_events_by_a_second_only() -> None:
    async def reject(topic: str, _payload: bytes) -> None:
        if topic == DEVICE:
            raise PublishDeniedError("allow the topic")

    bench, recording = Bench(), RecordingSession(reject)
    async with serving(bench, recording):
        bench.poll()
        await bench.journal.add_event(1, NEW)
        await asyncio.sleep(0.9)
        assert NEW_EVENT not in recording.topics
        await asyncio.sleep(0.5)
        assert NEW_EVENT in recording.topics


async def test_removed_watch_releases_its_events() -> None:
    bench, recording = Bench(), TimedSession()
    async with serving(bench, recording):
        started = asyncio.get_running_loop().time()
        await bench.journal.add_event(1, NEW)
        await asyncio.sleep(2)
        bench.remove()
        await asyncio.sleep(1)
    assert elapsed(recording, NEW_EVENT, started) == [2.0]


async def test_watch_added_again_waits_for_its_new_device() -> None:
    bench, recording = Bench(), TimedSession()
    async with serving(bench, recording):
        bench.poll()
        await asyncio.sleep(0.5)
        bench.remove()
        await asyncio.sleep(0.1)
        bench.add()
        bench.poll()
        await bench.journal.add_event(1, NEW)
        await asyncio.sleep(10)
    announced = recording.published_at[DEVICE][-1]
    assert elapsed(recording, NEW_EVENT, announced) == [1.0]


async def test_held_events_are_published_once_over_the_next_connection() -> None:
    bench, first, second = Bench(), TimedSession(), TimedSession()
    async with serving(bench, first):
        for number in range(1, 4):
            await bench.journal.add_event(number, NEW)
        await asyncio.sleep(5)
    assert NEW_EVENT not in first.topics
    async with running(bench.bridge.serve(second.session)):
        await asyncio.sleep(5)
        assert NEW_EVENT not in second.topics
        bench.poll()
        await asyncio.sleep(5)
    numbers = [event_number(message) for message in second.published if message.topic == NEW_EVENT]
    assert numbers == [1, 2, 3]
    assert elapsed(second, NEW_EVENT, second.published_at[DEVICE][0]) == [1.0] * 3


async def test_events_of_a_device_are_in_order_while_earlier_ones_are_released() -> None:
    bench, recording = Bench(), TimedSession(publish_time_s=0.01)
    async with serving(bench, recording):
        bench.poll()
        for number in range(1, 401):
            await bench.journal.add_event(number, NEW)
            await asyncio.sleep(0.005)
        await asyncio.sleep(10)
    numbers = [event_number(message) for message in recording.published if message.topic == NEW_EVENT]
    assert numbers == list(range(1, 401))


async def test_held_events_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_devices, "_MAX_HELD_EVENTS", 50)
    bench, recording = Bench(), TimedSession()
    async with serving(bench, recording):
        for number in range(1, 101):
            await bench.journal.add_event(number, NEW)
        await asyncio.sleep(1)
    numbers = [event_number(message) for message in recording.published if message.topic == NEW_EVENT]
    assert numbers == list(range(1, 101))


async def test_without_home_assistant_no_event_waits() -> None:
    bench, recording = Bench(home_assistant=False), TimedSession()
    async with serving(bench, recording):
        await bench.journal.add_event(1, NEW)
        await recording.wait_until(lambda: NEW_EVENT in recording.topics)
