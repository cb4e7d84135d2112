"""Runs of a program with a watch list and a real journal."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import SecretStr

from coc2mqtt.clash.client import ClashClient
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.watch_list import WatchList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Start = Callable[..., AbstractAsyncContextManager["Program"]]

CLAN = Watch(Kind.CLAN, "#2PP", 60.0)
PLAYER = Watch(Kind.PLAYER, "#8QQ", 120.0, exclude_fields=frozenset({"trophies", "donations"}))
CLAN_STATE, WAR_STATE = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
PLAYER_STATE = Resource(Kind.PLAYER, "#8QQ")
SNAPSHOT = Snapshot({"name": "The Order"}, taken_at=1.0)


class Program:
    """One run of the program; ``changed`` and ``added`` contain the watches that the callbacks were called with."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.changed: list[tuple[Kind, str]] = []
        self.added: list[Watch] = []
        # Never runs, so nothing is polled.
        self.engine = Engine(ClashClient([SecretStr("any")]), journal)
        self.list = WatchList(
            journal,
            self.engine,
            on_change=lambda watch: self.changed.append((watch.kind, watch.tag)),
            on_add=self.added.append,
            maximum=3,
        )

    async def commit_snapshots(self, *resources: Resource) -> None:
        for resource in resources:
            await self.journal.commit(resource, SNAPSHOT, [])


def starter(folder: Path) -> Start:
    """Return a function that runs the program with some configured watches, each time with the same journal."""

    @asynccontextmanager
    async def run(*configured: Watch) -> AsyncIterator[Program]:
        async with SqliteJournal(folder / "coc2mqtt.db") as journal:
            program = Program(journal)
            await program.list.load(configured)
            yield program

    return run
