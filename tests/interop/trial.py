"""One trial of the bridge with one broker, from the perspective of its users."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

import aiomqtt
from pydantic import SecretStr

from coc2mqtt.demo import DemoServer, World
from tests.chaos.proxy import running_proxy
from tests.support.bridge_process import TOKEN, BridgeProcess
from tests.support.observer import Observer, observing

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from tests.chaos.proxy import Proxy
    from tests.interop.kinds import RunningBroker

_VERSIONS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
# Longer than the bridge's keepalive, after which a broker publishes the will of a lost client.
_DOWNTIME_S = 3.0


@dataclass
class Row:
    """The result of one broker, by column of the table."""

    name: str
    cells: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


class Trial:
    """Runs the bridge against one broker and records the result of each step in ``row``."""

    def __init__(self, broker: RunningBroker, folder: Path, protocol: str) -> None:
        self.row = Row(f"{broker.kind.name}, MQTT {protocol}")
        self._broker = broker
        self._folder = folder
        self._protocol = protocol
        self._world = World(seed=11, clans=1, members=12, players=0)
        self._clan = self._world.clan_tags[0]

    async def run(self) -> Row:
        """Execute all steps, even after a failed one."""
        async with (
            DemoServer(self._world, token=SecretStr(TOKEN)) as server,
            running_proxy(self._broker.port) as proxy,
        ):
            await proxy.accept()
            bridge = BridgeProcess(self._folder, self._settings(server, proxy))
            try:
                await self._with_observer(bridge)
                await self._step("recovery after a kill", self._recovery(proxy))
            finally:
                await bridge.kill_if_running()
        return self.row

    async def _with_observer(self, bridge: BridgeProcess) -> None:
        async with self._observing() as observer:
            started = time.monotonic()
            await bridge.start()
            await self._step("connect", self._connect(observer, started))
            await self._step("delivery", self._delivery(observer))
            await self._step("retained", self._retained())
            await self._step("command", self._command(observer))
            await self._step("response topic", self._response_topic())
            await self._step("will", self._will(observer, bridge))

    async def _connect(self, observer: Observer, started: float) -> str:
        await observer.wait_until(lambda: observer.retained("coc/bridge/info"), "the bridge's information")
        seconds = time.monotonic() - started
        info = observer.retained("coc/bridge/info")
        await observer.wait_until(lambda: observer.retained(self._topic("state/clan")), "the clan's state")
        return f"MQTT {info['protocol']}, {seconds:.1f} s"

    async def _delivery(self, observer: Observer) -> str:
        for change in (self._world.join, self._world.promote, self._world.leave) * 4:
            change(self._clan)
            await observer.wait_until(lambda: len(_member_events(observer)) >= len(self._expected()), "the next event")
        return self._compare(observer)

    async def _retained(self) -> str:
        """Read retained messages as a late subscriber, by exact topics and by a wildcard."""
        exact, wild = ["coc/bridge/state", self._topic("state/clan")], ["coc/#"]
        found = [len(await self._read_retained(topics)) for topics in (exact, wild)]
        if found[0] < len(exact):
            raise AssertionError(f"{found[0]} of {len(exact)} by exact topic")
        return "yes" if found[1] > len(exact) else "by exact topic only"

    async def _command(self, observer: Observer) -> str:
        response = await observer.request("list")
        if response["status"] != "ok":
            raise AssertionError(str(response))
        return "yes"

    async def _response_topic(self) -> str:
        if self._protocol != "5":
            return "not in MQTT 3.1.1"
        async with self._observing() as observer:
            topic, correlation = f"reply/{uuid.uuid4().hex}", b"\x00\x01"
            await observer.publish("coc/bridge/request/list", b"", ResponseTopic=topic, CorrelationData=correlation)
            await observer.wait_until(
                lambda: any(m.topic == topic and m.correlation_data == correlation for m in observer.received),
                "a response on the response topic",
            )
        return "yes"

    async def _will(self, observer: Observer, bridge: BridgeProcess) -> str:
        await bridge.stop(SIGKILL)
        started = time.monotonic()
        await observer.wait_until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "the will")
        seconds = time.monotonic() - started
        await bridge.start()
        await observer.wait_until(lambda: observer.retained("coc/bridge/state") == {"state": "online"}, "online again")
        return f"after {seconds:.1f} s"

    async def _recovery(self, proxy: Proxy) -> str:
        """Kill the broker, change the game meanwhile, and count the events at a subscriber that connects first."""
        before = len(self._expected())
        proxy.refuse()
        proxy.cut()
        gone = asyncio.Event()
        restart = asyncio.create_task(self._broker.restart(_DOWNTIME_S, during=gone))
        await gone.wait()
        for _ in range(6):
            self._world.join(self._clan)
        await restart
        async with self._observing() as observer:
            started = time.monotonic()
            await proxy.accept()
            await observer.wait_until(lambda: observer.retained("coc/bridge/state") == {"state": "online"}, "online")
            seconds = time.monotonic() - started
            missed = len(self._expected()) - before
            await observer.wait_until(lambda: len(_member_events(observer)) >= missed, "the events of the outage")
            return f"{self._compare(observer, since=before)}, back after {seconds:.1f} s"

    def _compare(self, observer: Observer, since: int = 0) -> str:
        expected = self._expected()[since:]
        seen = _member_events(observer)
        if seen != expected and sorted(seen) != sorted(expected):
            raise AssertionError(f"{len(seen)} events instead of {len(expected)}")
        if seen != expected and not since:  # changes found by one poll have no defined order
            raise AssertionError("events out of order")
        return f"{len(seen)} of {len(expected)} events"

    def _expected(self) -> list[tuple[str, str]]:
        """Return the member events of all changes; the clan's own events depend on the times of polls."""
        return [
            (change.event_type, change.details["member_tag"])
            for change in self._world.changes
            if "member_tag" in change.details
        ]

    async def _read_retained(self, topics: list[str]) -> set[str]:
        found: set[str] = set()
        version = _VERSIONS[self._protocol]
        async with aiomqtt.Client("127.0.0.1", self._broker.port, protocol=version, **self._login()) as client:
            for topic in topics:
                await client.subscribe(topic, qos=1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.5):
                    async for message in client.messages:
                        if message.retain and message.payload:
                            found.add(str(message.topic))
        return found

    def _observing(self) -> contextlib.AbstractAsyncContextManager[Observer]:
        return observing(self._broker.port, protocol=_VERSIONS[self._protocol], **self._login())

    async def _step(self, name: str, step: Awaitable[str]) -> None:
        try:
            self.row.cells[name] = await step
        except (AssertionError, OSError, aiomqtt.MqttError) as error:
            self.row.failed.append(name)
            self.row.cells[name] = f"**no**: {str(error)[:160]}"

    def _topic(self, end: str) -> str:
        return f"coc/clan/{self._clan.removeprefix('#')}/{end}"

    def _login(self) -> dict[str, Any]:
        login = self._broker.kind.login
        return {} if login is None else {"username": login[0], "password": login[1]}

    def _version(self) -> dict[str, str]:
        """Set the older version for a broker with both; otherwise the bridge negotiates it."""
        return {"protocol": "3.1.1"} if self._protocol == "3.1.1" and "5" in self._broker.kind.protocols else {}

    def _settings(self, server: DemoServer, proxy: Proxy) -> dict[str, Any]:
        return {
            "api": {"base_url": server.base_url, "tokens": [TOKEN], "requests_per_second": 100},
            "mqtt": {"host": "127.0.0.1", "port": proxy.port, **self._version(), **self._login()},
            "watch": {"clans": [{"tag": self._clan, "interval": 1, "war_interval": 1}], "maintenance": {"interval": 1}},
        }


def _member_events(observer: Observer) -> list[tuple[str, str]]:
    return [
        (message.data["event_type"], message.data["metadata"]["member_tag"])
        for message in observer.events
        if "member_tag" in message.data["metadata"]
    ]
