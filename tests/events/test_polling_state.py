from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events import Change, ClanWatcher, Event, EventType, PollingState, WarState, WarWatcher
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.state_file import StateFile
from tests.events.builders import CLAN_TAG, attack, clan, member, player, war

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
    state.take(Resource(Kind.CLAN, CLAN_TAG), Snapshot(CLAN, {"trouble": "not_found"}, 12.5), [JOINED])
    state.set_war(CLAN_TAG, WAR)
    state.set_player("#900PUCPV", PLAYER)
    state.take(API, Snapshot({"status": "ok"}, taken_at=1.0), [])
    return state


def test_nothing_is_known_at_first() -> None:
    state = PollingState()
    assert state.get_clan(CLAN_TAG) is None
    assert state.get_members(CLAN_TAG) is None
    assert state.get_war(CLAN_TAG) is None
    assert state.get_player("#900PUCPV") is None
    assert state.get_war_fsm(CLAN_TAG).state is WarState.NOT_IN_WAR
    assert state.unacknowledged() == []


def test_what_was_set_is_got() -> None:
    state = filled()
    assert state.get_clan(CLAN_TAG) == CLAN
    assert state.get_members(CLAN_TAG) == CLAN["memberList"]
    assert state.get_war(CLAN_TAG) == WAR
    assert state.get_player("#900PUCPV") == PLAYER
    assert state.get_clan("#8QQ") is None


def test_members_are_set_on_their_own_or_within_their_clan() -> None:
    state = PollingState()
    state.set_members(CLAN_TAG, [member("#2PC")])
    assert state.get_clan(CLAN_TAG) is None
    state.set_clan(CLAN_TAG, {"tag": CLAN_TAG, "name": "The Order"})
    assert state.get_members(CLAN_TAG) == [member("#2PC")]
    state.set_clan(CLAN_TAG, CLAN)
    state.set_members(CLAN_TAG, [member("#2PC")])
    assert state.get_members(CLAN_TAG) == [member("#2PC")]
    assert state.get_clan(CLAN_TAG) == {**CLAN, "memberList": [member("#2PC")]}


def test_the_war_state_machine_of_a_clan_follows_its_war() -> None:
    state = PollingState()
    fsm = state.get_war_fsm(CLAN_TAG)
    state.set_war(CLAN_TAG, WAR)
    assert state.get_war_fsm(CLAN_TAG) is fsm
    assert fsm.state is WarState.IN_WAR
    assert state.get_war_fsm("#8QQ").state is WarState.NOT_IN_WAR


def test_a_resource_is_to_be_polled_when_its_interval_has_passed() -> None:
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


def test_an_event_waits_until_it_is_acknowledged_and_twins_are_told_apart() -> None:
    state = PollingState()
    twins = [Event(EventType.MEMBER_LEFT, CLAN_TAG, timestamp=1.0) for _ in range(2)]
    state.take(Resource(Kind.CLAN, CLAN_TAG), Snapshot(CLAN), twins)
    assert state.unacknowledged() == twins
    state.acknowledge(twins[0])
    state.acknowledge(twins[0])
    (left,) = state.unacknowledged()
    assert left is twins[1]


def test_a_saved_state_is_loaded_as_it_was(path: Path) -> None:
    state = filled()
    state.save(path)
    loaded = PollingState()
    loaded.set_player("#2PX", PLAYER)
    assert loaded.load(path) is True
    assert loaded.image() == state.image()
    assert loaded.unacknowledged() == [JOINED]
    assert loaded.snapshot(Resource(Kind.CLAN, CLAN_TAG)) == Snapshot(CLAN, {"trouble": "not_found"}, 12.5)
    assert loaded.get_members(CLAN_TAG) == CLAN["memberList"]
    assert loaded.get_war_fsm(CLAN_TAG).state is WarState.IN_WAR
    assert loaded.get_player("#2PX") is None, "what was there before is replaced"


def test_a_path_may_be_a_text(path: Path) -> None:
    state = filled()
    state.save(str(path))  # type: ignore[arg-type]  # as its users do
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
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_not_loaded_and_changes_nothing(path: Path, text: str) -> None:
    path.write_text(text, encoding="latin-1")
    state = filled()
    before = state.image()
    assert state.load(path) is False
    assert state.image() == before


def test_a_file_cut_anywhere_is_not_loaded(path: Path) -> None:
    filled().save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert PollingState().load(path) is False


def test_a_file_that_is_not_there_is_not_loaded(path: Path) -> None:
    assert PollingState().load(path) is False


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_save_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    PollingState().save(path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="no space left"):
        filled().save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_image_is_not_touched_by_what_follows() -> None:
    state = filled()
    image = state.image()
    before = json.dumps(image)
    state.set_clan("#8QQ", CLAN)
    state.acknowledge(state.unacknowledged()[0])
    assert json.dumps(image) == before


def test_an_older_image_is_never_written_over_a_newer_one(path: Path) -> None:
    file = StateFile(path)
    file.write(2, {"new": True})
    file.write(1, {"old": True})
    assert json.loads(path.read_bytes()) == {"new": True}
    file.write(3, {"newest": True})
    assert json.loads(path.read_bytes()) == {"newest": True}


async def test_watchers_begin_with_what_was_put_in_by_hand(bench: Bench) -> None:
    bench.world.declare_war(bench.clan)
    bench.world.begin_battle(bench.clan)
    bench.world.attack(bench.clan)
    bench.state.set_war(bench.clan, bench.world.current_war(bench.clan) or {})
    bench.world.attack(bench.clan)
    now = bench.world.clan(bench.clan) or {}
    bench.state.set_clan(bench.clan, now)
    bench.state.set_members(bench.clan, [*now["memberList"], member("#2PX")])
    for watcher_type in (ClanWatcher, WarWatcher):
        await watcher_type(bench.api, bench.state, bench.queue, [bench.clan])._poll_once()
    assert bench.told() == ["member_left", "war_attack_new"]
