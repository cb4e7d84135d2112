"""The wall clock is set forward or back: durations and events stay correct."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coc2mqtt.clash import MaintenanceError
from coc2mqtt.events.polling.api_monitor import ApiMonitor
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, attack, clan, member, player, war
from tests.support.replay import Replay

if TYPE_CHECKING:
    from tests.events.conftest import Bench

DAYS = 2.0 * 86_400
JUMPS = pytest.mark.parametrize("jump", [DAYS, -DAYS])
ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"
END = 1_793_689_200.0
FIRST, SECOND = attack("#2P2", "#8Q2", 1), attack("#8Q2", "#2P2", 2)


@JUMPS
def test_live_events_after_a_clock_jump_are_not_catch_up(jump: float) -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(clan(member(ANN)), after=0.0)
    replay.set_clock(jump)
    assert replay.feed(clan(member(ANN), member(BOB))) == ["clan_updated", "member_joined"]
    assert not any("catch_up" in event.metadata for event in replay.events)
    assert replay.events[-1].timestamp == replay.now


@JUMPS
def test_snapshot_age_is_measured_without_the_wall_clock(jump: float) -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(clan(member(ANN)), after=0.0)
    replay.set_clock(jump)
    replay.feed(clan(member(ANN), member(BOB)), after=7200.0)
    assert {event.metadata["snapshot_age_seconds"] for event in replay.events} == {7200.0}


@JUMPS
def test_clock_jump_does_not_confirm_a_stale_response(jump: float) -> None:
    before, now = clan(member(ANN)), clan(member(ANN), member(BOB))
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = 120.0
    for response in (before, now):
        replay.feed(response, after=121.0)
    replay.events.clear()
    replay.feed(before, after=10.0)
    replay.set_clock(jump)
    assert [replay.feed(before, after=10.0), replay.feed(now, after=10.0)] == [[], []]


@JUMPS
def test_clock_jump_does_not_confirm_a_short_member_list(jump: float) -> None:
    whole = clan(member(ANN), member(BOB))
    short = {**whole, "memberList": whole["memberList"][:1]}
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(whole, after=0.0)
    replay.feed(short)
    replay.set_clock(jump)
    assert replay.feed(short, after=1.0) == []
    assert replay.feed(short) == ["member_left"]


@JUMPS
def test_clock_jump_after_a_season_reset_causes_no_second_reset(jump: float) -> None:
    members = [member(f"#2P{letter}", donations=500) for letter in "0289PYLQ"]
    fallen = [{**one, "donations": 40, "donationsReceived": 0} for one in members]
    again = [{**one, "donations": 0} for one in fallen]
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(clan(*members), after=0.0)
    assert replay.feed(clan(*fallen)) == ["season_reset"]
    replay.set_clock(5 * jump)
    assert [replay.feed(clan(*again)) for _ in range(3)] == [[]] * 3


@JUMPS
def test_war_result_waits_for_the_last_attacks_despite_a_clock_jump(jump: float) -> None:
    replay = Replay(Kind.WAR, CLAN_TAG, now=END - 60)
    replay.feed(war("inWar", FIRST), after=0.0)
    assert replay.feed(war("warEnded", FIRST), after=70.0) == ["war_state_changed"]
    replay.set_clock(-jump / 2)
    if jump > 0:
        # By a clock that is behind, the war has not ended yet: then a minute without a change is sufficient.
        assert replay.feed(war("warEnded", FIRST), after=20.0) == []
        assert replay.feed(war("warEnded", FIRST), after=40.0) == ["war_ended"]
    else:
        assert replay.feed(war("warEnded", FIRST, SECOND), after=60.0)[0] == "war_attack_new"
    assert replay.feed(war("warEnded", FIRST, SECOND), after=600.0).count("war_ended") <= 1


@JUMPS
def test_town_hall_upgrade_before_a_clock_jump_is_reported_once(jump: float) -> None:
    replay = Replay(Kind.PLAYER, "#900PUCPV")
    replay.feed(player(), after=0.0)
    replay.feed(player(townHallLevel=16))
    replay.set_clock(jump)
    assert [replay.feed(player(townHallLevel=16)) for _ in range(3)] == [[]] * 3


@JUMPS
async def test_maintenance_duration_is_correct_despite_a_clock_jump(bench: Bench, jump: float) -> None:
    now, jumped = bench.clock.now, 0.0
    monitor = ApiMonitor(
        bench.store, now=lambda: now + jumped, uptime=lambda: now, on_change=lambda _: None, on_suspicion=lambda: None
    )
    await monitor.observe(None)
    (started,) = await monitor.observe(MaintenanceError("down"), from_probe=True)
    assert started.event_type.value == "maintenance_start"
    now, jumped = now + 600.0, jump
    assert await monitor.observe(None, from_probe=True) == []
    (ended,) = await monitor.observe(None, from_probe=True)
    assert ended.metadata["duration_seconds"] == 600.0


@JUMPS
async def test_maintenance_duration_is_correct_after_a_clock_jump_and_reload(bench: Bench, jump: float) -> None:
    now, jumped = bench.clock.now, 0.0
    monitor = ApiMonitor(bench.store, now=lambda: now + jumped, uptime=lambda: now, on_change=lambda _: None)
    await monitor.observe(None)
    await monitor.observe(MaintenanceError("down"), from_probe=True)
    now, jumped = now + 600.0, jump
    await monitor.observe(MaintenanceError("down"), from_probe=True)
    await monitor.load()
    await monitor.observe(None, from_probe=True)
    (ended,) = await monitor.observe(None, from_probe=True)
    assert ended.metadata["duration_seconds"] == 600.0


async def test_maintenance_from_an_earlier_run_keeps_its_start_time(bench: Bench) -> None:
    now, jumped = bench.clock.now, 0.0
    options = {"now": lambda: now + jumped, "uptime": lambda: now, "on_change": lambda _: None}
    await ApiMonitor(bench.store, **options).observe(MaintenanceError("down"))  # type: ignore[arg-type]
    monitor = ApiMonitor(bench.store, **options)  # type: ignore[arg-type]
    await monitor.load()
    await monitor.observe(MaintenanceError("down"), from_probe=True)
    now, jumped = now + 60.0, 3600.0
    await monitor.observe(None, from_probe=True)
    (ended,) = await monitor.observe(None, from_probe=True)
    assert ended.metadata["duration_seconds"] == 3660.0, "the clock was behind and is correct now"


@JUMPS
async def test_poll_rate_is_correct_despite_a_clock_jump(bench: Bench, jump: float) -> None:
    now, jumped = 1000.0, 0.0
    engine = Engine(bench.api, bench.store, now=lambda: now + jumped, uptime=lambda: now)
    now, jumped = now + 60.0, jump
    assert engine.polls_per_second == 0.0
