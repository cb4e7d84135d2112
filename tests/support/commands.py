"""Runs commands of the program as a user types them."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from tests.support.bridge_process import PASSWORD, TOKEN, environment
from tests.support.timeouts import LONG_ENOUGH


@dataclass(frozen=True)
class CompletedCommand:
    status: int | None
    out: str
    err: str


async def start_command(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coc2mqtt", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**variables),
    )


async def complete(process: asyncio.subprocess.Process) -> CompletedCommand:
    """Wait for a command, and check that its output contains no traceback and no secret."""
    try:
        async with asyncio.timeout(LONG_ENOUGH):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    completed = CompletedCommand(process.returncode, out.decode(), err.decode())
    for text in (completed.out, completed.err):
        assert "Traceback" not in text, text
        assert TOKEN not in text
        assert PASSWORD not in text
    return completed


async def run_command(*arguments: str, **variables: str) -> CompletedCommand:
    return await complete(await start_command(*arguments, **variables))
