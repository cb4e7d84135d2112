"""Private war logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coc2mqtt.demo import faults
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from tests.events.conftest import Bench

from tests.support.pollers import make_change, poll_types, poller

pytestmark = pytest.mark.usefixtures("at_war")


async def test_private_and_public_war_log_are_reported_once_each(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.world.set_war_log_public(bench.clan, public=False)
    assert await poll_types(subject) == ["war_log_private"]
    assert await poll_types(subject) == []
    assert await poll_types(poller(bench, Kind.WAR)) == [], "a restart changes nothing"
    bench.world.set_war_log_public(bench.clan, public=True)
    make_change(bench, Kind.WAR)
    assert await poll_types(subject) == ["war_log_public", "war_attack_new"]
    assert await poll_types(subject) == []


async def test_war_log_that_was_always_private_is_not_reported(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR, bench.private_clan)
    bench.server.faults.add(faults.html_page(502), times=1)
    assert [await poll_types(subject), await poll_types(subject)] == [["poll_error"], []]


async def test_private_war_log_keeps_the_age_of_its_snapshot(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.clock.now += 100
    bench.world.set_war_log_public(bench.clan, public=False)
    await subject.poll()
    bench.clock.now += 100
    subject = poller(bench, Kind.WAR)
    bench.world.set_war_log_public(bench.clan, public=True)
    make_change(bench, Kind.WAR)
    events = (await subject.poll()).events
    assert [event.metadata["snapshot_age_seconds"] for event in events] == [200, 200]


async def test_war_log_private_at_the_first_poll_is_the_baseline(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR, bench.private_clan)
    assert await poll_types(subject) == []
    bench.world.set_war_log_public(bench.private_clan, public=True)
    assert await poll_types(subject) == ["war_log_public"]


async def test_each_failure_of_a_private_war_log_is_reported(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR, bench.private_clan)
    await subject.poll()
    for _ in range(2):
        bench.server.faults.add(faults.html_page(502), times=1)
        polled = await subject.poll()
        assert [event.event_type.value for event in polled.events] == ["poll_error"]
        assert polled.backoff == 120, "twice the interval: being private is not a failure"
        assert await poll_types(subject) == []


async def test_war_log_is_polled_as_before_for_5_minutes_after_becoming_private(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.world.set_war_log_public(bench.clan, public=False)
    backoffs = []
    for _ in range(7):
        backoffs.append((await subject.poll()).backoff)
        bench.clock.now += 60
    assert backoffs == [0, 0, 0, 0, 0, 600, 600]
    bench.world.set_war_log_public(bench.clan, public=True)
    assert await poll_types(subject) == ["war_log_public"]
    bench.world.set_war_log_public(bench.clan, public=False)
    assert (await subject.poll()).backoff == 0, "it has just become private again"


async def test_war_log_that_was_always_private_is_polled_rarely_at_once(bench: Bench) -> None:
    assert (await poller(bench, Kind.WAR, bench.private_clan).poll()).backoff == 600
    assert (await poller(bench, Kind.WAR, bench.private_clan).poll()).backoff == 600, "after a restart"
