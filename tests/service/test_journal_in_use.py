"""Two bridges with the same journal."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import BridgeProcess, watch_one_clan
from tests.support.observer import observing_bridge

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.process


async def test_second_bridge_with_the_same_journal_exits_and_the_first_continues(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    watch, path = watch_one_clan(world), str(tmp_path / "coc2mqtt.db")
    first = bridge(settings(broker.port, watch=watch))
    other = tmp_path / "other"
    other.mkdir()
    second = BridgeProcess(other, settings(broker.port, watch=watch, instance="other", journal={"path": path}))
    async with observing_bridge(first, broker.port, world.clan_tags[0]) as observer:
        started_at = time.monotonic()
        await second.start()
        assert await second.wait() == 1
        assert time.monotonic() - started_at < 10  # waits two seconds; Python starts slowly on a busy machine
        assert second.log == (
            f"coc2mqtt: the journal {path} is used by another program, probably another coc2mqtt: stop that program, "
            "or set journal.path to another file\n"
        )
        world.join(world.clan_tags[0])
        await observer.wait_until(lambda: "member_joined" in observer.event_types, "a join")
        assert observer.bridge_states == ["online"]


async def test_bridge_started_while_the_previous_one_stops_takes_over(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    config = settings(broker.port, watch=watch_one_clan(world))
    first, second = bridge(config), bridge(config)
    async with observing_bridge(first, broker.port, world.clan_tags[0]) as observer:
        starting = asyncio.create_task(second.start())
        assert await first.stop() == 0
        await starting
        await observer.wait_until(
            lambda: observer.bridge_states == ["online", "offline", "online"], "the second bridge"
        )
        world.join(world.clan_tags[0])
        await observer.wait_until(lambda: "member_joined" in observer.event_types, "a join")
        assert await second.stop() == 0
