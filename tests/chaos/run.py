"""A run: the game goes on, everything around the bridge breaks, and in the end it is told what came of it."""

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
from tests.chaos.proxy import proxying
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
# A subscriber that is slow for a moment is not to be what loses a message; nor is what it is sent to wait for more.
BROKER_LINES = ("max_queued_messages 0", "set_tcp_nodelay true")

_CLANS, _MEMBERS, _PLAYERS = 3, 25, 3
# The bridge may wait a minute before it tries the broker again (seconds).
_PATIENCE = 100.0
_LOOK_AGAIN = 0.2
_SHORT_PATIENCE = 20.0


@dataclass
class Result:
    """All that a run has shown; ``wrong`` is what is no matter of single events. Times are in seconds."""

    plan: Plan
    truth: GroundTruth
    checked: CheckResult
    receipts: list[Receipt]
    performed: list[InjectedFault]
    happened: int
    duration: float
    log: str
    wrong: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """All that is wrong."""
        return [*self.checked.violations, *self.wrong]


async def run(plan: Plan, broker: Mosquitto, folder: Path) -> Result:
    """Play a plan with a broker that runs and knows ``USERS``; the bridge's files are in the folder."""
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
        proxying(broker.port, cleared=subscriber.catch_up) as proxy,
        asyncio.TaskGroup() as group,
    ):
        bridge = BridgeProcess(folder, _settings(plan, world, server, proxy))
        scenario = Scenario(world, truth, rng, pause=plan.pause, clock=clock)
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
    wrong = [*injector.wrong, *run.wrong, *await asyncio.to_thread(_look_at_files, folder, bridge)]
    checked = check_run(truth, subscriber.receipts, injector.outages)
    return Result(
        plan,
        truth,
        checked,
        subscriber.receipts,
        injector.performed,
        scenario.happened,
        clock(),
        bridge.log,
        wrong,
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
    wrong: list[str] = field(default_factory=list)

    async def play(self) -> None:
        await self.injector.open()
        await self.bridge.start()
        if not await self._within(_SHORT_PATIENCE, self._shows_truth, "the bridge has seen everything once"):
            return
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(self.scenario.play())
            await self._suffer()
            playing.cancel()
        if await self._within(_PATIENCE, self._is_told, "all has been told") and await self._stop():
            # Nothing is new to the bridge now, and nothing is known to the broker.
            await self.injector.replace_broker(0.0)
            await self.bridge.start()
            await self._within(_SHORT_PATIENCE, self._is_back, "all state is said again after a restart")
            await self._stop()

    async def _suffer(self) -> None:
        async with asyncio.TaskGroup() as group:
            for fault in self.plan.faults:
                await asyncio.sleep(fault.rest)
                performing = group.create_task(self.injector.perform(fault))
                if not fault.together:
                    await performing

    async def _stop(self) -> bool:
        status = self.bridge.exit_status
        if status is not None:
            self.wrong.append(f"the bridge ended by itself, with status {status}")
            return False
        try:
            status = await self.bridge.stop()
        except TimeoutError:
            self.wrong.append("the bridge does not stop where it is asked to")
            return False
        if status != 0:
            self.wrong.append(f"the bridge ended with status {status} where it was asked to stop")
        return await self._within(_SHORT_PATIENCE, self._is_offline, "coc/bridge/state says offline after a stop")

    async def _within(self, patience: float, condition: Callable[[], Any], what: str) -> bool:
        """Wait until a condition holds; note where it does not come to that, and return whether it did."""
        try:
            async with asyncio.timeout(patience):
                while not await condition():  # noqa: ASYNC110 - it asks the bridge
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            self.wrong.append(f"it never came to this within {patience:g} s: {what}")
            return False
        return True

    async def _is_told(self) -> bool:
        if check_run(self.truth, self.subscriber.receipts, self.injector.outages).lost:
            return False
        health = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SHORT_PATIENCE / 10):
                health = await self.subscriber.request("health_check")
        return health is not None and health["queue"] == 0 and await self._shows_truth()

    async def _is_back(self) -> bool:
        health = self.subscriber.said("coc/bridge/health")
        at_ease = health is not None and (health["queue"], health["dropped"], health["denied"]) == (0, 0, 0)
        return at_ease and await self._shows_truth()

    async def _is_offline(self) -> bool:
        return bool(self.subscriber.said("coc/bridge/state") == {"state": "offline"})

    async def _shows_truth(self) -> bool:
        """Tell whether the bridge is online and all retained state is what the game shows."""
        said, world = self.subscriber.said, self.world
        if said("coc/bridge/state") != {"state": "online"} or (said("coc/api/state/status") or {}).get("state") != "ok":
            return False
        for tag in world.clan_tags:
            clan, war = world.clan(tag) or {}, world.current_war(tag) or {}
            state, war_state = (said(f"coc/clan/{tag[1:]}/state/{facet}") for facet in ("clan", "war"))
            if state is None or (state["points"], state["members"]) != (clan["clanPoints"], clan["members"]):
                return False
            shown = None if war_state is None or war_state["clan"] is None else war_state["clan"]["attacks"]
            if war_state is None or war_state["state"] != war["state"] or shown not in (None, war["clan"]["attacks"]):
                return False
        for tag in world.player_tags:
            player, state = world.player(tag) or {}, said(f"coc/player/{tag[1:]}/state/player")
            if state is None or (state["trophies"], state["name"]) != (player["trophies"], player["name"]):
                return False
        return True


def _settings(plan: Plan, world: World, server: DemoServer, proxy: Proxy) -> dict[str, Any]:
    return {
        "api": {"base_url": server.base_url, "tokens": [TOKEN]},
        "mqtt": {"host": "127.0.0.1", "port": proxy.port, "username": USER, "password": PASSWORD},
        "homeassistant": {"enabled": plan.home_assistant},
        "watch": {
            "clans": [{"tag": tag, "interval": 1, "war_interval": 1} for tag in world.clan_tags],
            "players": [{"tag": tag, "interval": 1} for tag in world.player_tags],
            "maintenance": {"interval": 1},
        },
        "log": {"level": "debug"},
    }


def _look_at_files(folder: Path, bridge: BridgeProcess) -> list[str]:
    """Return what is wrong with the journal and the log."""
    wrong = []
    with contextlib.closing(sqlite3.connect(folder / "coc2mqtt.db")) as journal:
        answers = [row[0] for row in journal.execute("PRAGMA integrity_check")]
    if answers != ["ok"]:
        wrong.append(f"the journal is damaged: {answers}")
    log = bridge.log
    wrong += [f"the bridge's log holds {what}" for what, text in _UNSPEAKABLE.items() if text in log]
    return wrong


_UNSPEAKABLE = {"a traceback": "Traceback", "the token": TOKEN, "the password": PASSWORD}
