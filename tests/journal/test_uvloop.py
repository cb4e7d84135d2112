"""Group commit on uvloop, where a timer that is less than half a millisecond away is a handle without a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import SqliteJournal

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)


def run(main: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main, 30))


@pytest.mark.parametrize("window", [0.0001, 0.0004, 0.0006, 0.002])
def test_concurrent_writes_succeed_however_short_the_window(path: Path, window: float) -> None:
    async def main() -> None:
        async with SqliteJournal(path, batch_window=window, acknowledge_window=window) as journal:
            await asyncio.gather(*(journal.commit(CLAN, Snapshot({}), [EVENT]) for _ in range(3)))
            await asyncio.gather(journal.commit(CLAN, None, [EVENT]), journal.acknowledge([1, 2]))
            assert [entry.seq for entry in await journal.pending()] == [3, 4]

    run(main())


@pytest.mark.parametrize("left", [0.0001, 0.0004])
def test_write_just_before_the_window_ends_succeeds(path: Path, left: float) -> None:
    async def main() -> None:
        async with SqliteJournal(path, batch_window=0.03, acknowledge_window=left) as journal:
            await journal.commit(CLAN, None, [EVENT])
            commit = asyncio.create_task(journal.commit(CLAN, None, [EVENT]))
            await asyncio.gather(journal.acknowledge([1]), journal.acknowledge([1]), commit)
            assert [entry.seq for entry in await journal.pending()] == [2]

    run(main())
