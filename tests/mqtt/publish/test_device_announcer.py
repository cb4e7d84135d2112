"""Announcing over a session that notes what it publishes, on simulated time."""

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


class House:
    def __init__(self, before: Callable[[str, bytes], Awaitable[None]] | None = None) -> None:
        self.recording = RecordingSession(before)
        self.at: list[float] = []
        self.refusing = False
        self.announcer = DeviceAnnouncer(self._say)
        self.announcer.on_connected()

    async def _say(self, session: Session, topic: str, payload: bytes) -> bool:
        self.at.append(asyncio.get_running_loop().time())
        await session.publish(topic, payload, retain=True)
        return not self.refusing

    async def settle(self) -> list[Any]:
        """Say all that is asked for; returns what was said since the last time, None for a removal."""
        before = len(self.recording.published)
        async with running(self.announcer.run(self.recording.session)):
            await self.announcer.wait_idle()
        return [one.data if one.payload else None for one in self.recording.published[before:]]


def components(said: list[Any]) -> list[dict[str, Any] | None]:
    return [
        None
        if one is None
        else {key: "gone" if part.keys() == {"platform"} else "there" for key, part in one["components"].items()}
        for one in said
    ]


async def test_of_what_is_asked_for_in_a_row_the_last_is_said_once() -> None:
    house = House()
    for name in ("One", "Two", "Three"):
        house.announcer.announce(device("level", name=name))
    assert [one["device"]["name"] for one in await house.settle()] == ["Three"]


async def test_what_was_said_is_not_said_again_until_home_assistant_is_born() -> None:
    house = House()
    house.announcer.announce(device("level"))
    assert len(await house.settle()) == 1
    house.announcer.announce(device("level"))
    assert await house.settle() == []
    house.announcer.on_ha_online()
    house.announcer.announce(device("level"))
    assert len(await house.settle()) == 1


async def test_a_device_is_never_announced_twice_in_a_moment() -> None:
    house = House()
    for name in ("One", "Two", "Three"):
        house.announcer.announce(device("level", name=name))
        await house.settle()
    first, second, third = house.at
    assert second - first >= MIN_REPEAT_S
    assert third - second >= MIN_REPEAT_S


async def test_many_devices_are_announced_one_after_another() -> None:
    house = House()
    for number in range(20):
        house.announcer.announce(device("level", topic=f"homeassistant/device/{number}/config"))
    await house.settle()
    assert [at - house.at[0] for at in house.at] == pytest.approx([number * SPACING_S for number in range(20)])


async def test_a_device_that_must_wait_holds_up_no_other() -> None:
    house = House()
    house.announcer.announce(device("level"))
    await house.settle()
    house.announcer.announce(device("level", name="Another"))
    house.announcer.announce(device("queue", topic=OTHER))
    await house.settle()
    assert house.recording.topics == [DEVICE, OTHER, DEVICE]


async def test_a_component_that_went_between_versions_is_taken_back_before_it_is_left_out() -> None:
    house = House()
    house.announcer.on_found(DEVICE, device("level", "old").payload)
    house.announcer.announce(device("level"))
    assert components(await house.settle()) == [{"level": "there", "old": "gone"}, {"level": "there"}]
    house.announcer.announce(device("level", name="Another"))
    assert components(await house.settle()) == [{"level": "there"}]


async def test_what_may_be_there_is_removed_and_that_once() -> None:
    house = House()
    house.announcer.announce(REMOVAL)
    assert await house.settle() == [None]
    house.announcer.on_connected()
    house.announcer.announce(REMOVAL)
    assert not house.announcer.is_pending(DEVICE)
    assert await house.settle() == []


async def test_what_was_refused_is_said_again_when_it_is_asked_for_again() -> None:
    house = House()
    house.refusing = True
    house.announcer.announce(device("level"))
    assert len(await house.settle()) == 1
    house.refusing = False
    house.announcer.announce(device("level"))
    assert len(await house.settle()) == 1
    house.announcer.announce(device("level"))
    assert await house.settle() == []


async def test_a_device_that_comes_back_at_once_waits_as_long_as_any_other() -> None:
    house = House()
    for message in (device("level"), REMOVAL, device("level")):
        house.announcer.announce(message)
        await house.settle()
        house.announcer.forget(DEVICE)
    assert house.at[2] - house.at[1] >= MIN_REPEAT_S
    assert components(await house.settle()) == []


async def test_who_waits_is_called_when_all_is_said() -> None:
    house = House()
    called = []

    def note(resource: Resource) -> None:
        called.append((resource.tag, len(house.recording.published)))

    house.announcer.on_found(DEVICE, device("level", "old").payload)
    house.announcer.announce(device("level"))
    for _ in range(2):
        house.announcer.call_when_done(DEVICE, note, Resource(Kind.CLAN, "#2PP"))
    await house.settle()
    assert called == [("#2PP", 2)], "once, however often it was asked for"


@pytest.mark.parametrize("there", [True, False])
async def test_what_went_while_home_assistant_may_have_been_away_is_shown_and_removed_at_its_birth(there: bool) -> None:
    house = House()
    if there:
        house.announcer.on_ha_online()
    house.announcer.announce(device("level"))
    await house.settle()
    house.announcer.announce(REMOVAL)
    await house.settle()
    house.announcer.forget(DEVICE)
    await asyncio.sleep(120)
    house.announcer.on_ha_online()
    assert components(await house.settle()) == ([] if there else [{"level": "there"}, None])
    await asyncio.sleep(120)
    house.announcer.on_ha_online()
    assert await house.settle() == [], "once is enough"


async def test_what_went_a_moment_before_home_assistant_did_may_have_gone_unseen() -> None:
    house = House()
    house.announcer.on_ha_online()
    house.announcer.announce(device("level"))
    await house.settle()
    house.announcer.announce(REMOVAL)
    await house.settle()
    house.announcer.on_ha_offline()
    await asyncio.sleep(3600)
    house.announcer.on_ha_online()
    assert components(await house.settle()) == [{"level": "there"}, None]


async def test_after_its_last_will_home_assistant_is_taken_for_away() -> None:
    house = House()
    house.announcer.on_ha_online()
    house.announcer.announce(device("level", "old"))
    await house.settle()
    house.announcer.on_ha_offline()
    house.announcer.announce(device("level"))
    await house.settle()
    house.announcer.on_ha_online()
    house.announcer.announce(device("level"))
    assert components(await house.settle()) == [
        {"level": "there", "old": "there"},
        {"level": "there", "old": "gone"},
        {"level": "there"},
    ]


async def test_what_a_broken_connection_swallowed_is_said_over_the_next() -> None:
    broken = True

    async def break_off(_topic: str, _payload: bytes) -> None:
        if broken:
            raise ConnectionLostError("the broker died")

    house = House(break_off)
    house.announcer.announce(device("level"))
    with pytest.raises(ConnectionLostError):
        await house.announcer.run(house.recording.session)
    broken = False
    house.announcer.on_connected()
    assert components(await house.settle()) == [{"level": "there"}]


async def test_what_is_asked_for_while_the_same_device_is_on_its_way_is_said_after_it() -> None:
    async def rename(_topic: str, payload: bytes) -> None:
        if b"The Order" in payload:
            house.announcer.announce(device("level", name="Another"))

    house = House(rename)
    house.announcer.announce(device("level"))
    assert [one["device"]["name"] for one in await house.settle()] == ["The Order", "Another"]


async def test_what_was_refused_before_something_else_was_taken_is_not_said_again() -> None:
    house = House()
    house.announcer.announce(device("level"))
    await house.settle()
    house.refusing = True
    house.announcer.announce(REMOVAL)
    await house.settle()
    house.refusing = False
    house.announcer.announce(device("level"))
    await house.settle()
    house.announcer.retry_rejected()
    assert await house.settle() == []


async def test_found_device_is_shown_and_removed_again_when_home_assistant_starts() -> None:
    house = House()
    house.announcer.on_found(DEVICE, device("level").payload)
    house.announcer.announce(REMOVAL)
    assert await house.settle() == [None]
    house.announcer.on_ha_online()
    assert components(await house.settle()) == [{"level": "there"}, None]


@pytest.mark.parametrize("is_removed", [True, False])
async def test_payloads_of_thousands_of_found_devices_are_kept_only_for_removals(is_removed: bool) -> None:
    house = House()
    for number in range(1000):
        topic = f"homeassistant/device/{number}/config"
        house.announcer.on_found(topic, device("level", topic=topic).payload)
    house.announcer.on_found(DEVICE, device("level", "old").payload, keep_payload=is_removed)
    house.announcer.announce(device("level"))
    assert components(await house.settle()) == [{"level": "there", "old": "gone"}, {"level": "there"}]
    house.announcer.on_ha_online()
    shown = [{"level": "there", "old": "there"}, {"level": "there", "old": "gone"}, {"level": "there"}]
    assert components(await house.settle()) == (shown if is_removed else [])
