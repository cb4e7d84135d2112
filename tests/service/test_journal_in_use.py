"""Two bridges and one journal."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.journals import kinds, states, status_of, until_seen, watching_one_clan
from tests.support.observer import observing

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.journals import MakeBridge, MakeSettings

pytestmark = pytest.mark.process


async def test_a_second_bridge_with_the_same_journal_ends_at_once_and_the_first_goes_on(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    watch, path = watching_one_clan(world), str(tmp_path / "coc2mqtt.db")
    first = bridge(settings(broker.port, watch=watch))
    other = tmp_path / "other"
    other.mkdir()
    second = BridgeProcess(other, settings(broker.port, watch=watch, instance="other", journal={"path": path}))
    async with observing(broker.port) as observer:
        await first.start()
        await until_seen(observer, world)
        begun = time.monotonic()
        await second.start()
        assert await status_of(second) == 1
        assert time.monotonic() - begun < 10  # two seconds of waiting, the rest is Python's start on a busy machine
        assert second.log == (
            f"coc2mqtt: the journal {path} is used by another program, probably another coc2mqtt: stop that program, "
            "or set journal.path to another file\n"
        )
        world.join(world.clan_tags[0])
        await observer.until(lambda: "member_joined" in kinds(observer), "a join")
        assert states(observer) == ["online"]


async def test_a_bridge_that_is_started_while_the_last_one_still_ends_takes_over(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    wanted = settings(broker.port, watch=watching_one_clan(world))
    first, second = bridge(wanted), bridge(wanted)
    async with observing(broker.port) as observer:
        await first.start()
        await until_seen(observer, world)
        starting = asyncio.create_task(second.start())
        assert await first.end() == 0
        await starting
        await observer.until(lambda: states(observer) == ["online", "offline", "online"], "the second one")
        world.join(world.clan_tags[0])
        await observer.until(lambda: "member_joined" in kinds(observer), "a join")
        assert await second.end() == 0
