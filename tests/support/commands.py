"""Commands of the program, started as a user types them."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from tests.support.bridge_process import PASSWORD, TOKEN, environment
from tests.support.timeouts import LONG_ENOUGH


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int | None
    out: str
    err: str


async def begin(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coc2mqtt", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**variables),
    )


async def end(process: asyncio.subprocess.Process) -> Ended:
    try:
        async with asyncio.timeout(LONG_ENOUGH):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    ended = Ended(process.returncode, out.decode(), err.decode())
    for text in (ended.out, ended.err):
        assert "Traceback" not in text, text
        assert TOKEN not in text
        assert PASSWORD not in text
    return ended


async def command(*arguments: str, **variables: str) -> Ended:
    return await end(await begin(*arguments, **variables))
