"""What is watched, over restarts, commands and changes of the configuration; on a real journal."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from coc2mqtt.clash.client import ClashClient
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.mqtt.control.command import CommandError
from coc2mqtt.watch_list import WatchList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Start = Callable[..., AbstractAsyncContextManager["Running"]]

CLAN = Watch(Kind.CLAN, "#2PP", 60.0)
PLAYER = Watch(Kind.PLAYER, "#8QQ", 120.0, exclude_fields=frozenset({"trophies", "donations"}))
CLAN_STATE, WAR_STATE = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
PLAYER_STATE = Resource(Kind.PLAYER, "#8QQ")
SNAPSHOT = Snapshot({"name": "The Order"}, taken_at=1.0)


class Running:
    """A list of watches, as long as one run of the program lasts; ``changed`` is what it said has changed."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.changed: list[tuple[Kind, str]] = []
        # Never run: nothing is polled.
        self.engine = Engine(ClashClient([SecretStr("any")]), journal)
        self.list = WatchList(
            journal, self.engine, on_change=lambda watch: self.changed.append((watch.kind, watch.tag)), maximum=3
        )

    async def remember(self, *resources: Resource) -> None:
        for resource in resources:
            await self.journal.commit(resource, SNAPSHOT, [])


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start the program, again and again with the same journal, with these watches in its configuration."""

    @asynccontextmanager
    async def run(*configured: Watch) -> AsyncIterator[Running]:
        async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
            running = Running(journal)
            await running.list.load(configured)
            yield running

    return run


async def test_what_the_configuration_names_is_watched(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        assert running.engine.watches == [CLAN, PLAYER]
        assert running.changed == []


async def test_a_watch_made_by_a_command_is_there_after_a_restart(start: Start) -> None:
    async with start(CLAN) as running:
        await running.list.watch(PLAYER)
        assert running.engine.watches == [CLAN, PLAYER]
        assert running.changed == [(Kind.PLAYER, "#8QQ")]
    async with start(CLAN) as running:
        assert running.engine.watches == [CLAN, PLAYER]


async def test_a_watch_that_a_command_changed_stays_so_and_that_is_told(start: Start) -> None:
    slower = Watch(Kind.CLAN, "#2PP", 600.0)
    async with start(CLAN) as running:
        await running.list.watch(slower)
    with capture_logs() as log:
        async with start(CLAN) as running:
            assert running.engine.watches == [slower]
    assert [line["event"] for line in log] == ["configured watch was changed by a command"]


async def test_a_watch_that_a_command_made_as_it_is_configured_is_worth_no_word(start: Start) -> None:
    async with start() as running:
        await running.list.watch(CLAN)
    with capture_logs() as log:
        async with start(CLAN) as running:
            assert running.engine.watches == [CLAN]
    assert log == []


async def test_a_configured_watch_that_a_command_stopped_stays_so_and_that_is_told(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        assert await running.list.unwatch(Kind.CLAN, "#2PP")
        assert running.engine.watches == [PLAYER]
    with capture_logs() as log:
        async with start(CLAN, PLAYER) as running:
            assert running.engine.watches == [PLAYER]
            await running.list.watch(CLAN)
    assert [line["event"] for line in log] == ["configured watch was removed by a command"]
    async with start(CLAN, PLAYER) as running:
        assert CLAN in running.engine.watches


async def test_what_is_unwatched_is_told_and_kept_until_its_topics_are_emptied(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        await running.remember(CLAN_STATE, WAR_STATE, PLAYER_STATE)
        assert await running.list.unwatch(Kind.CLAN, "#2PP")
        assert await running.journal.resources() == [CLAN_STATE, PLAYER_STATE, WAR_STATE]
        assert running.changed == [(Kind.CLAN, "#2PP")]
    async with start(CLAN, PLAYER) as running:
        assert set(running.changed) == {(Kind.CLAN, "#2PP")}, "it may not have come to that before"


async def test_what_is_watched_again_begins_anew(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        await running.remember(CLAN_STATE, WAR_STATE, PLAYER_STATE)
        await running.list.unwatch(Kind.CLAN, "#2PP")
        await running.list.watch(CLAN)
        assert await running.journal.resources() == [PLAYER_STATE]


async def test_a_watch_that_is_changed_goes_on_from_where_it_was(start: Start) -> None:
    async with start(CLAN) as running:
        await running.remember(CLAN_STATE, WAR_STATE)
        await running.list.watch(Watch(Kind.CLAN, "#2PP", 600.0))
        assert await running.journal.resources() == [CLAN_STATE, WAR_STATE]


async def test_what_is_not_watched_cannot_be_unwatched(start: Start) -> None:
    async with start(CLAN) as running:
        assert not await running.list.unwatch(Kind.PLAYER, "#2PP")
        assert running.engine.watches == [CLAN]
        assert running.changed == []


async def test_a_war_that_is_watched_again_begins_anew(start: Start) -> None:
    async with start(CLAN) as running:
        await running.remember(CLAN_STATE, WAR_STATE)
        await running.list.watch(Watch(Kind.CLAN, "#2PP", 60.0, war=False))
        await running.list.watch(CLAN)
        assert await running.journal.resources() == [CLAN_STATE]


async def test_what_the_configuration_names_no_more_is_told(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        await running.remember(API, CLAN_STATE, WAR_STATE, PLAYER_STATE)
    async with start(PLAYER) as running:
        assert set(running.changed) == {(Kind.CLAN, "#2PP")}
    async with start(Watch(Kind.CLAN, "#2PP", 60.0, war=False), PLAYER) as running:
        assert running.changed == [(Kind.CLAN, "#2PP")], "the war is wanted no more"


async def test_what_was_never_seen_needs_no_word_when_it_is_gone(start: Start) -> None:
    async with start(CLAN) as running:
        await running.list.unwatch(Kind.CLAN, "#2PP")
    async with start(CLAN) as running:
        assert running.changed == []


async def test_watches_are_found_by_tag_and_kind(start: Start) -> None:
    both = Watch(Kind.PLAYER, "#2PP", 120.0)
    async with start(CLAN, PLAYER, both) as running:
        assert running.list.select() == [CLAN, PLAYER, both]
        assert running.list.select(tag="#2PP") == [CLAN, both]
        assert running.list.select(kind=Kind.PLAYER) == [PLAYER, both]
        assert running.list.find(Kind.PLAYER, "#2PP") == both
        assert running.list.find(Kind.CLAN, "#8QQ") is None


async def test_a_name_that_somebody_has_read_anyway_is_not_read_again(start: Start) -> None:
    async with start(CLAN) as running:
        running.list.cache_name(CLAN_STATE, None)
        assert (await running.list.describe(CLAN)).name is None
        running.list.cache_name(CLAN_STATE, "The Order")
        assert (await running.list.describe(CLAN)).name == "The Order"


async def test_what_is_watched_is_found_by_its_tag_and_its_kind(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        assert running.list.select(tag="#2PP") == running.list.select(kind=Kind.CLAN) == [CLAN]
        assert running.list.select(kind=Kind.PLAYER, tag="#8QQ") == running.list.select(kind=Kind.PLAYER) == [PLAYER]
        assert running.list.select(kind=Kind.CLAN, tag="#8QQ") == running.list.select(tag="#9QQ") == []
        assert running.list.select() == [CLAN, PLAYER]


async def test_a_watch_is_described_with_what_concerns_its_kind(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        await running.remember(CLAN_STATE)
        running.list.on_commit(CLAN_STATE)
        clan, player = [await running.list.describe(watch) for watch in (CLAN, PLAYER)]
    assert clan.model_dump(exclude_none=True) == {
        "kind": "clan",
        "tag": "#2PP",
        "name": "The Order",
        "interval": 60,
        "members": True,
        "war": True,
        "war_interval": 30,
    }
    assert player.model_dump(exclude_none=True) == {
        "kind": "player",
        "tag": "#8QQ",
        "interval": 120,
        "exclude_fields": ["donations", "trophies"],
    }


async def test_commands_cannot_add_more_watches_than_the_maximum(start: Start) -> None:
    async with start(CLAN, PLAYER) as running:
        await running.list.watch(Watch(Kind.CLAN, "#8QQ", 60.0))
        full = running.engine.watches
        with pytest.raises(
            CommandError, match=r"3 clans and players are already watched, and watch\.maximum is 3: remove"
        ):
            await running.list.watch(Watch(Kind.CLAN, "#9QQ", 60.0))
        assert running.engine.watches == full
        assert [stored.tag for stored in await running.journal.watches()] == ["#8QQ"]
        await running.list.watch(Watch(Kind.CLAN, "#2PP", 600.0))  # one that is there can still be changed
        await running.list.unwatch(Kind.CLAN, "#8QQ")
        await running.list.watch(Watch(Kind.CLAN, "#9QQ", 60.0))


async def test_what_the_file_names_is_watched_however_much_it_is(start: Start) -> None:
    tags = ["#2PP", "#8QQ", "#9QQ", "#0QQ", "#2QQ"]
    async with start(*(Watch(Kind.CLAN, tag, 60.0) for tag in tags)) as running:
        assert [watch.tag for watch in running.engine.watches] == tags


async def test_watching_and_unwatching_many_leaves_nothing_behind(start: Start) -> None:
    async with start(CLAN) as running:
        for first in "0289PYLQGRJCUV":
            await running.list.watch(Watch(Kind.CLAN, f"#{first}88", 60.0))
            await running.list.unwatch(Kind.CLAN, f"#{first}88")
        assert await running.journal.watches() == []
        # One of the file is to stay away, so that must be remembered.
        await running.list.unwatch(Kind.CLAN, "#2PP")
        assert [(stored.tag, stored.watch) for stored in await running.journal.watches()] == [("#2PP", None)]


@pytest.mark.parametrize("turns", range(0, 12, 3))
async def test_a_change_whose_asker_is_cancelled_is_made_whole(start: Start, turns: int) -> None:
    async with start(CLAN) as running:
        watching = asyncio.create_task(running.list.watch(PLAYER))
        unwatching = asyncio.create_task(running.list.unwatch(Kind.CLAN, "#2PP"))
        for _ in range(turns):
            await asyncio.sleep(0)
        watching.cancel()
        unwatching.cancel()
        await asyncio.wait({watching, unwatching})
        polled = running.engine.watches
    async with start(CLAN) as running:
        assert running.engine.watches == polled
    # Cancelled before it was begun, nothing has happened; later, everything.
    assert polled == ([CLAN] if turns == 0 else [PLAYER])


async def test_a_list_is_described_without_reading_it_anew_and_knows_each_new_name(start: Start) -> None:
    async with start(CLAN) as running:
        assert (await running.list.describe(CLAN)).name is None
        await running.remember(CLAN_STATE)
        assert running.list.on_commit(CLAN_STATE), "a name came where there was none"
        assert (await running.list.describe(CLAN)).name == "The Order"
        assert not running.list.on_commit(CLAN_STATE)
        await running.list.describe(CLAN)
        await running.list.unwatch(Kind.CLAN, "#2PP")
        assert running.list._names == {}


@pytest.mark.parametrize("stored", [False, True])
async def test_change_that_hits_a_bug_leaves_polling_and_journal_in_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    def with_a_bug(change: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def changed(*args: Any, **options: Any) -> None:
            if stored:
                await change(*args, **options)
            raise KeyError("a bug")

        return changed

    async with start(CLAN) as running:
        for name in ("save_watch", "mark_watch_removed"):
            monkeypatch.setattr(running.journal, name, with_a_bug(getattr(running.journal, name)))
        with pytest.raises(KeyError):
            await running.list.watch(PLAYER)
        with pytest.raises(KeyError):
            await running.list.unwatch(Kind.CLAN, "#2PP")
        polled = running.engine.watches
        assert polled == ([PLAYER] if stored else [CLAN])
        assert {(Kind.PLAYER, "#8QQ"), (Kind.CLAN, "#2PP")} == set(running.changed)
    async with start(CLAN) as running:
        assert running.engine.watches == polled
