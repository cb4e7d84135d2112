"""The bridge keeps running whatever happens to its standard streams."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.broker import free_port
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from coc2mqtt.demo import DemoServer, World
    from tests.support.bridge_process import MakeSettings

pytestmark = pytest.mark.process

_MIN_PIPE_BYTES = 4096


@asynccontextmanager
async def running(
    folder: Path, settings: dict[str, Any], *, stderr: int, shell: str = 'exec "$@"'
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a bridge with this standard error, then send SIGTERM and check its exit status."""
    config = folder / "coc2mqtt.yaml"
    config.write_text(yaml.safe_dump({"journal": {"path": str(folder / "coc2mqtt.db")}, **settings}))
    arguments: Sequence[str] = (sys.executable, "-m", "coc2mqtt", "run", "--config", str(config))
    process = await asyncio.create_subprocess_exec("sh", "-c", shell, "sh", *arguments, stderr=stderr)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LONG_ENOUGH):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def verbose(settings: MakeSettings, world: World) -> dict[str, Any]:
    """Settings with many log lines: each change, and the missing broker."""
    clans = [{"tag": tag, "interval": 1, "war": False} for tag in world.clan_tags]
    return settings(free_port(), watch={"clans": clans}, log={"level": "debug", "format": "console"})


async def wait_for_polls(server: DemoServer, process: asyncio.subprocess.Process, count: int) -> None:
    """Wait until the bridge has made this number of further polls."""
    before = server.requests.total()
    async with asyncio.timeout(LONG_ENOUGH):
        while server.requests.total() < before + count:
            assert process.returncode is None
            await asyncio.sleep(0.02)


def open_files(pid: int) -> dict[int, str]:
    return {int(link.name): str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}


async def test_bridge_with_closed_log_pipe_keeps_running(
    tmp_path: Path, server: DemoServer, verbose: dict[str, Any]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        async with running(tmp_path, verbose, stderr=writer) as process:
            await wait_for_polls(server, process, 5)
    finally:
        os.close(writer)


async def test_bridge_with_full_log_disk_keeps_running(
    tmp_path: Path, server: DemoServer, verbose: dict[str, Any]
) -> None:
    shell = 'exec "$@" 2>/dev/full'
    async with running(tmp_path, verbose, stderr=asyncio.subprocess.DEVNULL, shell=shell) as process:
        await wait_for_polls(server, process, 5)


async def test_bridge_with_closed_standard_streams_does_not_reuse_their_descriptors(
    tmp_path: Path, server: DemoServer, verbose: dict[str, Any]
) -> None:
    shell = 'exec "$@" <&- >&- 2>&-'
    async with running(tmp_path, verbose, stderr=asyncio.subprocess.DEVNULL, shell=shell) as process:
        await wait_for_polls(server, process, 5)
        files = open_files(process.pid)
        assert [files[descriptor] for descriptor in range(3)] == ["/dev/null"] * 3
        assert str(tmp_path / "coc2mqtt.db") in files.values()


async def test_bridge_with_blocked_log_pipe_drops_and_counts_lines(
    tmp_path: Path, server: DemoServer, world: World, verbose: dict[str, Any]
) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _MIN_PIPE_BYTES)
    os.write(writer, b"-" * _MIN_PIPE_BYTES)
    log = os.fdopen(reader, "rb", buffering=0)
    try:
        async with running(tmp_path, verbose, stderr=writer) as process:
            await wait_for_polls(server, process, 5)
            assert log.read(_MIN_PIPE_BYTES) == b"-" * _MIN_PIPE_BYTES
            world.join(world.clan_tags[0])
            line = await asyncio.to_thread(log.read, _MIN_PIPE_BYTES)
            assert b" dropped_lines=" in line.splitlines()[0]
    finally:
        os.close(writer)
        log.close()
