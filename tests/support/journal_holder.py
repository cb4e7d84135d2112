"""A program that opens a journal, does something, and holds it until it is told to end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PROGRAM = """
import asyncio, logging, pathlib, structlog, sys
from coc2mqtt.util.event_loop import run
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import JournalError, SqliteJournal

CLAN, EVENT = Resource(Kind.CLAN, "#2PP"), Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)

async def commit(journal):
    await journal.commit(CLAN, Snapshot({"name": "The Order"}), [EVENT])

async def commit_much(journal):
    for number in range(20):
        await journal.commit(CLAN, Snapshot({"name": "The Order"}), [EVENT] * 500)

async def fail(journal):
    await commit(journal)
    await journal._database.read("PRAGMA max_page_count = 1")
    try:
        await journal.commit(CLAN, Snapshot({str(n): "x" for n in range(100_000)}), [EVENT] * 2000)
    except JournalError:
        return
    raise AssertionError("it did not fail")

async def empty(journal):
    await commit_much(journal)
    await journal.acknowledge(range(1, 10_001))
    await journal.prune(1e11)

async def nothing(journal):
    pass

async def main():
    try:
        async with SqliteJournal(pathlib.Path(sys.argv[1])) as journal:
            await globals()[sys.argv[2]](journal)
            print("open", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
    except JournalError as error:
        print(type(error).__name__, flush=True)

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
run(main())
"""


class Holder:
    """The running program; ``said`` is its first line: ``open``, or the error with which it ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(LONG_ENOUGH):
            return (await self._process.stdout.readline()).decode().strip()

    def release(self) -> None:
        """Have it close the journal and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def ended(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def holding(path: Path, doing: str = "nothing") -> AsyncIterator[Holder]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(path), doing),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    holder = Holder(process)
    try:
        yield holder
    finally:
        holder.release()
        await holder.kill()
