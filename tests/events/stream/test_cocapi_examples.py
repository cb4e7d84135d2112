"""The examples of cocapi's documentation, with our client and with one that returns dicts as cocapi does."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.events import (
    ClanWatcher,
    Event,
    EventStream,
    EventType,
    MaintenanceWatcher,
    PlayerWatcher,
    PollingState,
    WarWatcher,
)
from coc2mqtt.events.resource import API, Kind
from tests.support.dict_clients import WorldClient, http_error
from tests.support.paths import ROOT
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from coc2mqtt.clash import ClashClient
    from tests.events.conftest import Bench, Until

    Client = ClashClient | WorldClient
    Polled = Callable[[EventStream, int], Awaitable[None]]


@pytest.fixture(params=["ClashClient", "a client that returns dicts"])
def client(request: pytest.FixtureRequest, bench: Bench) -> Client:
    return bench.api if request.param == "ClashClient" else WorldClient(bench.world)


@pytest.fixture
def polled(until: Until) -> Polled:
    async def wait(stream: EventStream, polls: int) -> None:
        await until(lambda: stream._engine.metrics.polls >= polls)

    return wait


async def take(stream: EventStream, number: int) -> list[Event]:
    events: list[Event] = []
    async with asyncio.timeout(LONG_ENOUGH):
        async for event in stream:
            events.append(event)
            if len(events) == number:
                break
    return events


async def test_events_of_clans_and_wars_are_iterated(client: Client, bench: Bench, polled: Polled) -> None:
    stream = EventStream(client)
    stream.watch_clans([bench.clan], interval=60)
    stream.watch_wars([bench.clan], interval=30)
    async with stream:
        await polled(stream, 2)
        bench.world.gain_points(bench.clan)
        bench.world.declare_war(bench.clan)
        stream._engine.poll_now(Kind.CLAN, bench.clan)
        stream._engine.poll_now(Kind.WAR, bench.clan)
        events = await take(stream, 3)
    assert {(event.event_type.value, event.tag) for event in events} == {
        ("clan_updated", bench.clan),
        ("war_new", bench.clan),
        ("war_state_changed", bench.clan),
    }
    (updated,) = (event for event in events if event.event_type is EventType.CLAN_UPDATED)
    assert all(change.old_value != change.new_value for change in updated.changes)
    assert updated.old_data is not None
    assert updated.new_data == bench.world.clan(bench.clan)


async def test_tags_of_the_documentation_are_reported_as_unavailable(client: Client) -> None:
    stream = EventStream(client)
    with capture_logs() as logs:
        stream.watch_clans(["#ABC"], interval=60).watch_wars(["#TAG1"], interval=30)
        stream.watch_players(["#TAG1"], interval=120, include_fields=frozenset({"trophies", "townHallLevel"}))
    assert [line["tag"] for line in logs] == ["#ABC", "#TAG1", "#TAG1"]
    async with stream:
        events = await take(stream, 3)
    assert {event.event_type for event in events} == {EventType.WATCH_UNAVAILABLE}
    assert {(event.tag, event.metadata["endpoint"]) for event in events} == {
        ("#ABC", "clan"),
        ("#TAG1", "currentwar"),
        ("#TAG1", "player"),
    }


async def test_run_calls_callbacks_until_the_stream_is_stopped(client: Client, bench: Bench, polled: Polled) -> None:
    stream = EventStream(client).watch_clans([bench.clan])
    seen: list[str] = []

    @stream.on(EventType.MEMBER_JOINED)
    async def on_join(event: Event) -> None:
        seen.append(f"{event.metadata['member_name']} joined {event.tag}!")
        await stream.stop()

    @stream.on(EventType.CLAN_UPDATED)
    async def on_clan(event: Event) -> None:
        await asyncio.sleep(0)
        seen.extend(f"{change.field}: {change.old_value} -> {change.new_value}" for change in event.changes)

    async with asyncio.timeout(LONG_ENOUGH), asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        await polled(stream, 1)
        tag = bench.world.join(bench.clan)[-1].details["member_tag"]
        stream._engine.poll_now(Kind.CLAN, bench.clan)
    (joined,) = (member for member in (bench.world.clan(bench.clan) or {})["memberList"] if member["tag"] == tag)
    assert seen == ["members: 10 -> 11", f"{joined['name']} joined {bench.clan}!"]


async def test_only_included_fields_of_players_are_reported(client: Client, bench: Bench, polled: Polled) -> None:
    stream = EventStream(client)
    stream.watch_players([bench.player], interval=120, include_fields=frozenset({"trophies", "townHallLevel"}))
    async with stream:
        await polled(stream, 1)
        bench.world.upgrade_hero(bench.player)
        bench.world.win_trophies(bench.player)
        bench.world.upgrade_town_hall(bench.player)
        stream._engine.poll_now(Kind.PLAYER, bench.player)
        events = await take(stream, 2)
    assert [event.event_type.value for event in events] == ["townhall_upgraded", "player_updated"]
    assert [change.field for change in events[1].changes] == ["trophies"]


async def test_start_and_end_of_a_maintenance_are_reported(client: Client, bench: Bench, polled: Polled) -> None:
    stream = EventStream(client).watch_maintenance(interval=30)
    async with stream:
        await polled(stream, 1)
        bench.world.start_maintenance()
        stream._engine._scheduler.poll_now(API)
        events = await take(stream, 1)
        bench.world.end_maintenance()
        for polls in (3, 4):
            stream._engine._scheduler.poll_now(API)
            await polled(stream, polls)
        events += await take(stream, 1)
    assert [event.event_type for event in events] == [EventType.MAINTENANCE_START, EventType.MAINTENANCE_END]
    assert events[1].metadata["duration_seconds"] >= 0


async def test_state_survives_a_restart(client: Client, bench: Bench, polled: Polled, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    async with EventStream(client, queue_size=1000, persist_path=str(path)).watch_clans([bench.clan]) as stream:
        await polled(stream, 1)
    bench.world.gain_points(bench.clan)
    async with EventStream(client, persist_path=path).watch_clans([bench.clan]) as stream:
        (event,) = await take(stream, 1)
    assert event.event_type is EventType.CLAN_UPDATED
    assert event.metadata["catch_up"] is True


async def test_stream_continues_from_a_state_file_of_cocapi(client: Client, bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = bench.world.clan(bench.clan) or {}
    saved = {"clans": {bench.clan: before}, "members": {bench.clan: before["memberList"]}, "saved_at": 1.8e9}
    path.write_text(json.dumps({**saved, "wars": {}, "war_states": {}, "players": {}, "last_poll_times": {}}))
    bench.world.join(bench.clan)
    async with EventStream(client, persist_path=path).watch_clans([bench.clan]) as stream:
        events = await take(stream, 2)
    assert [event.event_type.value for event in events] == ["clan_updated", "member_joined"]
    assert await asyncio.to_thread(PollingState().load, path)


async def test_watchers_work_without_a_stream(client: Client, bench: Bench, until: Until) -> None:
    state, queue = PollingState(), asyncio.Queue[Event]()
    watchers = [
        ClanWatcher(client, state, queue, [bench.clan], interval=60.0, track_members=True),
        WarWatcher(client, state, queue, [bench.clan], interval=30.0),
        PlayerWatcher(client, state, queue, [bench.player], interval=120.0, exclude_fields=frozenset({"trophies"})),
        MaintenanceWatcher(client, state, queue, interval=30.0),
    ]
    for watcher in watchers:
        watcher.start()
    await until(lambda: state.get_clan(bench.clan) and state.get_war(bench.clan) and state.get_player(bench.player))
    for watcher in watchers:
        await watcher.stop()
    bench.world.win_trophies(bench.player)
    bench.world.upgrade_troop(bench.player)
    events = [event for watcher in watchers for event in await watcher._poll_once()]
    assert [event.event_type.value for event in events] == ["troop_upgraded"]
    assert queue.qsize() == 1


async def test_events_are_the_same_with_either_client(bench: Bench) -> None:
    """Change a clan, a war and a player step by step, polled with both clients."""
    seen = []
    for client in (bench.api, WorldClient(bench.world)):
        state, queue = PollingState(), asyncio.Queue[Event]()
        seen.append(
            [
                ClanWatcher(client, state, queue, [bench.clan]),
                WarWatcher(client, state, queue, [bench.clan]),
                PlayerWatcher(client, state, queue, [bench.player]),
            ]
        )
    world = bench.world
    steps: list[Callable[[], object]] = [
        lambda: None,
        lambda: world.join(bench.clan),
        lambda: world.donate(bench.clan),
        lambda: world.declare_war(bench.clan),
        lambda: world.start_battle(bench.clan),
        lambda: world.attack(bench.clan),
        lambda: world.upgrade_hero(bench.player),
        lambda: world.leave(bench.clan),
    ]
    types = set()
    for step in steps:
        step()
        ours, theirs = [[event for one in watchers for event in await one._poll_once()] for watchers in seen]
        assert [vars(event) | {"timestamp": 0} for event in ours] == [
            vars(event) | {"timestamp": 0} for event in theirs
        ]
        types |= {event.event_type.value for event in ours}
    assert types >= {"member_joined", "member_donations", "war_new", "war_attack_new", "hero_upgraded", "member_left"}


async def test_examples_of_the_page_for_cocapi_users_run(
    bench: Bench, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs" / "coming-from-cocapi.md"
    first, second = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    client = WorldClient(bench.world)

    @asynccontextmanager
    async def opened(_: str, *, config: object) -> AsyncIterator[WorldClient]:
        assert config == {"enable_caching": False}
        yield client

    monkeypatch.setitem(sys.modules, "cocapi", SimpleNamespace(ApiConfig=dict, CocApi=opened))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(first.replace("asyncio.run(main())", ""), names)  # noqa: S102 - the code of the page
    running = asyncio.create_task(names["main"]())
    await until(lambda: {("clan", "#2PP"), ("war", "#2PP")} <= set(client.requests))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(PollingState().load, tmp_path / "state.json")
    compile(second, page.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def test_poll_error_of_a_dict_client_is_reported_once(bench: Bench) -> None:
    client = WorldClient(bench.world)
    watcher = ClanWatcher(client, bench.state, bench.queue, [bench.clan])
    assert await watcher._poll_once() == []
    client.failure = http_error(500)
    (event,) = [*await watcher._poll_once(), *await watcher._poll_once()]
    assert (event.event_type, event.metadata["error"]) == (EventType.POLL_ERROR, "server_error")
    client.failure = None
    bench.world.gain_points(bench.clan)
    assert [event.event_type for event in await watcher._poll_once()] == [EventType.CLAN_UPDATED]


async def test_private_war_log_of_a_dict_client_is_not_a_failure(bench: Bench) -> None:
    client = WorldClient(bench.world)
    watcher = WarWatcher(client, bench.state, bench.queue, [bench.clan])
    await watcher._poll_once()
    bench.world.set_war_log_public(bench.clan, False)
    assert [event.event_type for event in await watcher._poll_once()] == [EventType.WAR_LOG_PRIVATE]
