"""A bridge with a corrupt journal continues with a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import watch_one_clan
from tests.support.journal_files import execute, file_names, overwrite
from tests.support.observer import observing_bridge

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.slow

CORRUPT = "journal is corrupt: moved the file and started a new one"
# A corrupt event, which is not read before the bridge is connected and delivers it.
ADD_CORRUPT_EVENT = """
    INSERT INTO event (id, kind, timestamp, record, checksum)
    VALUES ('1e25e0a518874ce28d39a65fedd29517', 'clan', strftime('%s'), '{}', 1)
"""


def quarantined(folder: Path) -> list[str]:
    return [
        name for name in file_names(folder) if name.startswith("coc2mqtt.db.damaged-") and not name.endswith("-wal")
    ]


async def test_corruption_found_at_the_start_loses_only_the_stored_state(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    clan, path = world.clan_tags[0], tmp_path / "coc2mqtt.db"
    running = bridge(settings(broker.port, watch=watch_one_clan(world)))
    async with observing_bridge(running, broker.port, world.clan_tags[0]) as observer:
        assert await running.stop() == 0
        overwrite(path, 0, 5000)
        world.leave(clan)  # cannot be detected without a baseline
        before = len(observer.received)
        await running.start()
        await observer.wait_until(
            lambda: any(clan[1:] in one.topic for one in observer.received[before:]), "the new baseline"
        )
        world.join(clan)
        await observer.wait_for_events(2, "the changes after it")
        assert observer.event_types == ["clan_updated", "member_joined"]
        assert await running.stop() == 0
        await observer.wait_until(lambda: observer.bridge_states == ["online", "offline"] * 2, "the offline message")
    assert len(quarantined(tmp_path)) == 1
    lines = [line for line in running.log.splitlines() if "error" in line]
    assert len(lines) == 1
    assert CORRUPT in lines[0]
    assert "watches added by commands are lost: add them again" in lines[0]
    assert f"path={tmp_path / quarantined(tmp_path)[0]}" in lines[0]


async def test_corruption_found_later_causes_a_short_outage_and_the_second_time_exits(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    (clan, other), path = world.clan_tags, tmp_path / "coc2mqtt.db"
    running = bridge(settings(broker.port, watch=watch_one_clan(world)))
    async with observing_bridge(running, broker.port, world.clan_tags[0]) as observer:
        await observer.request("watch", kind="clan", tag=other, interval=3600, war=False)
        await observer.wait_until(lambda: observer.retained(f"coc/clan/{other[1:]}/state/clan"), "the second clan")
        assert await running.stop() == 0

        execute(path, ADD_CORRUPT_EVENT)
        await running.start()
        await observer.wait_until(
            lambda: observer.bridge_states == ["online", "offline"] * 2 + ["online"], "the recovery"
        )
        assert len(quarantined(tmp_path)) == 1
        assert CORRUPT in running.log
        assert "watches added by commands are lost" not in running.log
        # The new baseline, which causes no events, before anything changes.
        recovered = max(number for number, one in enumerate(observer.received) if one.topic == "coc/bridge/state")
        await observer.wait_until(
            lambda: any(clan[1:] in one.topic for one in observer.received[recovered:]), "the new baseline"
        )
        listed = await observer.request("list")
        assert [one["tag"] for one in listed["data"]["watches"]] == [clan, other]
        world.join(clan)
        await observer.wait_for_events(2, "a change")
        assert observer.event_types == ["clan_updated", "member_joined"]
        health = await observer.request("health_check")
        assert health["data"]["healthy"] is True
        assert await running.stop() == 0

        execute(path, ADD_CORRUPT_EVENT)
        await running.start()
        assert await running.wait() == 1
        assert running.last_line == (
            f"coc2mqtt: the journal {path} is corrupt (events after 0: checksum mismatch), for the second time within"
            f" ten minutes (the first file is now {quarantined(tmp_path)[0]}): check the disk, or set journal.path to a"
            " file on another disk"
        )
        await observer.wait_until(lambda: observer.bridge_states == ["online", "offline"] * 4, "the offline message")
    assert len(quarantined(tmp_path)) == 1
    assert "Traceback" not in running.log
