"""A bridge whose API gives no usable response, as a subscriber sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.demo import faults
from tests.service.test_secrets import refuse_loudly
from tests.support.bridge_process import TOKEN
from tests.support.observer import observing

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import DemoServer, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import BridgeProcess

pytestmark = pytest.mark.process

STATUS = "coc/api/state/status"


async def test_outage_from_the_start_and_later_is_shown_and_restored(
    mosquitto: StartMosquitto,
    server: DemoServer,
    world: World,
    bridge: Callable[[dict[str, Any]], BridgeProcess],
    settings: Callable[..., dict[str, Any]],
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    devices = [f"clan/{tag[1:]}" for tag in world.clan_tags] + [f"player/{tag[1:]}" for tag in world.player_tags]
    server.faults.add(faults.html_page(200))  # as a captive portal
    async with observing(broker.port) as observer:

        def status() -> str | None:
            shown = observer.retained(STATUS)
            return None if shown is None else str(shown["state"])

        def all_are(state: str) -> bool:
            return all(observer.retained(f"coc/{one}/state/availability") == {"state": state} for one in devices)

        await running.start()
        await observer.until(lambda: status() is not None, "a status")
        assert status() == "unreachable"
        assert "HTML page" in observer.retained(STATUS)["message"]
        server.faults.clear()
        await observer.until(lambda: status() == "ok" and all_are("online"), "the first usable responses")
        server.faults.add(refuse_loudly(400))
        await observer.until(lambda: status() == "unreachable" and all_are("offline"), "the outage")
        assert "status 400" in observer.retained(STATUS)["message"]
        server.faults.clear()
        await observer.until(lambda: status() == "ok" and all_are("online"), "the end of the outage")
        await observer.until_events(4, "an event for each change of the status")
        told = [message.data["event_type"] for message in observer.events]
        assert told == ["poll_error", "api_restored"] * 2
        assert not any(TOKEN.encode() in message.payload for message in observer.seen)
    await running.end()
    assert running.log.count("API unavailable") == 2
    assert TOKEN not in running.log
