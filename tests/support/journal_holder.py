"""A process that opens a journal, performs an action, and holds the journal until it is released."""

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
from coc2mqtt.util.runtime import run
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import JournalError, SqliteJournal

CLAN, EVENT = Resource(Kind.CLAN, "#2PP"), Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)

async def nothing(journal):
    pass

async def commit(journal):
    await journal.commit(CLAN, Snapshot({"name": "The Order"}), [EVENT])

async def commit_many(journal):
    for number in range(20):
        await journal.commit(CLAN, Snapshot({"name": "The Order"}), [EVENT] * 500)

async def fail_commit(journal):
    await commit(journal)
    await journal._database.read("PRAGMA max_page_count = 1")
    try:
        await journal.commit(CLAN, Snapshot({str(n): "x" for n in range(100_000)}), [EVENT] * 2000)
    except JournalError:
        return
    raise AssertionError("the commit did not fail")

async def prune_all(journal):
    await commit_many(journal)
    await journal.acknowledge(range(1, 10_001))
    await journal.prune(1e11)

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


class JournalHolder:
    """The running process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def outcome(self) -> str:
        """Wait until the journal is open and return "open", or the name of the error that ended the process."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LONG_ENOUGH):
            return (await self._process.stdout.readline()).decode().strip()

    def release(self) -> None:
        """Make the process close the journal and exit."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def wait(self) -> None:
        """Wait until the process has exited."""
        await self._process.wait()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def holding_journal(path: Path, action: str = "nothing") -> AsyncIterator[JournalHolder]:
    """Start the process. ``action`` is the name of a function in PROGRAM."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(path), action),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    holder = JournalHolder(process)
    try:
        yield holder
    finally:
        holder.release()
        await holder.kill()
