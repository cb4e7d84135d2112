"""A bridge whose journal is damaged goes on with a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.journal_files import execute, file_names, overwrite
from tests.support.journals import kinds, states, status_of, until_seen, watching_one_clan
from tests.support.observer import observing

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.journals import MakeBridge, MakeSettings

pytestmark = pytest.mark.slow

CORRUPT = "journal is corrupt: moved the file and started a new one"
# An event of which nobody reads before the bridge is there and delivers it.
ADD_SPOILED_EVENT = """
    INSERT INTO event (id, kind, timestamp, record, checksum)
    VALUES ('1e25e0a518874ce28d39a65fedd29517', 'clan', strftime('%s'), '{}', 1)
"""


def kept(folder: Path) -> list[str]:
    return [
        name for name in file_names(folder) if name.startswith("coc2mqtt.db.damaged-") and not name.endswith("-wal")
    ]


async def test_damage_found_at_the_start_costs_what_was_remembered_and_nothing_else(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    clan, path = world.clan_tags[0], tmp_path / "coc2mqtt.db"
    running = bridge(settings(broker.port, watch=watching_one_clan(world)))
    async with observing(broker.port) as observer:
        await running.start()
        await until_seen(observer, world)
        assert await running.end() == 0
        overwrite(path, 0, 5000)
        world.leave(clan)  # which nobody can tell any more
        before = len(observer.seen)
        await running.start()
        await observer.until(lambda: any(clan[1:] in one.topic for one in observer.seen[before:]), "a first look")
        world.join(clan)
        await observer.until_events(2, "what follows it")
        assert kinds(observer) == ["clan_updated", "member_joined"]
        assert await running.end() == 0
        await observer.until(lambda: states(observer) == ["online", "offline"] * 2, "the goodbye")
    assert len(kept(tmp_path)) == 1
    lines = [line for line in running.log.splitlines() if "error" in line]
    assert len(lines) == 1
    assert CORRUPT in lines[0]
    assert "watches added by commands are lost: add them again" in lines[0]
    assert f"path={tmp_path / kept(tmp_path)[0]}" in lines[0]


async def test_damage_found_while_it_runs_is_a_short_absence_and_the_second_time_the_end(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    (clan, other), path = world.clan_tags, tmp_path / "coc2mqtt.db"
    running = bridge(settings(broker.port, watch=watching_one_clan(world)))
    async with observing(broker.port) as observer:
        await running.start()
        await until_seen(observer, world)
        await observer.request("watch", kind="clan", tag=other, interval=3600, war=False)
        await observer.until(lambda: observer.retained(f"coc/clan/{other[1:]}/state/clan"), "the second clan")
        assert await running.end() == 0

        execute(path, ADD_SPOILED_EVENT)
        await running.start()
        await observer.until(lambda: states(observer) == ["online", "offline"] * 2 + ["online"], "its return")
        assert len(kept(tmp_path)) == 1
        assert CORRUPT in running.log
        assert "watches added by commands are lost" not in running.log
        # Its first look, which is silent, before anything happens.
        returned = max(number for number, one in enumerate(observer.seen) if one.topic == "coc/bridge/state")
        await observer.until(lambda: any(clan[1:] in one.topic for one in observer.seen[returned:]), "a first look")
        listed = await observer.request("list")
        assert [one["tag"] for one in listed["data"]["watches"]] == [clan, other]
        world.join(clan)
        await observer.until_events(2, "a change")
        assert kinds(observer) == ["clan_updated", "member_joined"]
        health = await observer.request("health_check")
        assert health["data"]["healthy"] is True
        assert await running.end() == 0

        execute(path, ADD_SPOILED_EVENT)
        await running.start()
        assert await status_of(running) == 1
        assert running.log.splitlines()[-1] == (
            f"coc2mqtt: the journal {path} is corrupt (events after 0: checksum mismatch), for the second time "
            f"within ten minutes (the first file is now {kept(tmp_path)[0]}): check the disk, or set journal.path to "
            "a file on another disk"
        )
        await observer.until(lambda: states(observer) == ["online", "offline"] * 4, "its end")
    assert len(kept(tmp_path)) == 1
    assert "Traceback" not in running.log
