"""The examples of cocapi's documentation; only intervals and endings are shortened."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.switching.setups import Setup

    Example = Callable[[Setup], Awaitable[list[str]]]

# The shortest interval of coc2mqtt (seconds).
_INTERVAL = 1
_LONGEST = 30.0


def _polls(setup: Setup) -> int:
    """Return the number of polls, without cocapi's connection test."""
    return sum(setup.server.requests.values()) - setup.server.requests["/v1/locations"]


async def _after_first_polls(setup: Setup, polls: int, *happen: Callable[[], object]) -> None:
    """Apply changes after everything was polled once."""
    while _polls(setup) < polls:  # noqa: ASYNC110 - the server announces no requests
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    for one in happen:
        one()


async def iterate(setup: Setup) -> list[str]:
    """Watch clans and wars, and iterate."""
    seen: dict[str, str] = {}
    stream = setup.events.EventStream(setup.api)
    stream.watch_clans([setup.clan], interval=_INTERVAL)
    stream.watch_wars([setup.clan], interval=_INTERVAL)
    world, clan = setup.world, setup.clan
    async with stream:
        await _after_first_polls(setup, 2, lambda: world.gain_points(clan), lambda: world.declare_war(clan))
        async for event in stream:
            changes = [f"{change.field}: {change.old_value} -> {change.new_value}" for change in event.changes]
            seen[event.event_type.value] = f"{event.event_type.value} {event.tag} {changes}"
            if {"clan_updated", "war_state_changed"} <= seen.keys():
                break
    return sorted(seen.values())


async def callbacks(setup: Setup) -> list[str]:
    """Register callbacks and run until one of them stops the stream."""
    seen: list[str] = []
    stream = setup.events.EventStream(setup.api, queue_size=1000)
    stream.watch_clans([setup.clan], interval=_INTERVAL, track_members=True)

    @stream.on(setup.events.EventType.CLAN_UPDATED)  # type: ignore[untyped-decorator]  # one of three modules
    async def on_clan(event: Any) -> None:
        seen.extend(f"{change.field}: {change.old_value} -> {change.new_value}" for change in event.changes[:1])

    @stream.on(setup.events.EventType.MEMBER_JOINED)  # type: ignore[untyped-decorator]  # the same
    async def on_join(event: Any) -> None:
        seen.append(f"{event.metadata['member_name']} joined")
        await stream.stop()

    async def anything(event: Any) -> None:
        seen.append(str(event.event_type.value))

    stream.add_callback(anything)
    async with asyncio.TaskGroup() as group:
        group.create_task(_after_first_polls(setup, 1, lambda: setup.world.join(setup.clan)))
        group.create_task(stream.run())
    return seen


async def players(setup: Setup) -> list[str]:
    """Watch a player's trophies and town hall."""
    stream = setup.events.EventStream(setup.api)
    stream.watch_players(
        [setup.player], interval=_INTERVAL, include_fields=frozenset({"trophies", "townHallLevel"})
    ).watch_maintenance(interval=_INTERVAL)
    world = setup.world
    async with stream:
        happen = (lambda: world.upgrade_hero(setup.player), lambda: world.win_trophies(setup.player))
        await _after_first_polls(setup, 2, *happen)
        return [f"{change.field}" for change in (await stream.__anext__()).changes]


async def persistence(setup: Setup) -> list[str]:
    """Keep the state across a restart."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "of" / "coc" / "state.json"
        for again in (False, True):
            stream = setup.events.EventStream(setup.api, persist_path=str(path))
            stream.watch_clans([setup.clan], interval=_INTERVAL)
            before = _polls(setup)
            async with stream:
                await _after_first_polls(setup, before + 1)
                if again:
                    return [str((await stream.__anext__()).event_type.value)]
            setup.world.gain_points(setup.clan)
    return []


async def takeover(setup: Setup) -> list[str]:
    """Start with a state file saved by cocapi."""
    clan = setup.world.clan(setup.clan) or {}
    state = {"clans": {setup.clan: clan}, "members": {setup.clan: clan["memberList"]}, "wars": {}, "players": {}}
    setup.world.leave(setup.clan)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        path.write_text(json.dumps({**state, "war_states": {}, "last_poll_times": {}, "saved_at": 0}))
        stream = setup.events.EventStream(setup.api, persist_path=path).watch_clans([setup.clan], interval=_INTERVAL)
        async with stream:
            return [str((await stream.__anext__()).event_type.value) for _ in range(2)]


async def documented_tags(setup: Setup) -> list[str]:
    """Watch the tags that the documentation uses."""
    stream = setup.events.EventStream(setup.api)
    stream.watch_clans(["#ABC"], interval=_INTERVAL).watch_wars(["#TAG1"], interval=_INTERVAL)
    async with stream:
        return sorted({str((await stream.__anext__()).event_type.value) for _ in range(2)})


async def watchers(setup: Setup) -> list[str]:
    """Use a watcher without a stream."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    state = setup.events.PollingState()
    watcher = setup.events.ClanWatcher(setup.api, state, queue, [setup.clan], interval=60.0, track_members=True)
    watcher.interval = float(_INTERVAL)
    watcher.start()
    await _after_first_polls(setup, 1, lambda: setup.world.leave(setup.clan))
    seen = [str((await queue.get()).event_type.value) for _ in range(2)]
    await watcher.stop()
    return [*seen, str(state.get_clan(setup.clan) is not None), str(len(state.get_members(setup.clan)))]


EXAMPLES = (iterate, callbacks, players, persistence, takeover, documented_tags, watchers)


async def run(example: Example, setup: Setup) -> str:
    """Return the output of an example."""
    async with asyncio.timeout(_LONGEST):
        return ", ".join(await example(setup))
