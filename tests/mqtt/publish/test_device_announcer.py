"""Announcing devices over a session that records what is published, on simulated time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.homeassistant import DiscoveryMessage
from coc2mqtt.mqtt.client.errors import ConnectionLostError
from coc2mqtt.mqtt.publish.device_announcer import MIN_REPEAT_S, SPACING_S, DeviceAnnouncer
from tests.support.recording_session import RecordingSession, running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.session import Session

pytestmark = pytest.mark.looptime

DEVICE, OTHER = "homeassistant/device/coc2mqtt_home_clan_2PP/config", "homeassistant/device/coc2mqtt_home_bridge/config"


def device(*keys: str, name: str = "The Order", topic: str = DEVICE) -> DiscoveryMessage:
    components = {key: {"platform": "sensor", "unique_id": key} for key in keys}
    return DiscoveryMessage(topic, orjson.dumps({"device": {"name": name}, "components": components}))


REMOVAL = DiscoveryMessage(DEVICE, b"")


class AnnouncerHarness:
    """An announcer whose published messages and their times are recorded."""

    def __init__(self, before: Callable[[str, bytes], Awaitable[None]] | None = None) -> None:
        self.recording = RecordingSession(before)
        self.at: list[float] = []
        self.rejecting = False
        self.announcer = DeviceAnnouncer(self._publish)
        self.announcer.on_connected()

    async def _publish(self, session: Session, topic: str, payload: bytes) -> bool:
        self.at.append(asyncio.get_running_loop().time())
        await session.publish(topic, payload, retain=True)
        return not self.rejecting

    async def publish_pending(self) -> list[Any]:
        """Publish all pending devices; return the payloads that were published, None for a removal."""
        before = len(self.recording.published)
        async with running(self.announcer.run(self.recording.session)):
            await self.announcer.wait_idle()
        return [one.data if one.payload else None for one in self.recording.published[before:]]


def components(payloads: list[Any]) -> list[dict[str, str] | None]:
    """Return for each payload which components it defines ("set") and which it removes ("removed")."""
    return [
        None
        if payload is None
        else {key: "removed" if part.keys() == {"platform"} else "set" for key, part in payload["components"].items()}
        for payload in payloads
    ]


async def test_several_requests_in_a_row_publish_the_last_one_once() -> None:
    harness = AnnouncerHarness()
    for name in ("One", "Two", "Three"):
        harness.announcer.announce(device("level", name=name))
    assert [one["device"]["name"] for one in await harness.publish_pending()] == ["Three"]


async def test_unchanged_device_is_published_again_only_after_home_assistant_starts() -> None:
    harness = AnnouncerHarness()
    harness.announcer.announce(device("level"))
    assert len(await harness.publish_pending()) == 1
    harness.announcer.announce(device("level"))
    assert await harness.publish_pending() == []
    harness.announcer.on_ha_online()
    harness.announcer.announce(device("level"))
    assert len(await harness.publish_pending()) == 1


async def test_same_device_is_announced_at_most_every_two_seconds() -> None:
    harness = AnnouncerHarness()
    for name in ("One", "Two", "Three"):
        harness.announcer.announce(device("level", name=name))
        await harness.publish_pending()
    first, second, third = harness.at
    assert second - first >= MIN_REPEAT_S
    assert third - second >= MIN_REPEAT_S


async def test_different_devices_are_announced_with_a_delay_in_between() -> None:
    harness = AnnouncerHarness()
    for number in range(20):
        harness.announcer.announce(device("level", topic=f"homeassistant/device/{number}/config"))
    await harness.publish_pending()
    assert [at - harness.at[0] for at in harness.at] == pytest.approx([number * SPACING_S for number in range(20)])


async def test_waiting_device_does_not_block_others() -> None:
    harness = AnnouncerHarness()
    harness.announcer.announce(device("level"))
    await harness.publish_pending()
    harness.announcer.announce(device("level", name="Another"))
    harness.announcer.announce(device("queue", topic=OTHER))
    await harness.publish_pending()
    assert harness.recording.topics == [DEVICE, OTHER, DEVICE]


async def test_devices_in_the_background_are_published_after_all_others() -> None:
    harness = AnnouncerHarness()
    background = [f"homeassistant/device/{number}/config" for number in range(50)]
    for topic in background:
        harness.announcer.announce(device("level", topic=topic), background=True)
    harness.announcer.announce(device("level"))
    harness.announcer.announce(device("queue", topic=OTHER))
    await harness.publish_pending()
    assert harness.recording.topics == [DEVICE, OTHER, *background]


async def test_removed_devices_leave_nothing_in_memory_however_long_their_removal_takes() -> None:
    harness = AnnouncerHarness()
    topics = [f"homeassistant/device/{number}/config" for number in range(50)]
    for topic in topics:
        harness.announcer.announce(device("level", topic=topic))
    await harness.publish_pending()
    for topic in topics:
        harness.announcer.announce(DiscoveryMessage(topic, b""))
        harness.announcer.forget(topic)
    await asyncio.sleep(60)  # without a connection
    await harness.publish_pending()
    await asyncio.sleep(2 * MIN_REPEAT_S)
    assert [harness.announcer.matches_published(topic, b"") for topic in topics] == [None] * 50
    assert not harness.announcer._devices


async def test_component_of_an_earlier_version_is_removed_before_it_is_left_out() -> None:
    harness = AnnouncerHarness()
    harness.announcer.on_found(DEVICE, device("level", "old").payload)
    harness.announcer.announce(device("level"))
    assert components(await harness.publish_pending()) == [{"level": "set", "old": "removed"}, {"level": "set"}]
    harness.announcer.announce(device("level", name="Another"))
    assert components(await harness.publish_pending()) == [{"level": "set"}]


async def test_unknown_device_is_removed_once() -> None:
    harness = AnnouncerHarness()
    harness.announcer.announce(REMOVAL)
    assert await harness.publish_pending() == [None]
    harness.announcer.on_connected()
    harness.announcer.announce(REMOVAL)
    assert not harness.announcer.is_pending(DEVICE)
    assert await harness.publish_pending() == []


async def test_device_removed_before_its_first_announcement_is_announced_before_removal() -> None:
    harness = AnnouncerHarness()
    harness.announcer.announce(device("level"))
    harness.announcer.announce(REMOVAL)
    harness.announcer.forget(DEVICE)
    assert components(await harness.publish_pending()) == [{"level": "set"}, None]
    assert harness.at[1] - harness.at[0] >= MIN_REPEAT_S


async def test_device_removed_before_its_first_announcement_and_wanted_again_stays() -> None:
    harness = AnnouncerHarness()
    for message in (device("level"), REMOVAL, device("level")):
        harness.announcer.announce(message)
    assert components(await harness.publish_pending())[-1] == {"level": "set"}


async def test_rejected_device_is_published_again_at_the_next_request() -> None:
    harness = AnnouncerHarness()
    harness.rejecting = True
    harness.announcer.announce(device("level"))
    assert len(await harness.publish_pending()) == 1
    harness.rejecting = False
    harness.announcer.announce(device("level"))
    assert len(await harness.publish_pending()) == 1
    harness.announcer.announce(device("level"))
    assert await harness.publish_pending() == []


async def test_device_removed_and_added_again_waits_like_any_other() -> None:
    harness = AnnouncerHarness()
    for message in (device("level"), REMOVAL, device("level")):
        harness.announcer.announce(message)
        await harness.publish_pending()
        harness.announcer.forget(DEVICE)
    assert harness.at[2] - harness.at[1] >= MIN_REPEAT_S
    assert components(await harness.publish_pending()) == []


async def test_callback_is_called_once_after_the_last_payload() -> None:
    harness = AnnouncerHarness()
    called = []

    def on_done(resource: Resource) -> None:
        called.append((resource.tag, len(harness.recording.published)))

    harness.announcer.on_found(DEVICE, device("level", "old").payload)
    harness.announcer.announce(device("level"))
    for _ in range(2):
        harness.announcer.call_when_done(DEVICE, on_done, Resource(Kind.CLAN, "#2PP"))
    await harness.publish_pending()
    assert called == [("#2PP", 2)], "once, although it was added twice"


@pytest.mark.parametrize("online", [True, False])
async def test_device_removed_while_home_assistant_is_offline_is_removed_again_at_start(online: bool) -> None:
    harness = AnnouncerHarness()
    if online:
        harness.announcer.on_ha_online()
    harness.announcer.announce(device("level"))
    await harness.publish_pending()
    harness.announcer.announce(REMOVAL)
    await harness.publish_pending()
    harness.announcer.forget(DEVICE)
    await asyncio.sleep(120)
    harness.announcer.on_ha_online()
    assert components(await harness.publish_pending()) == ([] if online else [{"level": "set"}, None])
    await asyncio.sleep(120)
    assert not harness.announcer._devices
    harness.announcer.on_ha_online()
    assert await harness.publish_pending() == [], "only at the first start"


async def test_device_removed_just_before_the_last_will_is_removed_again_at_start() -> None:
    harness = AnnouncerHarness()
    harness.announcer.on_ha_online()
    harness.announcer.announce(device("level"))
    await harness.publish_pending()
    harness.announcer.announce(REMOVAL)
    await harness.publish_pending()
    harness.announcer.on_ha_offline()
    await asyncio.sleep(3600)
    harness.announcer.on_ha_online()
    assert components(await harness.publish_pending()) == [{"level": "set"}, None]


async def test_component_removed_after_the_last_will_is_removed_again_at_start() -> None:
    harness = AnnouncerHarness()
    harness.announcer.on_ha_online()
    harness.announcer.announce(device("level", "old"))
    await harness.publish_pending()
    harness.announcer.on_ha_offline()
    harness.announcer.announce(device("level"))
    await harness.publish_pending()
    harness.announcer.on_ha_online()
    harness.announcer.announce(device("level"))
    assert components(await harness.publish_pending()) == [
        {"level": "set", "old": "set"},
        {"level": "set", "old": "removed"},
        {"level": "set"},
    ]


@pytest.mark.parametrize("is_found", [True, False])
async def test_component_that_the_device_itself_removes_is_removed_again_at_start(is_found: bool) -> None:
    """Such as those of a war or of the calendar, which an option turns off while Home Assistant is not running."""
    content = orjson.loads(device("level").payload)
    content["components"]["old"] = {"platform": "sensor"}
    without = DiscoveryMessage(DEVICE, orjson.dumps(content))
    harness = AnnouncerHarness()
    if is_found:
        harness.announcer.on_found(DEVICE, device("level", "old").payload, keep_payload=True)
    else:
        harness.announcer.announce(device("level", "old"))
        await harness.publish_pending()
    harness.announcer.announce(without)
    assert components(await harness.publish_pending()) == [{"level": "set", "old": "removed"}]
    harness.announcer.on_ha_online()
    harness.announcer.announce(without)
    assert components(await harness.publish_pending()) == [
        {"level": "set", "old": "set"},
        {"level": "set", "old": "removed"},
    ]
    await asyncio.sleep(120)
    harness.announcer.on_ha_online()
    harness.announcer.announce(without)
    assert components(await harness.publish_pending()) == [{"level": "set", "old": "removed"}], (
        "only at the first start"
    )


async def test_device_lost_with_the_connection_is_published_over_the_next() -> None:
    broken = True

    async def lose_connection(_topic: str, _payload: bytes) -> None:
        if broken:
            raise ConnectionLostError("the broker stopped")

    harness = AnnouncerHarness(lose_connection)
    harness.announcer.announce(device("level"))
    with pytest.raises(ConnectionLostError):
        await harness.announcer.run(harness.recording.session)
    broken = False
    harness.announcer.on_connected()
    assert components(await harness.publish_pending()) == [{"level": "set"}]


async def test_device_requested_during_its_publish_is_published_after_it() -> None:
    async def rename(_topic: str, payload: bytes) -> None:
        if b"The Order" in payload:
            harness.announcer.announce(device("level", name="Another"))

    harness = AnnouncerHarness(rename)
    harness.announcer.announce(device("level"))
    assert [one["device"]["name"] for one in await harness.publish_pending()] == ["The Order", "Another"]


async def test_rejected_payload_is_not_retried_after_a_newer_one_was_accepted() -> None:
    harness = AnnouncerHarness()
    harness.announcer.announce(device("level"))
    await harness.publish_pending()
    harness.rejecting = True
    harness.announcer.announce(REMOVAL)
    await harness.publish_pending()
    harness.rejecting = False
    harness.announcer.announce(device("level"))
    await harness.publish_pending()
    harness.announcer.retry_rejected()
    assert await harness.publish_pending() == []


async def test_removed_device_of_an_earlier_run_is_removed_again_at_start() -> None:
    harness = AnnouncerHarness()
    harness.announcer.on_found(DEVICE, device("level").payload)
    harness.announcer.announce(REMOVAL)
    assert await harness.publish_pending() == [None]
    harness.announcer.on_ha_online()
    assert components(await harness.publish_pending()) == [{"level": "set"}, None]


@pytest.mark.parametrize("is_removed", [True, False])
async def test_found_payloads_of_thousands_of_devices_are_kept_only_for_removals(is_removed: bool) -> None:
    harness = AnnouncerHarness()
    for number in range(1000):
        topic = f"homeassistant/device/{number}/config"
        harness.announcer.on_found(topic, device("level", topic=topic).payload)
    harness.announcer.on_found(DEVICE, device("level", "old").payload, keep_payload=is_removed)
    harness.announcer.announce(device("level"))
    assert components(await harness.publish_pending()) == [{"level": "set", "old": "removed"}, {"level": "set"}]
    harness.announcer.on_ha_online()
    shown = [{"level": "set", "old": "set"}, {"level": "set", "old": "removed"}, {"level": "set"}]
    assert components(await harness.publish_pending()) == (shown if is_removed else [])


async def test_repeated_removals_of_sensors_do_not_delay_devices() -> None:
    harness = AnnouncerHarness()
    sensors = [f"homeassistant/device/{number}/config" for number in range(50)]
    for topic in sensors:
        harness.announcer.announce(device("level", topic=topic), background=True)
    await harness.publish_pending()
    for topic in sensors:
        harness.announcer.announce(DiscoveryMessage(topic, b""), background=True)
        harness.announcer.forget(topic)
    await harness.publish_pending()
    await asyncio.sleep(120)
    harness.announcer.on_ha_online()
    harness.announcer.announce(device("level"))
    before = len(harness.recording.published)
    await harness.publish_pending()
    assert harness.recording.topics[before] == DEVICE
    assert sorted(harness.recording.topics[before + 1 :]) == sorted(sensors * 2)


async def test_rejected_removal_is_repeated_over_the_next_connection() -> None:
    harness = AnnouncerHarness()
    harness.announcer.announce(device("level"))
    await harness.publish_pending()
    harness.rejecting = True
    harness.announcer.announce(REMOVAL)
    harness.announcer.forget(DEVICE)
    assert await harness.publish_pending() == [None]
    await asyncio.sleep(60)
    harness.announcer.announce(REMOVAL)
    assert await harness.publish_pending() == [], "the broker would reject it again"
    harness.rejecting = False
    harness.announcer.on_connected()
    assert await harness.publish_pending() == [None]
    await asyncio.sleep(60)
    assert not harness.announcer._devices
