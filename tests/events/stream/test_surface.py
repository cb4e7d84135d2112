"""The documented library surface."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import inspect
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from coc2mqtt import events
from coc2mqtt.clash import ClashClient
from coc2mqtt.events import (
    BaseWatcher,
    Change,
    ClanWatcher,
    Event,
    EventStream,
    EventType,
    MaintenanceWatcher,
    PlayerWatcher,
    PollingState,
    WarState,
    WarStateMachine,
    WarWatcher,
    diff_dicts,
    diff_member_tags,
    diff_named_list,
)
from tests.support.dict_clients import WorldClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import World
    from tests.events.conftest import Bench

NAMES = {
    *("BaseWatcher", "Change", "ClanWatcher", "Event", "EventStream", "EventType", "MaintenanceWatcher"),
    *("PlayerWatcher", "PollingState", "WarState", "WarStateMachine", "WarWatcher"),
    *("diff_dicts", "diff_member_tags", "diff_named_list"),
}
# The parameters with their defaults, in order; those after `*` are keyword-only.
SIGNATURES = [
    (EventStream, "api, queue_size=1000, persist_path=None"),
    (EventStream.watch_clans, "self, tags, interval=60.0, track_members=True"),
    (EventStream.watch_wars, "self, tags, interval=30.0"),
    (EventStream.watch_players, "self, tags, interval=120.0, include_fields=None, exclude_fields=None"),
    (EventStream.watch_maintenance, "self, interval=30.0, probe_tag='#JY9J2Y99'"),
    (EventStream.on, "self, event_type=None"),
    (EventStream.add_callback, "self, callback, event_type=None"),
    (EventStream.start, "self"),
    (EventStream.stop, "self"),
    (EventStream.run, "self"),
    (EventStream.__anext__, "self"),
    (Change, "field, old_value, new_value"),
    (WarStateMachine.transition, "self, raw_state"),
    (PollingState.get_clan, "self, tag"),
    (PollingState.set_clan, "self, tag, data"),
    (PollingState.get_members, "self, tag"),
    (PollingState.set_members, "self, tag, members"),
    (PollingState.get_war, "self, tag"),
    (PollingState.set_war, "self, tag, data"),
    (PollingState.get_war_fsm, "self, tag"),
    (PollingState.get_player, "self, tag"),
    (PollingState.set_player, "self, tag, data"),
    (PollingState.should_poll, "self, resource_key, interval"),
    (PollingState.mark_polled, "self, resource_key"),
    (PollingState.save, "self, path"),
    (PollingState.load, "self, path"),
    (BaseWatcher, "api, state, queue, interval"),
    (BaseWatcher.start, "self"),
    (BaseWatcher.stop, "self"),
    (BaseWatcher._poll_once, "self"),
    (ClanWatcher, "api, state, queue, clan_tags, interval=60.0, track_members=True"),
    (WarWatcher, "api, state, queue, clan_tags, interval=30.0"),
    (PlayerWatcher, "api, state, queue, player_tags, interval=120.0, include_fields=None, exclude_fields=None"),
    (MaintenanceWatcher, "api, state, queue, interval=30.0, probe_tag='#JY9J2Y99'"),
    (diff_dicts, "old, new, *, include_fields=None, exclude_fields=None"),
    (diff_member_tags, "old_members, new_members"),
    (diff_named_list, "old_items, new_items, key='name', compare_field='level'"),
]
SEED_TYPES = [
    *("clan_updated", "member_joined", "member_left", "member_updated", "member_role_changed", "member_donations"),
    *("war_state_changed", "war_attack_new", "player_updated", "troop_upgraded", "spell_upgraded", "hero_upgraded"),
    *("hero_equipment_upgraded", "townhall_upgraded", "builderhall_upgraded", "player_name_changed"),
    *("player_league_changed", "player_label_changed", "maintenance_start", "maintenance_end", "poll_error"),
]
OWN_TYPES = [
    *("war_new", "war_ended", "war_log_private", "war_log_public", "watch_unavailable", "watch_available"),
    *("api_denied", "api_restored", "season_reset", "townhall_weapon_upgraded", "super_troop_started"),
    *("super_troop_ended", "hero_equipment_changed", "player_war_preference_changed", "player_clan_joined"),
    *("player_clan_left", "achievement_completed"),
    *("clan_level_up", "capital_hall_upgraded", "clan_war_league_changed", "clan_capital_league_changed"),
    *("cwl_started", "cwl_round_new", "cwl_round_state_changed", "cwl_lineup_changed", "cwl_attack_new"),
    *("cwl_round_ended", "cwl_ended", "raid_started", "raid_opponent_new", "raid_attack_new"),
    *("raid_district_destroyed", "raid_clan_destroyed", "raid_defense_ended", "raid_ended", "capital_contribution"),
    *("member_inactive", "member_moved", "clan_games_started", "clan_games_points", "clan_games_ended"),
    *("war_reminder", "raid_reminder", "clan_games_reminder", "gold_pass_season_started", "season_ended"),
    *("ranked_week_changed", "ranked_week_started", "ranked_week_ended", "ranked_attack_new", "ranked_defense_new"),
    "legend_day_ended",
]


def parameters(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))[1:-1]


def test_package_exports_exactly_the_documented_names() -> None:
    assert set(events.__all__) == NAMES
    assert all(hasattr(events, name) for name in NAMES)


@pytest.mark.parametrize(("function", "expected"), SIGNATURES, ids=lambda value: getattr(value, "__qualname__", ""))
def test_parameters_match_the_documented_signatures(function: Callable[..., Any], expected: str) -> None:
    assert parameters(function) == expected


@pytest.mark.parametrize("name", sorted(NAMES))
def test_documented_names_have_a_docstring_summary(name: str) -> None:
    subject = getattr(events, name)
    members = (
        [member for key, member in vars(subject).items() if not key.startswith("_")] if inspect.isclass(subject) else []
    )
    for one in (subject, *(member for member in members if inspect.isfunction(member))):
        line = (inspect.getdoc(one) or "").splitlines()[0]
        assert line.endswith("."), one
        assert len(line) > 20, one


def test_documented_coroutines_are_coroutines() -> None:
    for function in (EventStream.start, EventStream.stop, EventStream.run, BaseWatcher.stop, BaseWatcher._poll_once):
        assert inspect.iscoroutinefunction(function)
    assert not inspect.iscoroutinefunction(BaseWatcher.start)


def test_event_types_are_the_documented_ones() -> None:
    assert sorted(event_type.value for event_type in EventType) == sorted(SEED_TYPES + OWN_TYPES)
    assert len(SEED_TYPES) == 21
    assert all(event_type.name == event_type.value.upper() for event_type in EventType)


def test_event_type_is_its_value_as_a_string() -> None:
    joined = EventType("member_joined")
    assert joined is EventType.MEMBER_JOINED is EventType["MEMBER_JOINED"]
    assert joined == joined.value == "member_joined"
    assert {joined: 1}["member_joined"] == 1  # type: ignore[index]
    assert json.dumps(joined) == '"member_joined"'
    assert type(joined.value) is str
    assert str(joined) == f"{joined}" == "EventType.MEMBER_JOINED"
    assert repr(joined) == "<EventType.MEMBER_JOINED: 'member_joined'>"


def test_event_type_is_the_same_object_after_pickling_and_copying() -> None:
    assert all(pickle.loads(pickle.dumps(one)) is one is copy.deepcopy(one) for one in EventType)  # noqa: S301


def test_event_has_the_documented_fields_and_defaults() -> None:
    names = [field.name for field in dataclasses.fields(Event)]
    assert names[:7] == ["event_type", "tag", "timestamp", "old_data", "new_data", "changes", "metadata"]
    first, second = (Event(EventType.CLAN_UPDATED, "#2PP") for _ in range(2))
    assert (first.old_data, first.new_data, first.changes, first.metadata) == (None, None, (), {})
    assert first.timestamp > 1_700_000_000
    assert first.metadata is not second.metadata


@pytest.mark.parametrize("frozen", [Event(EventType.CLAN_UPDATED, "#2PP"), Change("name", "a", "b")])
def test_events_and_changes_are_frozen(frozen: Any) -> None:
    for field in dataclasses.fields(frozen):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, field.name, None)


def test_war_states_have_the_values_of_the_api() -> None:
    assert [state.value for state in WarState] == ["notInWar", "preparation", "inWar", "warEnded"]


def test_war_state_machine_reports_each_transition_once() -> None:
    machine = WarStateMachine()
    raw = ["notInWar", "preparation", "preparation", "inWar", "suddenDeath", "", "inWar", "warEnded", "preparation"]
    assert [machine.transition(state) for state in raw] == [
        *(None, WarState.PREPARATION, None, WarState.IN_WAR, None, None, None, WarState.WAR_ENDED),
        WarState.PREPARATION,
    ]
    assert WarStateMachine(WarState.IN_WAR).transition("inWar") is None
    assert WarStateMachine(initial_state=WarState.IN_WAR).state is WarState.IN_WAR


async def test_client_that_is_not_open_raises_runtime_error(bench: Bench) -> None:
    closed = ClashClient([SecretStr("token-of-a-test")], base_url=bench.server.base_url)
    with pytest.raises(RuntimeError, match="the client is not open: use the stream inside 'async with"):
        EventStream(closed)
    stream = EventStream(bench.api)
    await bench.api.close()
    with pytest.raises(RuntimeError, match="the client is not open"):
        await stream.start()
    with pytest.raises(RuntimeError, match="the client is not open"):
        await stream.run()


async def test_dict_client_outside_async_mode_raises_runtime_error(world: World) -> None:
    client = WorldClient(world)
    stream = EventStream(client)
    client.async_mode = False
    with pytest.raises(RuntimeError, match="not in async mode: use the stream inside 'async with CocApi"):
        EventStream(client)
    with pytest.raises(RuntimeError, match="not in async mode"):
        await stream.start()


@pytest.mark.parametrize("value", [1, 90.5])
async def test_interval_of_a_watcher_can_be_read_and_set(bench: Bench, value: float) -> None:
    for watcher in (
        ClanWatcher(bench.api, bench.state, bench.queue, [bench.clan], interval=60.0),
        MaintenanceWatcher(bench.api, bench.state, bench.queue, interval=60.0),
    ):
        assert watcher.interval == 60.0
        watcher.interval = value
        assert watcher.interval == value
        with pytest.raises(ValueError, match="must be at least 1 s"):
            watcher.interval = 0.5
        assert watcher.interval == value


async def test_watch_calls_can_be_chained(bench: Bench) -> None:
    stream = EventStream(bench.api)
    assert stream.watch_clans([bench.clan], 60, False) is stream
    assert stream.watch_wars([bench.clan], 30) is stream
    assert stream.watch_players([bench.player], 120, frozenset({"name"}), frozenset({"troops"})) is stream
    assert stream.watch_maintenance(30, bench.player) is stream


async def test_callbacks_are_registered_by_decorator_or_by_call(bench: Bench) -> None:
    stream = EventStream(bench.api)

    async def callback(_: Event) -> None:
        await asyncio.sleep(0)

    assert stream.on(EventType.MEMBER_JOINED)(callback) is callback
    assert stream.on()(callback) is callback
    stream.add_callback(callback, EventType.MEMBER_LEFT)


async def test_stream_is_a_context_manager_and_async_iterable(bench: Bench) -> None:
    stream = EventStream(bench.api)
    async with stream as entered:
        assert entered is stream
        assert inspect.isasyncgen(aiter(stream))
        waiting = anext(stream)
        assert inspect.iscoroutine(waiting)
        waiting.close()


@pytest.mark.parametrize("interval", [0.9, 0, -1])
async def test_interval_under_one_second_raises_value_error(bench: Bench, interval: float) -> None:
    stream = EventStream(bench.api)
    for watch in (stream.watch_clans, stream.watch_wars, stream.watch_players):
        with pytest.raises(ValueError, match="interval must be at least 1 s, got"):
            watch([bench.clan], interval)
    with pytest.raises(ValueError, match="must be at least 1 s"):
        stream.watch_maintenance(interval)


async def test_invalid_tags_are_accepted_and_logged(bench: Bench) -> None:
    stream = EventStream(bench.api)
    common = bench.api, bench.state, bench.queue
    for watch in (stream.watch_clans, stream.watch_wars, stream.watch_players):
        with capture_logs() as logs:
            watch(["#TAG1", bench.clan])
        assert [line["tag"] for line in logs] == ["#TAG1"]
    for watcher in (ClanWatcher, WarWatcher, PlayerWatcher):
        with capture_logs() as logs:
            watcher(*common, ["#Abc"])
        assert [(line["log_level"], line["tag"]) for line in logs] == [("warning", "#Abc")]
    with capture_logs() as logs:
        MaintenanceWatcher(*common, probe_tag="#ABC")
        stream.watch_maintenance(probe_tag="#ABC")
    assert len(logs) == 2


async def test_single_string_instead_of_a_list_of_tags_raises_type_error(bench: Bench) -> None:
    with pytest.raises(TypeError, match=r"tags must be a list such as \['#2PP'\]"):
        EventStream(bench.api).watch_clans("#2PP")
    with pytest.raises(TypeError, match="tags must be a list"):
        ClanWatcher(bench.api, bench.state, bench.queue, "#2PP")  # type: ignore[arg-type]  # rejected on purpose


async def test_watcher_without_poll_once_cannot_be_instantiated(bench: Bench) -> None:
    with pytest.raises(TypeError, match="_poll_once"):
        BaseWatcher(bench.api, bench.state, bench.queue, 60)  # type: ignore[abstract]  # rejected on purpose
