"""The bridge as a process, with a bug in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.broker import free_port
from tests.support.journals import kinds, states, status_of, until_seen, watching_one_clan
from tests.support.observer import observing
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.journals import MakeBridge, MakeSettings

pytestmark = pytest.mark.slow

# The third time that the scheduler looks for what is due, it fails; or always.
ONCE = """
from coc2mqtt.events.polling.scheduler import Scheduler
start_due, looks = Scheduler._start_due, iter(range(1_000_000))
def buggy(self, group):
    if next(looks) == 3:
        raise KeyError("a bug")
    return start_due(self, group)
Scheduler._start_due = buggy
"""
ALWAYS = """
from coc2mqtt import supervisor
from coc2mqtt.events.polling.engine import Engine
async def buggy(self):
    raise KeyError("a bug")
Engine.run = buggy
"""
AT_ONCE = "supervisor.retry_delay = lambda _: 0.0"
# As one that has failed often already.
LATE = "supervisor.retry_delay = lambda _: 60.0"


async def test_bug_is_a_short_absence_after_which_everything_goes_on(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port, watch=watching_one_clan(world)), change=ONCE)
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: states(observer) == ["online", "offline", "online"], "its return")
        await until_seen(observer, world)
        world.join(world.clan_tags[0])
        await observer.until_events(2, "a change")
        assert sorted(kinds(observer)) == ["clan_updated", "member_joined"]
        health = (await observer.request("health_check"))["data"]
        assert health["internal_errors"] == 1
        assert health["problems"] == ["internal errors (1 so far): report the traceback in the log"]
        assert health["reconnects"] == 1
        assert await running.end() == 0
    assert running.log.count("Traceback") == 1
    assert "this is a bug: please report it with this traceback" in running.log


async def test_ten_failures_end_the_bridge_with_status_70_and_one_sentence(
    bridge: MakeBridge, settings: MakeSettings
) -> None:
    running = bridge(settings(free_port()), change=ALWAYS + AT_ONCE)
    await running.start()
    assert await status_of(running, within=40) == 70
    assert running.log.splitlines()[-1] == (
        "coc2mqtt: the bridge failed 10 times within 10 minutes because of internal errors: report the tracebacks in"
        " the log, and start the bridge again"
    )
    assert running.log.count("Traceback") == 1


async def test_signal_during_the_delay_stops_the_bridge_at_once(bridge: MakeBridge, settings: MakeSettings) -> None:
    running = bridge(settings(free_port()), change=ALWAYS + LATE)
    await running.start()
    async with asyncio.timeout(LONG_ENOUGH):
        while "bridge failed, rebuilding it" not in running.log:  # noqa: ASYNC110 - nothing tells of a line in a file
            await asyncio.sleep(0.02)
    assert await running.end() == 0
