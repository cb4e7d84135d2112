"""A run: the game changes while everything around the bridge fails; the received events are checked at the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from coc2mqtt.demo import DemoServer, World
from tests.chaos.checks import CheckResult, check_run
from tests.chaos.fault_injector import FaultInjector, InjectedFault
from tests.chaos.ground_truth import GroundTruth
from tests.chaos.proxy import running_proxy
from tests.chaos.scenario import Scenario
from tests.chaos.subscriber import Subscriber
from tests.support.bridge_process import PASSWORD, TOKEN, BridgeProcess
from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.chaos.checks import Receipt
    from tests.chaos.plan import Plan
    from tests.chaos.proxy import Proxy
    from tests.support.broker import Mosquitto

USER = "coc2mqtt"
USERS = {USER: PASSWORD}
# The broker must not drop messages for a slow subscriber, nor delay small ones.
BROKER_LINES = ("max_queued_messages 0", "set_tcp_nodelay true")

_CLANS, _MEMBERS, _PLAYERS = 3, 25, 3
# The bridge may wait a minute before it reconnects to the broker.
_TIMEOUT_S = 100.0
_POLL_INTERVAL_S = 0.2
_INTERVALS = ("interval", "war_interval", "cwl_interval", "raid_interval")
_SHORT_TIMEOUT_S = 20.0


@dataclass
class Result:
    """The outcome of a run; ``problems`` are those that do not concern single events. Times are in seconds."""

    plan: Plan
    truth: GroundTruth
    checked: CheckResult
    receipts: list[Receipt]
    injected: list[InjectedFault]
    change_count: int
    duration: float
    log: str
    problems: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """All problems."""
        return [*self.checked.violations, *self.problems]


async def run(plan: Plan, broker: Mosquitto, folder: Path) -> Result:
    """Execute a plan with a running broker that knows ``USERS``; the files of the bridge are in the folder."""
    world = World(seed=plan.seed, clans=_CLANS, members=_MEMBERS, players=_PLAYERS)
    for tag in world.clan_tags:
        if world.is_war_log_private(tag):
            world.set_war_log_public(tag, public=True)
    loop = asyncio.get_running_loop()
    start = loop.time()

    def clock() -> float:
        return loop.time() - start

    truth = GroundTruth(world)
    subscriber = Subscriber(broker.port, username=USER, password=PASSWORD, clock=clock)
    server = DemoServer(world, port=free_port(), token=SecretStr(TOKEN))
    rng = random.Random(f"story {plan.seed}")
    async with (
        server,
        running_proxy(broker.port, before_forward=subscriber.catch_up) as proxy,
        asyncio.TaskGroup() as group,
    ):
        bridge = BridgeProcess(folder, _settings(plan, world, server, proxy))
        scenario = Scenario(world, truth, rng, pause_s=plan.pause_s, clock=clock)
        injector = FaultInjector(
            broker=broker,
            proxy=proxy,
            subscriber=subscriber,
            bridge=bridge,
            server=server,
            scenario=scenario,
            group=group,
            clock=clock,
        )
        try:
            run = _Run(plan, world, truth, subscriber, bridge, scenario, injector)
            await run.play()
        finally:
            await bridge.kill_if_running()
            await injector.close()
    problems = [*injector.problems, *run.problems, *await asyncio.to_thread(_check_files, folder, bridge)]
    checked = check_run(truth, subscriber.receipts, injector.outages)
    return Result(
        plan,
        truth,
        checked,
        subscriber.receipts,
        injector.injected,
        scenario.change_count,
        clock(),
        bridge.log,
        problems,
    )


@dataclass
class _Run:
    plan: Plan
    world: World
    truth: GroundTruth
    subscriber: Subscriber
    bridge: BridgeProcess
    scenario: Scenario
    injector: FaultInjector
    problems: list[str] = field(default_factory=list)

    async def play(self) -> None:
        await self.injector.open()
        await self.bridge.start()
        if not await self._check_within(_SHORT_TIMEOUT_S, self._state_is_current, "the first poll of every resource"):
            return
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(self.scenario.play())
            await self._inject_faults()
            playing.cancel()
        if (
            await self._check_within(_TIMEOUT_S, self._all_events_received, "all events are received")
            and await self._stop()
        ):
            # The bridge now has nothing to report, and the new broker retains nothing.
            await self.injector.replace_broker(0.0)
            await self.bridge.start()
            await self._check_within(
                _SHORT_TIMEOUT_S, self._state_is_published_again, "all state is published again after a restart"
            )
            await self._stop()

    async def _inject_faults(self) -> None:
        async with asyncio.TaskGroup() as group:
            for fault in self.plan.faults:
                await asyncio.sleep(fault.gap_s)
                performing = group.create_task(self.injector.inject(fault))
                if not fault.overlaps:
                    await performing

    async def _stop(self) -> bool:
        status = self.bridge.exit_status
        if status is not None:
            self.problems.append(f"the bridge exited unexpectedly with status {status}")
            return False
        try:
            status = await self.bridge.stop()
        except TimeoutError:
            self.problems.append("the bridge does not stop on SIGTERM")
            return False
        if status != 0:
            self.problems.append(f"the bridge exited with status {status} on SIGTERM")
        return await self._check_within(_SHORT_TIMEOUT_S, self._is_offline, "coc/bridge/state is offline after a stop")

    async def _check_within(self, timeout_s: float, condition: Callable[[], Any], what: str) -> bool:
        """Wait for a condition; record a problem if it does not become true, and return whether it did."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await condition():  # noqa: ASYNC110 the condition queries the bridge
                    await asyncio.sleep(_POLL_INTERVAL_S)
        except TimeoutError:
            self.problems.append(f"not within {timeout_s:g} s: {what}")
            return False
        return True

    async def _all_events_received(self) -> bool:
        if check_run(self.truth, self.subscriber.receipts, self.injector.outages).lost:
            return False
        health = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHORT_TIMEOUT_S / 10):
                health = await self.subscriber.request("health_check")
        return health is not None and health["queue"] == 0 and await self._state_is_current()

    async def _state_is_published_again(self) -> bool:
        health = self.subscriber.latest_data("coc/bridge/health")
        at_ease = health is not None and (health["queue"], health["dropped"], health["denied"]) == (0, 0, 0)
        return at_ease and await self._state_is_current()

    async def _is_offline(self) -> bool:
        return bool(self.subscriber.latest_data("coc/bridge/state") == {"state": "offline"})

    async def _state_is_current(self) -> bool:
        """Return whether the bridge is online and all retained state matches the game."""
        latest_data, world = self.subscriber.latest_data, self.world
        if (
            latest_data("coc/bridge/state") != {"state": "online"}
            or (latest_data("coc/api/state/status") or {}).get("state") != "ok"
        ):
            return False
        for tag in world.clan_tags:
            clan, war = world.clan(tag) or {}, world.current_war(tag) or {}
            state, war_state = (latest_data(f"coc/clan/{tag[1:]}/state/{facet}") for facet in ("clan", "war"))
            if state is None or (state["points"], state["members"]) != (clan["clanPoints"], clan["members"]):
                return False
            shown = None if war_state is None or war_state["clan"] is None else war_state["clan"]["attacks"]
            if war_state is None or war_state["state"] != war["state"] or shown not in (None, war["clan"]["attacks"]):
                return False
            if not self._parts_are_current(tag):
                return False
        for tag in world.player_tags:
            player, state = world.player(tag) or {}, latest_data(f"coc/player/{tag[1:]}/state/player")
            if state is None or (state["trophies"], state["name"]) != (player["trophies"], player["name"]):
                return False
        return True

    def _parts_are_current(self, clan: str) -> bool:
        """Return whether the retained state of the clan's league and its raids matches the game."""
        league, raids = (self.subscriber.latest_data(f"coc/clan/{clan[1:]}/state/{facet}") for facet in ("cwl", "raid"))
        if league is None or raids is None:
            return False
        table = [] if self.world.league_group(clan) is None else self.world.league_standings(clan)
        weekends = (self.world.raid_seasons(clan) or {})["items"]
        shown = [(one["tag"], one["stars"]) for one in league["standings"]]
        return shown == [(one.tag, one.stars) for one in table] and (raids["attacks"] or 0) == (
            weekends[0]["totalAttacks"] if weekends else 0
        )


def _settings(plan: Plan, world: World, server: DemoServer, proxy: Proxy) -> dict[str, Any]:
    return {
        "api": {"base_url": server.base_url, "tokens": [TOKEN]},
        "mqtt": {"host": "127.0.0.1", "port": proxy.port, "username": USER, "password": PASSWORD},
        "homeassistant": {"enabled": plan.home_assistant},
        "watch": {
            "clans": [
                {"tag": tag, "cwl_standings": True, "raid_defenses": True, **dict.fromkeys(_INTERVALS, 1)}
                for tag in world.clan_tags
            ],
            "players": [{"tag": tag, "interval": 1} for tag in world.player_tags],
            "maintenance": {"interval": 1},
        },
        "log": {"level": "debug"},
    }


def _check_files(folder: Path, bridge: BridgeProcess) -> list[str]:
    """Return the problems of the journal and the log."""
    problems = []
    with contextlib.closing(sqlite3.connect(folder / "coc2mqtt.db")) as journal:
        answers = [row[0] for row in journal.execute("PRAGMA integrity_check")]
    if answers != ["ok"]:
        problems.append(f"the journal is corrupt: {answers}")
    log = bridge.log
    problems += [f"the bridge's log contains {what}" for what, text in _FORBIDDEN_IN_LOG.items() if text in log]
    return problems


_FORBIDDEN_IN_LOG = {"a traceback": "Traceback", "the token": TOKEN, "the password": PASSWORD}
