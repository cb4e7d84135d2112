"""Commands to a running bridge with a real broker: lookups of new tags, their results, and the first events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.observer import Observer, observing_bridge

if TYPE_CHECKING:
    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.process

UNKNOWN = "#2PP2PP"
DEVICE = "homeassistant/device/coc2mqtt_home_clan_2PP2PP/config"
EVENT = "coc/clan/2PP2PP/watch_unavailable"


async def last_summary(observer: Observer, part: str) -> str:
    """Wait until the last command is about this, and no command is running; return its sentence."""

    def is_shown() -> bool:
        last = observer.retained("coc/bridge/last_command") or {}
        return part in (last["summary"] or "") and last["running"] is None

    await observer.wait_until(is_shown, part)
    return str(observer.retained("coc/bridge/last_command")["summary"])


async def test_unknown_tag_is_refused_unless_forced_and_its_first_event_follows_its_device(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    async with observing_bridge(running, broker.port, world.clan_tags[0]) as observer:
        response = await observer.request("watch", tag=UNKNOWN)
        assert response["status"] == "error"
        assert response["error"].startswith(f"No clan has the tag {UNKNOWN}")
        assert await last_summary(observer, UNKNOWN) == response["error"]
        await observer.request("unwatch", tag=UNKNOWN)
        assert await last_summary(observer, "is not watched") == f"{UNKNOWN} is not watched"

        assert (await observer.request("watch", tag=UNKNOWN, force=True))["status"] == "ok"
        await observer.wait_until(lambda: observer.retained(DEVICE), "its device")
        announced_at = asyncio.get_running_loop().time()
        await observer.wait_until(lambda: any(one.topic == EVENT for one in observer.events), "its first event")
        # Home Assistant needs up to half a second to set up the event entity.
        assert asyncio.get_running_loop().time() - announced_at > 0.6

        response = await observer.request("reset")
        assert response["data"] == {"removed": [{"kind": "clan", "tag": UNKNOWN}], "restored": []}
        await observer.wait_until(lambda: observer.retained(DEVICE) is None, "the removal of the device")
        await last_summary(observer, f"Reset the watch of {UNKNOWN}")


async def test_new_watch_is_refused_during_maintenance_and_a_configured_one_is_restored(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    first, second = world.clan_tags[:2]
    watch = {"clans": [{"tag": first, "interval": 3600, "war": False}], "maintenance": {"interval": 1}}
    running = bridge(settings(broker.port, watch=watch))
    async with observing_bridge(running, broker.port, first) as observer:
        await observer.request("unwatch", tag=first)
        world.start_maintenance()
        response = await observer.request("watch", tag=second)
        assert "was not added, because Clash of Clans is in maintenance" in response["error"]
        response = await observer.request("watch", tag=first)
        assert (response["data"]["interval"], response["data"]["war"]) == (3600, False)
        world.end_maintenance()
        response = await observer.request("watch", tag=second)
        assert response["data"]["name"] == (world.clan(second) or {})["name"]
        await last_summary(observer, f"Now watching {response['data']['name']} ({second})")


async def test_last_command_is_still_shown_after_a_restart(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    async with observing_bridge(running, broker.port, world.clan_tags[0]) as observer:
        await observer.request("unwatch", tag=UNKNOWN)
        await last_summary(observer, "is not watched")
        before = observer.retained("coc/bridge/last_command")
        await running.stop()
        count = len(observer.received)
        await running.start()
        await observer.wait_for_bridge_state("online")

        def published() -> list[object]:
            return [one.data for one in observer.received[count:] if one.topic == "coc/bridge/last_command"]

        await observer.wait_until(published, "the last command of the earlier run")
        assert published() == [before]
