"""Giving up what commands changed about the watches, with a real journal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.resource import Kind, Watch
from tests.support.watch_lists import CLAN, CLAN_STATE, PLAYER, PLAYER_STATE, WAR_STATE, starter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.watch_lists import Program, Start


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return starter(tmp_path)


OTHER = Watch(Kind.CLAN, "#9QQ", 60.0)


async def change_everything(program: Program) -> None:
    """Change one configured watch, remove the other, and add a third one."""
    await program.list.watch(replace(CLAN, interval=5.0, war=False))
    await program.list.unwatch(PLAYER.kind, PLAYER.tag)
    await program.list.watch(OTHER)


async def test_reset_gives_up_every_change(start: Start) -> None:
    async with start(CLAN, PLAYER) as program:
        await program.commit_snapshots(CLAN_STATE, WAR_STATE, PLAYER_STATE)
        await change_everything(program)
        program.changed.clear()
        assert await program.list.reset() == ([OTHER], [CLAN, PLAYER])
        assert sorted(program.changed) == [(Kind.CLAN, "#2PP"), (Kind.CLAN, "#9QQ"), (Kind.PLAYER, "#8QQ")]
        assert set(program.engine.watches) == {CLAN, PLAYER}
        assert await program.journal.watches() == []
        # The clan was polled all the time and keeps its snapshot. The war and the player start from a new baseline.
        assert await program.journal.resources() == [CLAN_STATE]
        assert await program.list.reset() == ([], [])
    async with start(replace(CLAN, interval=7.0), PLAYER) as program:
        assert program.engine.watches == [replace(CLAN, interval=7.0), PLAYER]


@pytest.mark.parametrize(
    ("selection", "reset"),
    [
        ({"tag": "#2PP"}, ([], [CLAN])),
        ({"kind": Kind.PLAYER}, ([], [PLAYER])),
        ({"kind": Kind.CLAN}, ([OTHER], [CLAN])),
        ({"kind": Kind.PLAYER, "tag": "#2PP"}, ([], [])),
        ({"tag": "#QQQ"}, ([], [])),
    ],
)
async def test_reset_of_selected_watches_keeps_the_other_changes(start: Start, selection: Any, reset: Any) -> None:
    async with start(CLAN, PLAYER) as program:
        await change_everything(program)
        before = len(await program.journal.watches())
        assert await program.list.reset(**selection) == reset
        assert len(await program.journal.watches()) == before - len(reset[0]) - len(reset[1])


async def test_reset_removes_stored_watch_that_equals_the_configuration(start: Start) -> None:
    async with start() as program:
        await program.list.watch(CLAN)
    async with start(CLAN) as program:
        assert await program.list.reset() == ([], [])
        assert await program.journal.watches() == []


async def test_configured_watch_is_known_while_it_is_removed(start: Start) -> None:
    async with start(CLAN) as program:
        await program.list.unwatch(CLAN.kind, CLAN.tag)
        assert program.list.configured(CLAN.kind, CLAN.tag) == CLAN
        assert program.list.configured(Kind.PLAYER, CLAN.tag) is None


@pytest.mark.parametrize("steps", range(0, 30, 3))
async def test_reset_is_completed_if_its_caller_is_cancelled(start: Start, steps: int) -> None:
    async with start(CLAN, PLAYER) as program:
        await change_everything(program)
        resetting = asyncio.create_task(program.list.reset())
        for _ in range(steps):
            await asyncio.sleep(0)
        resetting.cancel()
        await asyncio.wait({resetting})
        polled = program.engine.watches
    async with start(CLAN, PLAYER) as program:
        assert set(program.engine.watches) == set(polled)
    if steps:
        assert set(polled) == {CLAN, PLAYER}


async def test_reset_forgets_removal_of_watch_that_left_the_configuration(start: Start) -> None:
    async with start(CLAN) as program:
        await program.list.unwatch(CLAN.kind, CLAN.tag)
    async with start() as program:
        assert await program.list.reset() == ([], [])
    async with start(CLAN) as program:
        assert program.engine.watches == [CLAN]
