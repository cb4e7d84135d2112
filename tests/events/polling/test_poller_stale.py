"""Responses that are older than the previous one, or truncated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coc2mqtt.demo import faults
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from tests.events.conftest import Bench

from tests.support.pollers import poll_types, poller, responding

pytestmark = pytest.mark.usefixtures("at_war")


async def test_suspicious_response_is_checked_again_after_5_seconds(bench: Bench) -> None:
    subject = poller(bench)
    older = bench.world.clan(bench.clan)
    await subject.poll()
    bench.world.gain_points(bench.clan)
    await subject.poll()
    bench.server.faults.add(responding(older))
    delays = []
    for _ in range(3):
        delays.append((await subject.poll()).latest)
        bench.clock.now += 2
    assert delays == [5, 3, 1]
    assert await poll_types(subject) == ["clan_updated"]


async def test_suspicion_ends_with_the_next_valid_response(bench: Bench) -> None:
    subject = poller(bench, Kind.PLAYER)
    older = bench.world.player(bench.player)
    bench.world.win_trophies(bench.player)
    await subject.poll()
    stale = {**(older or {}), "expLevel": 1, "name": "Old"}
    for _ in range(3):
        bench.server.faults.add(responding(stale), times=1)
        assert [await poll_types(subject), await poll_types(subject)] == [[], []]
        bench.clock.now += 60


async def test_stale_looking_war_is_accepted_when_it_is_confirmed(bench: Bench) -> None:
    older = bench.world.current_war(bench.clan)
    bench.world.attack(bench.clan)
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    newest = bench.snapshot_data(subject.resource)
    bench.server.faults.add(responding(older), times=1)
    assert await poll_types(subject) == []
    assert bench.snapshot_data(subject.resource) == newest
    assert await poll_types(subject) == []
    bench.server.faults.add(responding(older), times=3)
    assert [await poll_types(subject), await poll_types(subject)] == [[], []]
    assert bench.snapshot_data(subject.resource) == newest, (
        "the same response immediately afterwards does not confirm it"
    )
    bench.clock.now += 130
    assert await poll_types(subject) == []
    assert bench.snapshot_data(subject.resource) == older
    bench.clock.now += 130
    assert await poll_types(subject) == [], "the attack was reported before"


async def test_upgrade_is_reported_once_despite_stale_responses(bench: Bench) -> None:
    older = bench.world.player(bench.player)
    gone = {**(older or {}), "troops": [], "heroes": None}
    subject = poller(bench, Kind.PLAYER)
    await subject.poll()
    bench.world.upgrade_hero(bench.player)
    bench.world.upgrade_troop(bench.player)
    assert sorted(await poll_types(subject)) == ["hero_upgraded", "troop_upgraded"]
    for stale in (older, gone):
        bench.server.faults.add(responding(stale), times=1)
        assert [await poll_types(subject), await poll_types(subject)] == [[], []]


async def test_truncated_member_list_at_first_causes_no_joins(bench: Bench) -> None:
    bench.server.faults.add(faults.empty_member_list(), times=2)
    subject = poller(bench)
    assert [await poll_types(subject) for _ in range(3)] == [[], [], []]
    bench.world.join(bench.clan)
    assert await poll_types(subject) == ["clan_updated", "member_joined"]


async def test_truncated_member_list_later_causes_no_leaves(bench: Bench) -> None:
    subject = poller(bench)
    await subject.poll()
    bench.server.faults.add(faults.empty_member_list(), times=1)
    assert [await poll_types(subject), await poll_types(subject)] == [[], []]
