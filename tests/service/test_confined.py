"""The bridge as it runs in a container: an unprivileged user, a read-only file system, one writable folder."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.observer import observing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeSettings

pytestmark = pytest.mark.process

USER = 10001  # the container's


def confined(data: Path) -> list[str]:
    """Return a command that runs another one in a new mount namespace, read-only except for ``data``."""
    folder = shlex.quote(str(data))
    unprivileged = f"setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs --bounding-set=-all"
    mounts = f"mount --bind {folder} {folder} && mount -o remount,ro,bind /"
    return ["unshare", "--mount", "sh", "-c", f'{mounts} && exec {unprivileged} -- "$@"', "sh"]


@pytest.fixture
def data() -> Iterator[Path]:
    for program in ("unshare", "setpriv", "mount"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    # Not in pytest's folder, which no other user can enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, USER, USER)
        result = run_confined(folder, sys.executable, "-c", "import coc2mqtt.cli.app")
        if result.returncode:
            pytest.skip(f"cannot create a mount namespace here: {result.stderr.decode().strip()[-200:]}")
        assert run_confined(folder, "touch", str(folder / "inside")).returncode == 0
        assert run_confined(folder, "touch", str(folder.parent / f"{folder.name}-outside")).returncode != 0
        yield folder


def run_confined(data: Path, *command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*confined(data), *command], check=False, capture_output=True)


async def test_bridge_runs_unprivileged_on_a_read_only_file_system(
    mosquitto: StartMosquitto, settings: MakeSettings, world: World, data: Path
) -> None:
    broker = mosquitto()
    bridge = BridgeProcess(data, settings(broker.port), wrapper=confined(data))
    try:
        async with observing(broker.port) as observer:
            await bridge.start()
            await observer.wait_until(lambda: observer.retained("coc/api/state/status"), "the first API status")
            await observer.request("watch", tag=world.clan_tags[0], interval=3600)
            world.join(world.clan_tags[0])
            await observer.request("poll", tag=world.clan_tags[0])
            await observer.wait_until(lambda: "member_joined" in observer.event_types, "an event")
            assert await bridge.stop() == 0
    finally:
        await bridge.kill_if_running()
    assert (data / "coc2mqtt.db").stat().st_uid == USER
    assert [line for line in bridge.log.splitlines() if "error" in line.lower()] == []
