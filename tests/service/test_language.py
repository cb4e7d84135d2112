"""The bridge in another language."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import watch_one_clan
from tests.support.observer import check_payload, observing

if TYPE_CHECKING:
    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.process


async def test_summaries_are_in_the_configured_language(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    clan = world.clan_tags[0]
    running = bridge(settings(broker.port, watch=watch_one_clan(world), homeassistant={"language": "de"}))
    async with observing(broker.port) as observer:
        await running.start()
        await observer.wait_until(lambda: observer.clan_state(clan), "the baseline")
        world.promote(clan)
        await observer.wait_until(lambda: "member_role_changed" in observer.event_types, "the promotion")
        (message,) = [one for one in observer.events if one.topic.endswith("member_role_changed")]
        check_payload(message)
        assert "wurde bei" in message.data["summary"]
        assert "befördert" in message.data["summary"]
        assert message.data["metadata"]["direction"] == "promoted"
        assert await running.stop() == 0
