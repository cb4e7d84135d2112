"""Recovery of the bridge process from a bug."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import watch_one_clan
from tests.support.broker import free_port
from tests.support.observer import observing

if TYPE_CHECKING:
    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.slow

# The scheduler fails once, at its fourth check for due polls.
FAIL_ONCE = """
from coc2mqtt.events.polling.scheduler import Scheduler
start_due, calls = Scheduler._start_due_polls, iter(range(1_000_000))
def buggy(self, group):
    if next(calls) == 3:
        raise KeyError("a bug")
    return start_due(self, group)
Scheduler._start_due_polls = buggy
"""
FAIL_ALWAYS = """
from coc2mqtt import supervisor
from coc2mqtt.events.polling.engine import Engine
async def buggy(self):
    raise KeyError("a bug")
Engine.run = buggy
"""
NO_DELAY = "supervisor.retry_delay = lambda _: 0.0"
LONGEST_DELAY = "supervisor.retry_delay = lambda _: 60.0"


async def test_bug_causes_a_short_outage_and_the_bridge_continues(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port, watch=watch_one_clan(world)), patch=FAIL_ONCE)
    async with observing(broker.port) as observer:
        await running.start()
        await observer.wait_until(lambda: observer.bridge_states == ["online", "offline", "online"], "the recovery")
        await observer.wait_for_clan(world.clan_tags[0])
        world.join(world.clan_tags[0])
        await observer.wait_for_events(2, "a change")
        assert sorted(observer.event_types) == ["clan_updated", "member_joined"]
        health = (await observer.request("health_check"))["data"]
        assert health["internal_errors"] == 1
        assert health["problems"] == ["internal errors (1 so far): report the traceback in the log"]
        assert health["reconnects"] == 1
        assert await running.stop() == 0
    assert running.log.count("Traceback") == 1
    assert "this is a bug: please report it with this traceback" in running.log


async def test_bridge_exits_with_status_70_after_ten_failures(bridge: MakeBridge, settings: MakeSettings) -> None:
    running = bridge(settings(free_port()), patch=FAIL_ALWAYS + NO_DELAY)
    await running.start()
    assert await running.wait(40) == 70
    assert running.last_line == (
        "coc2mqtt: the bridge failed 10 times within 10 minutes because of internal errors: report the tracebacks in"
        " the log, and start the bridge again"
    )
    assert running.log.count("Traceback") == 1


async def test_signal_during_the_delay_stops_the_bridge_at_once(bridge: MakeBridge, settings: MakeSettings) -> None:
    running = bridge(settings(free_port()), patch=FAIL_ALWAYS + LONGEST_DELAY)
    await running.start()
    await running.wait_for_log("bridge failed, rebuilding it")
    assert await running.stop() == 0
