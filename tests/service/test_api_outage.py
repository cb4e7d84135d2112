"""API outages, as a subscriber sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from coc2mqtt.demo import faults
from tests.homeassistant.rendering import shown
from tests.service.test_secrets import refuse_with_headers
from tests.support.bridge_process import TOKEN
from tests.support.observer import observing

if TYPE_CHECKING:
    from coc2mqtt.demo import DemoServer, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.process

STATUS = "coc/api/state/status"


async def test_api_outage_at_the_start_and_later_is_published_and_restored(
    mosquitto: StartMosquitto, server: DemoServer, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    devices = [f"clan/{tag[1:]}" for tag in world.clan_tags] + [f"player/{tag[1:]}" for tag in world.player_tags]
    server.faults.add(faults.html_page(200))  # like a captive portal
    async with observing(broker.port) as observer:

        def status() -> str | None:
            payload = observer.retained(STATUS)
            return None if payload is None else str(payload["state"])

        def all_devices_are(state: str) -> bool:
            return all(observer.retained(f"coc/{one}/state/availability") == {"state": state} for one in devices)

        await running.start()
        await observer.wait_until(lambda: status() is not None, "a status")
        assert status() == "unreachable"
        assert "HTML page" in observer.retained(STATUS)["message"]
        server.faults.clear()
        await observer.wait_until(lambda: status() == "ok" and all_devices_are("online"), "the first usable responses")
        server.faults.add(refuse_with_headers(400))
        await observer.wait_until(lambda: status() == "unreachable" and all_devices_are("offline"), "the outage")
        assert "status 400" in observer.retained(STATUS)["message"]
        server.faults.clear()
        await observer.wait_until(lambda: status() == "ok" and all_devices_are("online"), "the end of the outage")
        await observer.wait_for_events(4, "an event for each change of the status")
        assert observer.event_types == ["poll_error", "api_restored"] * 2
        assert not any(TOKEN.encode() in message.payload for message in observer.received)
    await running.stop()
    assert running.log.count("API unavailable") == 2
    assert TOKEN not in running.log


async def test_refused_token_disconnects_every_watch_even_after_a_restart(
    mosquitto: StartMosquitto, server: DemoServer, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    devices = [("clan", tag[1:]) for tag in world.clan_tags] + [("player", tag[1:]) for tag in world.player_tags]
    async with observing(broker.port) as observer:

        def available(kind: str, tag: str) -> str | None:
            """Return what the entity *Available* shows."""
            device = observer.retained(f"homeassistant/device/coc2mqtt_home_{kind}_{tag}/config") or {}
            component = device.get("components", {}).get("available")
            state = observer.retained(f"coc/{kind}/{tag}/state/availability")
            return None if component is None or state is None else shown(component, orjson.dumps(state))

        def all_show(state: str) -> bool:
            return {available(*device) for device in devices} == {state}

        await running.start()
        await observer.wait_until(lambda: all_show("ON"), "every watch to be available")
        server.faults.add(faults.wrong_token())
        await observer.wait_until(lambda: all_show("OFF"), "the refused token")
        await running.stop()
        before = len(observer.received)
        await running.start()

        def published() -> list[str]:
            found = [one for one in observer.received[before:] if one.topic.endswith("/state/availability")]
            return [str(one.data["state"]) for one in found]

        await observer.wait_until(lambda: len(published()) >= len(devices), "every watch after the restart")
        assert set(published()) == {"offline"}, "old values are never shown as available"
        server.faults.clear()
        await observer.wait_until(lambda: all_show("ON"), "the accepted token")
    await running.stop()
