"""The watch list across restarts, commands and configuration changes, with a real journal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.resource import API, Kind, Resource, Watch, default_watch
from coc2mqtt.mqtt.control.request import CommandError
from tests.support.watch_lists import CLAN, CLAN_STATE, PLAYER, PLAYER_STATE, WAR_STATE, starter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.support.watch_lists import Start


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return starter(tmp_path)


async def test_configured_watches_are_started(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        assert program.engine.watches == [CLAN, PLAYER]
        assert program.changed == []


async def test_watch_added_by_a_command_survives_a_restart(start: Start) -> None:
    async with start(CLAN) as program:
        await program.list.watch(PLAYER)
        assert program.engine.watches == [CLAN, PLAYER]
        assert program.changed == [(Kind.PLAYER, "#8QQ")]
    async with start(CLAN) as program:
        assert program.engine.watches == [CLAN, PLAYER]


async def test_watch_changed_by_a_command_stays_changed_and_is_logged(start: Start) -> None:
    slower = Watch(Kind.CLAN, "#2PP", 600.0)
    async with start(CLAN) as program:
        await program.list.watch(slower)
    with capture_logs() as log:
        async with start(CLAN) as program:
            assert program.engine.watches == [slower]
    assert [line["event"] for line in log] == ["configured watch was changed by a command"]


async def test_watch_added_by_a_command_as_configured_is_not_logged(start: Start) -> None:
    async with start() as program:
        await program.list.watch(CLAN)
    with capture_logs() as log:
        async with start(CLAN) as program:
            assert program.engine.watches == [CLAN]
    assert log == []


async def test_configured_watch_removed_by_a_command_stays_removed_and_is_logged(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        assert await program.list.unwatch(Kind.CLAN, "#2PP")
        assert program.engine.watches == [PLAYER]
    with capture_logs() as log:
        async with start(CLAN, PLAYER) as program:
            assert program.engine.watches == [PLAYER]
            await program.list.watch(CLAN)
    assert [line["event"] for line in log] == ["configured watch was removed by a command"]
    async with start(CLAN, PLAYER) as program:
        assert CLAN in program.engine.watches


async def test_removed_watch_is_reported_and_its_snapshots_are_kept(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        await program.commit_snapshots(CLAN_STATE, WAR_STATE, PLAYER_STATE)
        assert await program.list.unwatch(Kind.CLAN, "#2PP")
        assert await program.journal.resources() == [CLAN_STATE, PLAYER_STATE, WAR_STATE]
        assert program.changed == [(Kind.CLAN, "#2PP")]
    async with start(CLAN, PLAYER) as program:
        assert set(program.changed) == {(Kind.CLAN, "#2PP")}, "its topics may not have been emptied before"


async def test_watch_added_again_starts_without_its_old_snapshots(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        await program.commit_snapshots(CLAN_STATE, WAR_STATE, PLAYER_STATE)
        await program.list.unwatch(Kind.CLAN, "#2PP")
        await program.list.watch(CLAN)
        assert await program.journal.resources() == [PLAYER_STATE]


async def test_changed_watch_keeps_its_snapshots(start: Start) -> None:
    async with start(CLAN) as program:
        await program.commit_snapshots(CLAN_STATE, WAR_STATE)
        await program.list.watch(Watch(Kind.CLAN, "#2PP", 600.0))
        assert await program.journal.resources() == [CLAN_STATE, WAR_STATE]


async def test_unknown_watch_cannot_be_removed(start: Start) -> None:
    async with start(CLAN) as program:
        assert not await program.list.unwatch(Kind.PLAYER, "#2PP")
        assert program.engine.watches == [CLAN]
        assert program.changed == []


async def test_war_watched_again_starts_without_its_old_snapshot(start: Start) -> None:
    async with start(CLAN) as program:
        await program.commit_snapshots(CLAN_STATE, WAR_STATE)
        await program.list.watch(Watch(Kind.CLAN, "#2PP", 60.0, war=False))
        await program.list.watch(CLAN)
        assert await program.journal.resources() == [CLAN_STATE]


async def test_parts_of_a_clan_watched_again_start_without_their_old_snapshots(start: Start) -> None:
    whole, bare = default_watch(Kind.CLAN, "#2PP"), replace(default_watch(Kind.CLAN, "#2PP"), cwl=False, raids=False)
    parts = [Resource(Kind.CWL, "#2PP"), Resource(Kind.RAID, "#2PP")]
    async with start(whole) as program:
        await program.commit_snapshots(CLAN_STATE, WAR_STATE, *parts)
        await program.list.watch(replace(whole, cwl_standings=True, raid_interval=60.0))
        assert set(await program.journal.resources()) == {CLAN_STATE, WAR_STATE, *parts}, "options keep the snapshots"
        await program.list.watch(bare)
        assert set(await program.journal.resources()) == {CLAN_STATE, WAR_STATE, *parts}, "until the topics are emptied"
        await program.list.reset()
        assert set(await program.journal.resources()) == {CLAN_STATE, WAR_STATE}
        assert program.engine.watches == [whole]
        await program.commit_snapshots(*parts)
    async with start(bare) as program:
        assert set(program.changed) == {(Kind.CLAN, "#2PP")}, "league and raids are no longer watched"


async def test_watch_removed_from_the_configuration_is_reported(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        await program.commit_snapshots(API, CLAN_STATE, WAR_STATE, PLAYER_STATE)
    async with start(PLAYER) as program:
        assert set(program.changed) == {(Kind.CLAN, "#2PP")}
    async with start(Watch(Kind.CLAN, "#2PP", 60.0, war=False), PLAYER) as program:
        assert program.changed == [(Kind.CLAN, "#2PP")], "the war is no longer watched"


async def test_watch_removed_before_its_first_snapshot_is_not_reported_at_the_start(start: Start) -> None:
    async with start(CLAN) as program:
        await program.list.unwatch(Kind.CLAN, "#2PP")
    async with start(CLAN) as program:
        assert program.changed == []


async def test_watches_are_found_by_tag_and_kind(start: Start) -> None:
    both = Watch(Kind.PLAYER, "#2PP", 120.0)
    async with start(CLAN, PLAYER, both) as program:
        assert program.list.select() == [CLAN, PLAYER, both]
        assert program.list.select(tag="#2PP") == [CLAN, both]
        assert program.list.select(kind=Kind.PLAYER) == [PLAYER, both]
        assert program.list.find(Kind.PLAYER, "#2PP") == both
        assert program.list.find(Kind.CLAN, "#8QQ") is None


async def test_cached_name_is_used(start: Start) -> None:
    async with start(CLAN) as program:
        program.list.cache_name(CLAN_STATE, None)
        assert (await program.list.describe(CLAN)).name is None
        program.list.cache_name(CLAN_STATE, "The Order")
        assert (await program.list.describe(CLAN)).name == "The Order"


async def test_watches_are_filtered_by_tag_and_kind(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        assert program.list.select(tag="#2PP") == program.list.select(kind=Kind.CLAN) == [CLAN]
        assert program.list.select(kind=Kind.PLAYER, tag="#8QQ") == program.list.select(kind=Kind.PLAYER) == [PLAYER]
        assert program.list.select(kind=Kind.CLAN, tag="#8QQ") == program.list.select(tag="#9QQ") == []
        assert program.list.select() == [CLAN, PLAYER]


async def test_description_contains_only_keys_of_the_kind(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        await program.commit_snapshots(CLAN_STATE)
        program.list.on_commit(CLAN_STATE)
        clan, whole, player = [
            await program.list.describe(watch) for watch in (CLAN, default_watch(Kind.CLAN, "#2PP"), PLAYER)
        ]
    assert clan.model_dump(exclude_none=True) == {
        "kind": "clan",
        "tag": "#2PP",
        "name": "The Order",
        "interval": 60,
        "members": True,
        "war": True,
        "war_interval": 30,
        "cwl": False,
        "raids": False,
        "games": False,
        "reminders": {"war": [], "cwl": [], "raid": [], "games": [], "min_attacks_left": 1},
    }
    assert whole.model_dump(exclude_none=True) == {
        **clan.model_dump(exclude_none=True),
        "cwl": True,
        "cwl_interval": 600,
        "cwl_standings": False,
        "raids": True,
        "raid_interval": 600,
        "raid_defenses": False,
        "reminders": {
            "war": [21600.0, 3600.0],
            "cwl": [14400.0, 3600.0],
            "raid": [86400.0, 21600.0],
            "games": [172800.0, 43200.0],
            "min_attacks_left": 1,
        },
        "inactive_after": 604800.0,
    }
    assert player.model_dump(exclude_none=True) == {
        "kind": "player",
        "tag": "#8QQ",
        "interval": 120,
        "ranked": False,
        "exclude_fields": ["donations", "trophies"],
    }


async def test_commands_cannot_add_more_watches_than_the_maximum(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        await program.list.watch(Watch(Kind.CLAN, "#8QQ", 60.0))
        full = program.engine.watches
        with pytest.raises(
            CommandError, match=r"3 clans and players are already watched, and watch\.maximum is 3: remove"
        ):
            await program.list.watch(Watch(Kind.CLAN, "#9QQ", 60.0))
        assert program.engine.watches == full
        assert [stored.tag for stored in await program.journal.watches()] == ["#8QQ"]
        await program.list.watch(Watch(Kind.CLAN, "#2PP", 600.0))  # an existing watch can still be changed
        await program.list.unwatch(Kind.CLAN, "#8QQ")
        await program.list.watch(Watch(Kind.CLAN, "#9QQ", 60.0))


async def test_maximum_does_not_apply_to_configured_watches(start: Start) -> None:
    tags = ["#2PP", "#8QQ", "#9QQ", "#0QQ", "#2QQ"]
    async with start(*(Watch(Kind.CLAN, tag, 60.0) for tag in tags)) as program:
        assert [watch.tag for watch in program.engine.watches] == tags


async def test_adding_and_removing_many_watches_leaves_no_rows(start: Start) -> None:
    async with start(CLAN) as program:
        for first in "0289PYLQGRJCUV":
            await program.list.watch(Watch(Kind.CLAN, f"#{first}88", 60.0))
            await program.list.unwatch(Kind.CLAN, f"#{first}88")
        assert await program.journal.watches() == []
        # The removal of a configured watch must be stored.
        await program.list.unwatch(Kind.CLAN, "#2PP")
        assert [(stored.tag, stored.watch) for stored in await program.journal.watches()] == [("#2PP", None)]


async def test_concurrent_commands_cannot_add_more_watches_than_the_maximum(start: Start) -> None:
    async with start(CLAN) as program:
        adding = [program.list.watch(Watch(Kind.CLAN, f"#{tag}QQ", 60.0)) for tag in "0289"]
        results = await asyncio.gather(*adding, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), type(None), CommandError, CommandError]
        assert len(program.engine.watches) == 3


async def test_added_watches_are_reported_as_added(start: Start) -> None:
    async with start(CLAN) as program:
        assert program.added == []
        await program.list.watch(PLAYER, name="Ash")
        assert (await program.list.describe(PLAYER)).name == "Ash"
        await program.list.watch(replace(CLAN, interval=5.0))
        await program.list.unwatch(Kind.CLAN, "#2PP")
        await program.list.reset()
    assert program.added == [PLAYER, CLAN]


@pytest.mark.parametrize("steps", range(0, 12, 3))
async def test_change_is_completed_if_its_caller_is_cancelled(start: Start, steps: int) -> None:
    async with start(CLAN) as program:
        watching = asyncio.create_task(program.list.watch(PLAYER))
        unwatching = asyncio.create_task(program.list.unwatch(Kind.CLAN, "#2PP"))
        for _ in range(steps):
            await asyncio.sleep(0)
        watching.cancel()
        unwatching.cancel()
        await asyncio.wait({watching, unwatching})
        polled = program.engine.watches
    async with start(CLAN) as program:
        assert program.engine.watches == polled
    # A change that was cancelled before it started is not made, and any other is made completely.
    assert polled == ([CLAN] if steps == 0 else [PLAYER])


async def test_descriptions_use_cached_names_and_notice_new_ones(start: Start) -> None:
    async with start(CLAN) as program:
        assert (await program.list.describe(CLAN)).name is None
        await program.commit_snapshots(CLAN_STATE)
        assert program.list.on_commit(CLAN_STATE), "the name may be known now"
        assert (await program.list.describe(CLAN)).name == "The Order"
        assert not program.list.on_commit(CLAN_STATE)
        await program.list.describe(CLAN)
        await program.list.unwatch(Kind.CLAN, "#2PP")
        assert program.list._names == {}


@pytest.mark.parametrize("stored", [False, True])
async def test_change_with_a_bug_leaves_polling_and_journal_consistent(
    start: Start, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    def with_a_bug(change: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def changed(*args: Any, **options: Any) -> None:
            if stored:
                await change(*args, **options)
            raise KeyError("a bug")

        return changed

    async with start(CLAN) as program:
        for name in ("save_watch", "mark_watch_removed"):
            monkeypatch.setattr(program.journal, name, with_a_bug(getattr(program.journal, name)))
        with pytest.raises(KeyError):
            await program.list.watch(PLAYER)
        with pytest.raises(KeyError):
            await program.list.unwatch(Kind.CLAN, "#2PP")
        polled = program.engine.watches
        assert polled == ([PLAYER] if stored else [CLAN])
        assert {(Kind.PLAYER, "#8QQ"), (Kind.CLAN, "#2PP")} == set(program.changed)
    async with start(CLAN) as program:
        assert program.engine.watches == polled


async def test_configured_watch_added_again_follows_later_changes_of_the_file(start: Start) -> None:
    async with start(CLAN) as program:
        await program.list.unwatch(CLAN.kind, CLAN.tag)
        await program.list.watch(CLAN)
    async with start(replace(CLAN, interval=7.0)) as program:
        assert program.engine.watches == [replace(CLAN, interval=7.0)]
