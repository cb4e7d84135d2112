from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from coc2mqtt.demo import faults
from coc2mqtt.events import (
    BaseWatcher,
    ClanWatcher,
    Event,
    EventType,
    MaintenanceWatcher,
    PlayerWatcher,
    PollingState,
    WarWatcher,
)
from tests.events.stream.test_surface import SEED_TYPES
from tests.support.dict_clients import WorldClient
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coc2mqtt.demo import World
    from tests.events.conftest import Bench, Until

    Happen = Callable[[Bench], object]


def member(bench: Bench) -> str:
    """Return a member who can be promoted."""
    clan = bench.world.clan(bench.clan) or {}
    return str(next(one["tag"] for one in clan["memberList"] if one["role"] == "member"))


def start_war(bench: Bench) -> None:
    bench.world.declare_war(bench.clan)
    bench.world.start_battle(bench.clan)


def nothing(_: Bench) -> None:
    pass


def watchers(bench: Bench) -> list[BaseWatcher]:
    """Return one watcher of each kind, on one queue."""
    common = bench.api, bench.state, bench.queue
    return [
        ClanWatcher(*common, [bench.clan]),
        WarWatcher(*common, [bench.clan]),
        PlayerWatcher(*common, [bench.player]),
        MaintenanceWatcher(*common),
    ]


async def poll(*polled: BaseWatcher) -> list[Event]:
    return [event for watcher in polled for event in await watcher._poll_once()]


# The preparation and the change that cause each documented event type.
CASES: dict[str, tuple[Happen, Happen]] = {
    "clan_updated": (nothing, lambda bench: bench.world.gain_points(bench.clan)),
    "member_joined": (nothing, lambda bench: bench.world.join(bench.clan)),
    "member_left": (nothing, lambda bench: bench.world.leave(bench.clan)),
    "member_updated": (nothing, lambda bench: bench.world.upgrade_member_town_hall(bench.clan)),
    "member_role_changed": (nothing, lambda bench: bench.world.promote(bench.clan, member(bench))),
    "member_donations": (nothing, lambda bench: bench.world.donate(bench.clan)),
    "war_state_changed": (nothing, lambda bench: bench.world.declare_war(bench.clan)),
    "war_attack_new": (start_war, lambda bench: bench.world.attack(bench.clan)),
    "player_updated": (nothing, lambda bench: bench.world.win_trophies(bench.player)),
    "troop_upgraded": (nothing, lambda bench: bench.world.upgrade_troop(bench.player)),
    "spell_upgraded": (nothing, lambda bench: bench.world.upgrade_spell(bench.player)),
    "hero_upgraded": (nothing, lambda bench: bench.world.upgrade_hero(bench.player)),
    "hero_equipment_upgraded": (nothing, lambda bench: bench.world.upgrade_equipment(bench.player)),
    "townhall_upgraded": (nothing, lambda bench: bench.world.upgrade_town_hall(bench.player)),
    "builderhall_upgraded": (nothing, lambda bench: bench.world.upgrade_builder_hall(bench.player)),
    "player_name_changed": (nothing, lambda bench: bench.world.rename_player(bench.player)),
    "player_league_changed": (nothing, lambda bench: bench.world.change_league(bench.player)),
    "player_label_changed": (nothing, lambda bench: bench.world.change_labels(bench.player)),
    "maintenance_start": (nothing, lambda bench: bench.world.start_maintenance()),
    "maintenance_end": (lambda bench: bench.world.start_maintenance(), lambda bench: bench.world.end_maintenance()),
    "poll_error": (nothing, lambda bench: bench.server.faults.add(faults.html_page(), path=bench.clan + "/")),
}


@pytest.mark.parametrize("event_type", CASES)
async def test_watchers_report_each_documented_event_type(bench: Bench, event_type: str) -> None:
    before, happen = CASES[event_type]
    before(bench)
    polled = watchers(bench)
    assert await poll(*polled) == [], "the first poll is silent"
    happen(bench)
    events = await poll(*polled) + await poll(*polled)
    assert event_type in {event.event_type.value for event in events}
    scripted = [change for change in bench.world.changes if change.event_type == event_type]
    tags = {change.tag for change in scripted} or {bench.clan}
    reported = [event for event in events if event.event_type.value == event_type]
    assert {event.tag for event in reported} == tags
    for change in scripted:
        expected = {key: value for key, value in change.details.items() if key != "fields"}
        assert any(expected.items() <= event.metadata.items() for event in reported)
    assert [bench.queue.get_nowait() for _ in range(bench.queue.qsize())] == events, "the events are on the queue"
    assert await poll(*polled) == [], "reported once"


def test_cases_cover_all_documented_event_types() -> None:
    assert list(CASES) == SEED_TYPES


async def test_without_track_members_only_clan_events_are_reported(bench: Bench) -> None:
    watcher = ClanWatcher(bench.api, bench.state, bench.queue, [bench.clan], track_members=False)
    await watcher._poll_once()
    bench.world.join(bench.clan)
    assert [event.event_type for event in await watcher._poll_once()] == [EventType.CLAN_UPDATED]


async def test_include_and_exclude_fields_filter_player_events(bench: Bench) -> None:
    watcher = PlayerWatcher(
        bench.api,
        bench.state,
        bench.queue,
        [bench.player],
        include_fields=frozenset({"heroes", "trophies"}),
        exclude_fields=frozenset({"trophies"}),
    )
    await watcher._poll_once()
    bench.world.upgrade_hero(bench.player)
    bench.world.upgrade_troop(bench.player)
    bench.world.win_trophies(bench.player)
    assert [event.event_type for event in await watcher._poll_once()] == [EventType.HERO_UPGRADED]


async def test_tags_are_normalised(bench: Bench) -> None:
    raw = bench.clan.removeprefix("#").lower()
    watcher = ClanWatcher(bench.api, bench.state, bench.queue, [f" {raw} "])
    await watcher._poll_once()
    assert bench.state.get_clan(bench.clan) == bench.world.clan(bench.clan)


async def test_maintenance_is_reported_only_by_its_own_watcher(bench: Bench) -> None:
    polled = watchers(bench)
    await poll(*polled)
    bench.world.start_maintenance()
    assert [event.event_type for event in await poll(*polled) + await poll(*polled)] == [EventType.MAINTENANCE_START]
    bench.world.end_maintenance()
    reported = [event.event_type for _ in range(3) for event in await poll(*polled)]
    assert reported == [EventType.MAINTENANCE_END]


async def test_maintenance_from_the_previous_run_ends_in_this_one(bench: Bench, tmp_path: Path) -> None:
    watcher = MaintenanceWatcher(bench.api, bench.state, bench.queue)
    await watcher._poll_once()
    bench.world.start_maintenance()
    await watcher._poll_once()
    await asyncio.to_thread(bench.state.save, tmp_path / "state")

    bench.world.end_maintenance()
    state = PollingState()
    assert await asyncio.to_thread(state.load, tmp_path / "state")
    watcher = MaintenanceWatcher(bench.api, state, bench.queue)
    reported = [event.event_type for _ in range(3) for event in await watcher._poll_once()]
    assert reported == [EventType.MAINTENANCE_END]


async def test_slow_tag_does_not_delay_others(bench: Bench, until: Until) -> None:
    slow, quick = (f"/v1/clans/{tag}" for tag in bench.world.clan_tags)
    bench.server.faults.add(faults.hang(), path=bench.clan)
    watcher = ClanWatcher(bench.api, bench.state, bench.queue, list(bench.world.clan_tags), interval=0.02)
    watcher.start()
    await until(lambda: bench.server.requests[quick] >= 5)
    assert bench.server.requests[slow] == 1
    await watcher.stop()


async def test_started_watcher_polls_until_it_is_stopped(bench: Bench, until: Until) -> None:
    path = f"/v1/clans/{bench.clan}"
    watcher = ClanWatcher(bench.api, bench.state, bench.queue, [bench.clan], interval=0.02)
    watcher.start()
    watcher.start()
    await until(lambda: bench.server.requests[path] >= 3)
    bench.world.join(bench.clan)
    async with asyncio.timeout(LONG_ENOUGH):
        events = [await bench.queue.get(), await bench.queue.get()]
    assert [event.event_type.value for event in events] == ["clan_updated", "member_joined"]
    await watcher.stop()
    await watcher.stop()
    requests_before = bench.server.requests[path]
    assert not [task for task in asyncio.all_tasks() if "ClanWatcher" in task.get_name()]

    watcher.start()
    await until(lambda: bench.server.requests[path] > requests_before)
    await watcher.stop()


class CustomWatcher(BaseWatcher):
    """A user's watcher that returns numbered events, or fails on every poll."""

    def __init__(self, bench: Bench, *, failing: bool = False, hold: asyncio.Event | None = None) -> None:
        super().__init__(bench.api, bench.state, bench.queue, interval=0)
        self.polls = 0
        self._failing = failing
        self._hold = hold

    async def _poll_once(self) -> list[Event]:
        self.polls += 1
        if self._failing:
            raise LookupError("nothing to poll")
        if self._hold is not None:
            try:
                await asyncio.Event().wait()
            finally:
                await self._hold.wait()
        return [Event(EventType.CLAN_UPDATED, "#2PP", metadata={"number": self.polls})]


async def test_custom_watcher_puts_its_events_on_the_queue(bench: Bench) -> None:
    watcher = CustomWatcher(bench)
    watcher.start()
    async with asyncio.timeout(LONG_ENOUGH):
        assert [(await bench.queue.get()).metadata["number"] for _ in range(3)] == [1, 2, 3]
    await watcher.stop()


async def test_failing_custom_watcher_is_reported_and_continues(
    bench: Bench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coc2mqtt.events.stream.watchers.MIN_INTERVAL_S", 0.01)
    watcher = CustomWatcher(bench, failing=True)
    with capture_logs() as logs:
        watcher.start()
        await until(lambda: watcher.polls >= 2)
        await watcher.stop()
        await watcher.stop()
    event = bench.queue.get_nowait()
    assert (event.event_type, event.tag) == (EventType.POLL_ERROR, "")
    assert event.metadata == {
        "error": "watcher_failed",
        "message": "LookupError: nothing to poll",
        "watcher": "CustomWatcher",
    }
    assert {line["event"] for line in logs} == {"watcher failed"}
    assert isinstance(logs[0]["exc_info"], LookupError)


@pytest.mark.looptime
async def test_failing_watcher_without_an_interval_polls_once_a_second(world: World) -> None:
    parts = SimpleNamespace(api=WorldClient(world), state=PollingState(), queue=asyncio.Queue())
    watcher = CustomWatcher(cast("Bench", parts), failing=True)
    with capture_logs():
        watcher.start()
        await asyncio.sleep(9.5)
        await watcher.stop()
    assert watcher.polls == 10


async def test_failure_in_a_watcher_is_reported_with_its_cause(bench: Bench, until: Until) -> None:
    class Broken(PollingState):
        def commit(self, *_: object, **__: object) -> None:
            raise LookupError("out of order")

    watcher = ClanWatcher(bench.api, Broken(), bench.queue, [bench.clan])
    with capture_logs():
        watcher.start()
        await until(bench.queue.qsize)
        await watcher.stop()
    assert bench.queue.get_nowait().metadata["message"] == "LookupError: out of order"


@pytest.mark.looptime
async def test_new_interval_of_a_running_watcher_applies_from_the_next_poll(world: World) -> None:
    client = WorldClient(world)
    watcher = ClanWatcher(client, PollingState(), asyncio.Queue(), [world.clan_tags[0]], interval=600.0)
    watcher.start()
    await asyncio.sleep(5)
    watcher.interval = 10.0
    await asyncio.sleep(101)
    await watcher.stop()
    assert 10 <= len(client.requests) <= 11


@pytest.mark.looptime
async def test_interval_of_zero_polls_once_a_second(world: World) -> None:
    client = WorldClient(world)
    watcher = ClanWatcher(client, PollingState(), asyncio.Queue(), [world.clan_tags[0]], interval=0)
    watcher.start()
    await asyncio.sleep(9.5)
    await watcher.stop()
    assert 9 <= len(client.requests) <= 10


async def test_polls_are_marked_for_should_poll(bench: Bench) -> None:
    await poll(*watchers(bench))
    for key in (f"clan:{bench.clan}", f"war:{bench.clan}", f"player:{bench.player}"):
        assert not bench.state.should_poll(key, 60.0)
    assert bench.state.should_poll("clan:#ABC", 60.0)


async def test_without_track_members_no_member_list_is_stored(bench: Bench) -> None:
    await ClanWatcher(bench.api, bench.state, bench.queue, [bench.clan], track_members=False)._poll_once()
    assert bench.state.get_clan(bench.clan) is not None
    assert bench.state.get_members(bench.clan) is None


@pytest.mark.parametrize("watcher_type", [ClanWatcher, WarWatcher, PlayerWatcher])
async def test_invalid_or_unknown_tag_is_reported_unavailable_once(
    bench: Bench, watcher_type: Callable[..., BaseWatcher]
) -> None:
    for api in (bench.api, WorldClient(bench.world)):
        for tag in ("#TAG1", "#2PPPPPP"):
            watcher = watcher_type(api, PollingState(), bench.queue, [tag])
            (event,) = await poll(watcher, watcher)
            assert (event.event_type, event.tag) == (EventType.WATCH_UNAVAILABLE, tag)
            assert event.metadata["error"] == "not_found"


async def test_stop_can_be_cancelled(bench: Bench, until: Until) -> None:
    hold = asyncio.Event()
    watcher = CustomWatcher(bench, hold=hold)
    watcher.start()
    await until(lambda: watcher.polls)
    stopping = asyncio.create_task(watcher.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    hold.set()


async def test_full_queue_blocks_polls_and_loses_nothing(bench: Bench) -> None:
    bench.queue = asyncio.Queue(1)
    watcher = ClanWatcher(bench.api, bench.state, bench.queue, [bench.clan])
    await watcher._poll_once()
    for _ in range(3):
        bench.world.join(bench.clan)
    polling = asyncio.create_task(watcher._poll_once())
    async with asyncio.timeout(LONG_ENOUGH):
        reported = [(await bench.queue.get()).event_type.value for _ in range(4)]
        await polling
    assert reported == ["clan_updated", *["member_joined"] * 3]
