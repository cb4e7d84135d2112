"""A disk that is full, fails, or is read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import BridgeProcess, watch_one_clan
from tests.support.broker import Mosquitto
from tests.support.disks import ext4, tmpfs
from tests.support.journal_files import query
from tests.support.observer import observing, observing_bridge

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.demo import DemoServer, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.process

MakeBridgeOnDisk = Callable[[Mosquitto], BridgeProcess]

READ_ONLY = "its file system is read-only: find out why, and make it writable"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "coc2mqtt.db"


@pytest.fixture
def bridge_on_disk(bridge: MakeBridge, settings: MakeSettings, world: World, path: Path) -> MakeBridgeOnDisk:
    """Create a bridge that watches one clan, with its journal on the disk."""
    changes = {"watch": watch_one_clan(world), "journal": {"path": str(path)}}
    return lambda broker: bridge(settings(broker.port, **changes))


async def test_full_disk_stops_the_bridge_without_losing_events(
    mosquitto: StartMosquitto, world: World, server: DemoServer, bridge_on_disk: MakeBridgeOnDisk, path: Path
) -> None:
    broker = mosquitto()
    clan, running = world.clan_tags[0], bridge_on_disk(broker)
    with tmpfs(path.parent, size="2m") as disk:
        async with observing_bridge(running, broker.port, clan):
            pass
        broker.kill()
        world.gain_points(clan)
        polled = server.requests[f"/v1/clans/{clan}"]
        while server.requests[f"/v1/clans/{clan}"] < polled + 2:  # noqa: ASYNC110 - the server only counts
            await asyncio.sleep(0.05)
        # One event is pending. The next one does not fit.
        disk.fill()
        world.join(clan)
        assert await running.wait() == 1
        full = "the disk is full: free some space (database or disk is full)"
        assert running.last_line == f"coc2mqtt: cannot write the journal {path} because {full}"
        await running.start()
        disk.fill()
        assert await running.wait() == 1
        assert running.last_line == f"coc2mqtt: cannot open the journal {path} because {full}"

        disk.free()
        broker.start()
        async with observing(broker.port) as observer:
            await running.start()
            await observer.wait_for_events(3, "the pending event and the changes detected again")
            assert observer.event_types == ["clan_updated", "clan_updated", "member_joined"]
            assert [event.data["seq"] for event in observer.events] == [1, 2, 3]
            assert await running.stop() == 0
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert "Traceback" not in running.log


async def test_disk_failure_stops_the_bridge_without_losing_events(
    mosquitto: StartMosquitto, world: World, bridge_on_disk: MakeBridgeOnDisk, path: Path, tmp_path: Path
) -> None:
    broker, image = mosquitto(), tmp_path / "image"
    running = bridge_on_disk(broker)
    async with observing(broker.port) as observer:
        with ext4(image, path.parent) as disk:
            await running.start()
            await observer.wait_for_clan(world.clan_tags[0])
            disk.fail()
            world.join(world.clan_tags[0])
            assert await running.wait() == 1
            expected = f"coc2mqtt: cannot write the journal {path} because {READ_ONLY} (disk I/O error)"
            assert running.last_line == expected
            await observer.wait_until(lambda: observer.bridge_states == ["online", "offline"], "the offline message")
            assert observer.events == []
        with ext4(image, path.parent):
            await running.start()
            await observer.wait_for_events(2, "the changes detected again")
            assert observer.event_types == ["clan_updated", "member_joined"]
            assert await running.stop() == 0
            assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert "Traceback" not in running.log


async def test_read_only_disk_is_reported_at_the_start(
    mosquitto: StartMosquitto, bridge_on_disk: MakeBridgeOnDisk, path: Path
) -> None:
    running = bridge_on_disk(mosquitto())
    with tmpfs(path.parent, size="2m") as disk:
        disk.set_read_only()
        await running.start()
        assert await running.wait() == 1
    assert running.log.startswith(f"coc2mqtt: cannot open the journal {path} because {READ_ONLY}, or set ")
    assert running.log.count("\n") == 1
