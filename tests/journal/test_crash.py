"""A process that is killed while it commits."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import SqliteJournal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

CLAN = Resource(Kind.CLAN, "#2PP")
# Commits numbers in an endless loop, and prints each number after its commit.
PROGRAM = """
import asyncio, itertools, pathlib, sys
from coc2mqtt.util.runtime import run
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import SqliteJournal

async def main():
    async with SqliteJournal(pathlib.Path(sys.argv[1])) as journal:
        for number in itertools.count(int(sys.argv[2])):
            event = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0, metadata={"number": number})
            await journal.commit(Resource(Kind.CLAN, "#2PP"), Snapshot({"number": number}), [event])
            print(number, flush=True)

run(main())
"""


async def commit_until_killed(path: Path, *, first: int, commits: int) -> int:
    """Return the last number that the process printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(path), str(first), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    printed = [int(await process.stdout.readline()) for _ in range(commits)]
    process.kill()
    rest, _ = await process.communicate()
    return int(([*map(str, printed), *rest.decode().split()])[-1])


async def test_killed_process_loses_no_commit_and_leaves_no_partial_one(path: Path) -> None:
    first = 1
    for _ in range(2):
        printed = await commit_until_killed(path, first=first, commits=50)
        async with SqliteJournal(path) as journal:
            numbers = [entry.record.metadata["number"] for entry in await journal.pending(limit=1_000_000)]
            # One more commit may have been stored and not yet printed.
            assert numbers[-1] in {printed, printed + 1}
            assert numbers == list(range(1, numbers[-1] + 1))
            assert await journal.snapshot(CLAN) == Snapshot({"number": numbers[-1]})
        first = numbers[-1] + 1
