from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events import Change, ClanWatcher, Event, EventType, PollingState, WarState, WarWatcher
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.stream.saved_state import StateFile
from tests.support.bodies import CLAN_TAG, attack, clan, member, player, war

if TYPE_CHECKING:
    from pathlib import Path

    from tests.events.conftest import Bench

CLAN = clan(member("#2PA"), member("#2PB"))
WAR = war("inWar", attack("#2P2", "#8Q2", 1))
PLAYER = player()
JOINED = Event(
    EventType.MEMBER_JOINED,
    CLAN_TAG,
    timestamp=12.5,
    new_data=member("#2PB"),
    changes=(Change("role", None, {"nested": [1]}),),
    metadata={"member_tag": "#2PB"},
    name="The Order",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def filled() -> PollingState:
    state = PollingState()
    state.commit(Resource(Kind.CLAN, CLAN_TAG), Snapshot(CLAN, {"trouble": "not_found"}, 12.5), [JOINED])
    state.set_war(CLAN_TAG, WAR)
    state.set_player("#900PUCPV", PLAYER)
    state.commit(API, Snapshot({"status": "ok"}, taken_at=1.0), [])
    return state


def test_new_state_is_empty() -> None:
    state = PollingState()
    assert state.get_clan(CLAN_TAG) is None
    assert state.get_members(CLAN_TAG) is None
    assert state.get_war(CLAN_TAG) is None
    assert state.get_player("#900PUCPV") is None
    assert state.get_war_fsm(CLAN_TAG).state is WarState.NOT_IN_WAR
    assert state.unacknowledged() == []


def test_getters_return_committed_and_set_snapshots() -> None:
    state = filled()
    assert state.get_clan(CLAN_TAG) == CLAN
    assert state.get_members(CLAN_TAG) == CLAN["memberList"], "commit sets both"
    assert state.get_war(CLAN_TAG) == WAR
    assert state.get_player("#900PUCPV") == PLAYER
    assert state.get_clan("#8QQ") is None


def test_set_members_is_independent_of_the_clan_snapshot() -> None:
    state = PollingState()
    state.set_members(CLAN_TAG, [member("#2PC")])
    assert state.get_clan(CLAN_TAG) is None
    state.set_clan(CLAN_TAG, CLAN)
    assert state.get_members(CLAN_TAG) == [member("#2PC")]
    assert state.get_clan(CLAN_TAG) == CLAN
    compared = state.snapshot(Resource(Kind.CLAN, CLAN_TAG))
    assert compared is not None
    assert compared.data == {**CLAN, "memberList": [member("#2PC")]}


def test_set_clan_does_not_set_members() -> None:
    state = PollingState()
    state.set_clan(CLAN_TAG, CLAN)
    assert state.get_members(CLAN_TAG) is None


def test_commit_advances_the_war_state_machine_and_set_war_does_not() -> None:
    state = PollingState()
    fsm = state.get_war_fsm(CLAN_TAG)
    state.set_war(CLAN_TAG, WAR)
    assert state.get_war_fsm(CLAN_TAG) is fsm
    states = [fsm.state]
    state.commit(Resource(Kind.WAR, CLAN_TAG), Snapshot(WAR), [])
    states.append(fsm.state)
    assert states == [WarState.NOT_IN_WAR, WarState.IN_WAR]
    assert state.get_war_fsm("#8QQ").state is WarState.NOT_IN_WAR


def test_tags_in_any_notation_find_the_same_snapshot() -> None:
    state = PollingState()
    state.set_clan("2pp", CLAN)
    state.set_members(" #2PP", [])
    state.get_war_fsm("%232pp").transition("inWar")
    assert state.get_clan("#2PP") == CLAN
    assert state.get_members("#2pp") == []
    assert state.get_war_fsm("#2PP").state is WarState.IN_WAR
    state.set_player("#TAG1", PLAYER)
    assert state.get_player("#TAG1") == PLAYER


def test_should_poll_is_true_when_the_interval_has_passed() -> None:
    now = 1000.0
    state = PollingState(clock=lambda: now)
    assert state.should_poll("clan:#2PP", 60)
    state.mark_polled("clan:#2PP")
    assert not state.should_poll("clan:#2PP", 60)
    assert state.should_poll("clan:#2PP", 0)
    assert state.should_poll("war:#2PP", 60)
    now += 59.9
    assert not state.should_poll("clan:#2PP", 60)
    now += 0.2
    assert state.should_poll("clan:#2PP", 60)


def test_equal_events_are_acknowledged_separately() -> None:
    state = PollingState()
    twins = [Event(EventType.MEMBER_LEFT, CLAN_TAG, timestamp=1.0) for _ in range(2)]
    state.commit(Resource(Kind.CLAN, CLAN_TAG), Snapshot(CLAN), twins)
    assert state.unacknowledged() == twins
    state.acknowledge(twins[0])
    state.acknowledge(twins[0])
    (left,) = state.unacknowledged()
    assert left is twins[1]


def test_saved_state_is_loaded_completely(path: Path) -> None:
    state = filled()
    state.save(path)
    loaded = PollingState()
    loaded.set_player("#2PX", PLAYER)
    assert loaded.load(path) is True
    assert loaded.to_json() == state.to_json()
    assert loaded.unacknowledged() == [JOINED]
    assert loaded.snapshot(Resource(Kind.CLAN, CLAN_TAG)) == Snapshot(CLAN, {"trouble": "not_found"}, 12.5)
    assert loaded.get_members(CLAN_TAG) == CLAN["memberList"]
    assert loaded.get_player("#2PX") is None, "the previous state is replaced"


def test_members_war_states_and_poll_times_are_saved_without_snapshots(path: Path) -> None:
    unix, monotonic = 1_800_000_000.0, 500.0
    state = PollingState(clock=lambda: monotonic, wall_clock=lambda: unix)
    state.set_members(CLAN_TAG, [member("#2PC")])
    state.get_war_fsm("#8QQ").transition("preparation")
    state.mark_polled("clan:#2PP")
    state.save(path)

    unix, monotonic = unix + 50, 3.0  # after a restart of the machine
    loaded = PollingState(clock=lambda: monotonic, wall_clock=lambda: unix)
    assert loaded.load(path)
    assert loaded.get_clan(CLAN_TAG) is None
    assert loaded.get_members(CLAN_TAG) == [member("#2PC")]
    assert loaded.get_war_fsm("#8QQ").state is WarState.PREPARATION
    assert not loaded.should_poll("clan:#2PP", 60)
    monotonic += 10
    assert loaded.should_poll("clan:#2PP", 60)


def test_member_list_is_saved_once(path: Path) -> None:
    filled().save(path)
    assert path.read_text().count('"role":"member","townHallLevel"') == 3, "two members, and the one in the event"


def test_wall_clock_set_back_does_not_delay_polls(path: Path) -> None:
    unix = 1_800_000_000.0
    state = PollingState(clock=lambda: 0.0, wall_clock=lambda: unix)
    state.mark_polled("clan:#2PP")
    state.save(path)
    unix -= 86_400
    now = 7.0
    loaded = PollingState(clock=lambda: now, wall_clock=lambda: unix)
    assert loaded.load(path)
    now += 60
    assert loaded.should_poll("clan:#2PP", 60)


def test_unknown_saved_war_state_is_loaded_as_not_in_war(path: Path) -> None:
    state = PollingState()
    state.get_war_fsm(CLAN_TAG).transition("inWar")
    state.save(path)
    path.write_text(path.read_text().replace("inWar", "suddenDeath"))
    loaded = PollingState()
    assert loaded.load(path)
    assert loaded.get_war_fsm(CLAN_TAG).state is WarState.NOT_IN_WAR


def test_file_of_an_earlier_version_is_loaded(path: Path) -> None:
    state = filled()
    saved = state.to_json()
    for key in ("members", "war_states", "poll_times"):
        del saved[key]
    path.write_text(json.dumps(saved))
    loaded = PollingState()
    assert loaded.load(path)
    assert loaded.get_members(CLAN_TAG) == CLAN["memberList"]
    assert loaded.get_war_fsm(CLAN_TAG).state is WarState.IN_WAR


def test_save_creates_missing_folders(tmp_path: Path) -> None:
    path = tmp_path / "of" / "coc" / "state.json"
    filled().save(path)
    assert PollingState().load(path)


def cocapi_file(**changed: Any) -> str:
    """Return a state file as cocapi 4.0.1 saves it."""
    state = {
        "clans": {CLAN_TAG: CLAN, "#ABC": {"tag": "#ABC"}},
        "members": {CLAN_TAG: [member("#2PA")]},
        "wars": {CLAN_TAG: WAR},
        "war_states": {CLAN_TAG: "inWar", "#8QQ": "suddenDeath"},
        "players": {"#900PUCPV": PLAYER},
        "last_poll_times": {"clan:#2PP": 1_800_000_000.0},
        "saved_at": 1_800_000_001.5,
    }
    return json.dumps({**state, **changed})


def test_state_file_of_cocapi_is_loaded(path: Path) -> None:
    path.write_text(cocapi_file())
    state = PollingState(clock=lambda: 5.0, wall_clock=lambda: 1_800_000_030.0)
    assert state.load(path)
    assert state.get_clan(CLAN_TAG) == CLAN
    assert state.get_clan("#ABC") == {"tag": "#ABC"}
    assert state.get_members(CLAN_TAG) == [member("#2PA")]
    assert state.get_war(CLAN_TAG) == WAR
    assert state.get_player("#900PUCPV") == PLAYER
    assert state.get_war_fsm(CLAN_TAG).state is WarState.IN_WAR
    assert state.get_war_fsm("#8QQ").state is WarState.NOT_IN_WAR
    assert not state.should_poll("clan:#2PP", 60)
    assert state.should_poll("clan:#2PP", 30)
    snapshot = state.snapshot(Resource(Kind.PLAYER, "#900PUCPV"))
    assert snapshot is not None
    assert snapshot.taken_at == 1_800_000_001.5
    assert state.unacknowledged() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"clans": []},
        {"clans": {CLAN_TAG: "text"}},
        {"members": {CLAN_TAG: "text"}},
        {"war_states": ["inWar"]},
        {"last_poll_times": {"clan:#2PP": "yesterday"}},
        {"saved_at": "yesterday"},
    ],
)
def test_corrupt_state_file_of_cocapi_is_not_loaded(path: Path, changed: dict[str, Any]) -> None:
    path.write_text(cocapi_file(**changed))
    state = filled()
    before = state.to_json()
    assert not state.load(path)
    assert state.to_json() == before


def test_path_may_be_a_string(path: Path) -> None:
    state = filled()
    state.save(str(path))  # type: ignore[arg-type]  # as users do
    assert PollingState().load(str(path))  # type: ignore[arg-type]  # the same


DAMAGED = [
    "",
    "[]",
    "null",
    "{}",
    "\x00\xff",
    '{"version": 1}',
    '{"version": 2, "snapshots": [], "unacknowledged": []}',
    '{"version": 1, "snapshots": [["clan", "#2PP"]], "unacknowledged": []}',
    '{"version": 1, "snapshots": [["clan", "#2PP", "text", {}, 1.0]], "unacknowledged": []}',
    '{"version": 1, "snapshots": [["clan", "#2PP", null, [], 1.0]], "unacknowledged": []}',
    '{"version": 1, "snapshots": [["clan", "#2PP", {}, {}, null]], "unacknowledged": []}',
    '{"version": 1, "snapshots": [["village", "#2PP", {}, {}, 1.0]], "unacknowledged": []}',
    '{"version": 1, "snapshots": [["clan", [], {}, {}, 1.0]], "unacknowledged": []}',
    '{"version": 1, "snapshots": [], "unacknowledged": [{"event_type": "member_left"}]}',
    '{"version": 1, "snapshots": [], "unacknowledged": [{"event_type": "unheard_of", "tag": "#2PP", "changes": []}]}',
    '{"version": 1, "snapshots": [], "unacknowledged": ["text"]}',
    '{"version": 1, "snapshots": [], "members": {"#2PP": null}, "unacknowledged": []}',
    '{"version": 1, "snapshots": [], "members": [], "unacknowledged": []}',
    '{"version": 1, "snapshots": [], "poll_times": {"clan:#2PP": null}, "unacknowledged": []}',
    '{"version": 1, "snapshots": [], "war_states": "inWar", "unacknowledged": []}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_corrupt_file_is_not_loaded_and_changes_nothing(path: Path, text: str) -> None:
    path.write_text(text, encoding="latin-1")
    state = filled()
    before = state.to_json()
    assert state.load(path) is False
    assert state.to_json() == before


def test_truncated_file_is_not_loaded(path: Path) -> None:
    filled().save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert PollingState().load(path) is False


def test_missing_file_is_not_loaded(path: Path) -> None:
    assert PollingState().load(path) is False


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_failed_save_keeps_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    PollingState().save(path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="no space left"):
        filled().save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_to_json_is_not_affected_by_later_changes() -> None:
    state = filled()
    state.get_war_fsm(CLAN_TAG)
    state.mark_polled("clan:#2PP")
    saved = state.to_json()
    before = json.dumps(saved)
    state.set_clan("#8QQ", CLAN)
    state.set_members(CLAN_TAG, [])
    state.get_war_fsm(CLAN_TAG).transition("inWar")
    state.mark_polled("clan:#2PP")
    state.acknowledge(state.unacknowledged()[0])
    assert json.dumps(saved) == before


def test_older_version_is_never_written_over_a_newer_one(path: Path) -> None:
    file = StateFile(path)
    file.write(2, {"new": True})
    file.write(1, {"old": True})
    assert json.loads(path.read_bytes()) == {"new": True}
    file.write(3, {"newest": True})
    assert json.loads(path.read_bytes()) == {"newest": True}


async def test_watchers_start_from_snapshots_set_by_the_user(bench: Bench) -> None:
    bench.world.declare_war(bench.clan)
    bench.world.start_battle(bench.clan)
    bench.world.attack(bench.clan)
    bench.state.set_war(bench.clan, bench.world.current_war(bench.clan) or {})
    bench.world.attack(bench.clan)
    now = bench.world.clan(bench.clan) or {}
    bench.state.set_clan(bench.clan, now)
    bench.state.set_members(bench.clan, [*now["memberList"], member("#2PX")])
    for watcher_type in (ClanWatcher, WarWatcher):
        await watcher_type(bench.api, bench.state, bench.queue, [bench.clan])._poll_once()
    assert bench.queued_types() == ["member_left", "war_attack_new"]
