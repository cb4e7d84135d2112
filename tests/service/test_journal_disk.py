"""A bridge whose disk gets full, fails, or may only be read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.disks import ext4, tmpfs
from tests.support.journal_files import query
from tests.support.journals import kinds, states, status_of, until_seen, watching_one_clan
from tests.support.observer import observing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coc2mqtt.demo import DemoServer, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import BridgeProcess
    from tests.support.broker import Mosquitto
    from tests.support.journals import MakeBridge, MakeSettings

    Begin = Callable[[Mosquitto], BridgeProcess]

pytestmark = pytest.mark.process

READ_ONLY = "its file system is read-only: find out why, and make it writable"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "coc2mqtt.db"


@pytest.fixture
def begin(bridge: MakeBridge, settings: MakeSettings, world: World, path: Path) -> Begin:
    """Make a bridge that watches one clan, with its journal on the disk."""
    changes = {"watch": watching_one_clan(world), "journal": {"path": str(path)}}
    return lambda broker: bridge(settings(broker.port, **changes))


async def test_a_full_disk_ends_the_bridge_and_nothing_is_lost(
    mosquitto: StartMosquitto, world: World, server: DemoServer, begin: Begin, path: Path
) -> None:
    broker = mosquitto()
    clan, running = world.clan_tags[0], begin(broker)
    with tmpfs(path.parent, size="2m") as disk:
        async with observing(broker.port) as observer:
            await running.start()
            await until_seen(observer, world)
        broker.kill()
        world.gain_points(clan)
        polled = server.requests[f"/v1/clans/{clan}"]
        while server.requests[f"/v1/clans/{clan}"] < polled + 2:  # noqa: ASYNC110 - the server only counts
            await asyncio.sleep(0.05)
        # One event waits for the broker. For the next there is no room.
        disk.fill()
        world.join(clan)
        assert await status_of(running) == 1
        full = "the disk is full: free some space (database or disk is full)"
        assert running.log.splitlines()[-1] == f"coc2mqtt: cannot write the journal {path} because {full}"
        await running.start()
        disk.fill()
        assert await status_of(running) == 1
        assert running.log.splitlines()[-1] == f"coc2mqtt: cannot open the journal {path} because {full}"

        disk.free()
        broker.start()
        async with observing(broker.port) as observer:
            await running.start()
            await observer.until_events(3, "what waited and what was found again")
            assert kinds(observer) == ["clan_updated", "clan_updated", "member_joined"]
            assert [event.data["seq"] for event in observer.events] == [1, 2, 3]
            assert await running.end() == 0
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert "Traceback" not in running.log


async def test_a_disk_that_fails_while_the_bridge_runs_ends_it_and_nothing_is_lost(
    mosquitto: StartMosquitto, world: World, begin: Begin, path: Path, tmp_path: Path
) -> None:
    broker, image = mosquitto(), tmp_path / "image"
    running = begin(broker)
    async with observing(broker.port) as observer:
        with ext4(image, path.parent) as disk:
            await running.start()
            await until_seen(observer, world)
            disk.fail()
            world.join(world.clan_tags[0])
            assert await status_of(running) == 1
            said = f"coc2mqtt: cannot write the journal {path} because {READ_ONLY} (disk I/O error)"
            assert running.log.splitlines()[-1] == said
            await observer.until(lambda: states(observer) == ["online", "offline"], "the goodbye")
            assert observer.events == []
        with ext4(image, path.parent):
            await running.start()
            await observer.until_events(2, "what was found again")
            assert kinds(observer) == ["clan_updated", "member_joined"]
            assert await running.end() == 0
            assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert "Traceback" not in running.log


async def test_a_disk_that_may_only_be_read_is_told_at_the_start(
    mosquitto: StartMosquitto, begin: Begin, path: Path
) -> None:
    running = begin(mosquitto())
    with tmpfs(path.parent, size="2m") as disk:
        disk.set_read_only()
        await running.start()
        assert await status_of(running) == 1
    assert running.log.startswith(f"coc2mqtt: cannot open the journal {path} because {READ_ONLY}, or set ")
    assert running.log.count("\n") == 1
