"""The stage of a run: the game's API, the bridge, the network and the broker, and what befalls them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.demo.faults import refusal, truncated
from tests.chaos.checks import ApiOutage
from tests.chaos.plan import Kind, Moment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from coc2mqtt.demo import DemoServer
    from coc2mqtt.demo.faults import Fault as Ailment
    from coc2mqtt.demo.faults import Handler
    from tests.chaos.plan import Fault
    from tests.chaos.proxy import Proxy
    from tests.chaos.scenario import Scenario
    from tests.chaos.subscriber import Subscriber
    from tests.support.bridge_process import BridgeProcess
    from tests.support.broker import Mosquitto

_PATIENCE = 5.0


class InjectedFault(NamedTuple):
    """A fault that was, in seconds of the run."""

    began: float
    ended: float
    fault: Fault


class FaultInjector:
    """Performs faults; ``performed`` has all that were, ``wrong`` what happened and must not have.

    ``clock`` gives the seconds of the run.
    """

    def __init__(
        self,
        *,
        broker: Mosquitto,
        proxy: Proxy,
        subscriber: Subscriber,
        bridge: BridgeProcess,
        server: DemoServer,
        scenario: Scenario,
        group: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self.performed: list[InjectedFault] = []
        self.outages: list[ApiOutage] = []
        self.wrong: list[str] = []
        self._broker = broker
        self._proxy = proxy
        self._subscriber = subscriber
        self._bridge = bridge
        self._server = server
        self._story = scenario
        self._group = group
        self._clock = clock
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._barred: set[object] = set()
        self._attending: asyncio.Task[None] | None = None
        self._ailment: Ailment | None = None
        server.faults.add(self._ail)

    async def open(self) -> None:
        """Have the subscriber listen to a broker that has just started, and only then let the bridge to it.

        A broker that is killed forgets. What it took from the bridge while nobody was there to be given it would be
        gone by no fault of the bridge's: so there is no way to it meanwhile.
        """
        present = asyncio.Event()
        self._attending = self._group.create_task(self._subscriber.attend(present))
        async with asyncio.timeout(_PATIENCE):
            await present.wait()
        await self._unbar(self._broker)

    async def perform(self, fault: Fault) -> None:
        """Let a fault happen at its moment, from its beginning to its end."""
        async with self._locks[fault.target]:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._moment(fault.moment)
            await asyncio.sleep(fault.delay)
            began = self._clock()
            await _DEEDS[fault.kind](self, fault)
            self.performed.append(InjectedFault(began, self._clock(), fault))

    async def replace_broker(self, away: float) -> None:
        """Kill the broker, and start it again after so many seconds; it has forgotten everything."""
        attending = self._attending
        assert attending is not None
        if attending.done():
            self.wrong.append("the subscriber lost its connection to a broker that was not killed")
        # In one go: nothing that the old broker said reaches the bridge after the subscriber has gone from it.
        self._broker.kill()
        self._bar(self._broker)
        self._proxy.cut()
        await attending
        await asyncio.sleep(away)
        await asyncio.to_thread(self._broker.start)
        await self.open()

    async def close(self) -> None:
        """Let the subscriber go, and the broker with it."""
        if self._broker.is_running:
            self._broker.kill()
        if self._attending is not None:
            await self._attending

    async def _moment(self, moment: Moment) -> None:
        if moment is Moment.EVENT:
            await self._subscriber.next_event()
        elif moment is Moment.ANSWER:
            answered = asyncio.Event()

            async def notice(request: web.Request, handler: Handler) -> web.Response:
                answered.set()
                return await handler(request)

            self._server.faults.add(notice, times=1, path=await self._story.next_change())
            await answered.wait()

    async def _kill_bridge(self, fault: Fault) -> None:
        if self._bridge.exit_status is not None:
            self.wrong.append(f"the bridge ended by itself, with status {self._bridge.exit_status}")
        else:
            await self._bridge.stop(signal.SIGKILL)
        await asyncio.sleep(fault.lasts)
        await self._bridge.start()

    async def _kill_broker(self, fault: Fault) -> None:
        await self.replace_broker(fault.lasts)

    async def _cut(self, _: Fault) -> None:
        self._proxy.cut()

    async def _close(self, _: Fault) -> None:
        self._proxy.close()

    async def _stall(self, fault: Fault) -> None:
        self._proxy.stall(fault.directions)
        await asyncio.sleep(fault.lasts)
        self._proxy.resume()

    async def _stall_cut(self, fault: Fault) -> None:
        self._proxy.stall(fault.directions)
        await asyncio.sleep(fault.lasts)
        self._proxy.cut()
        self._proxy.resume()

    async def _half(self, fault: Fault) -> None:
        (direction,) = fault.directions
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._proxy.halve(direction, fault.share)

    async def _refuse(self, fault: Fault) -> None:
        self._bar(fault)
        self._proxy.cut()
        await asyncio.sleep(fault.lasts)
        await self._unbar(fault)

    async def _hang(self, fault: Fault) -> None:
        over = asyncio.Event()

        async def wait(request: web.Request, handler: Handler) -> web.Response:
            await over.wait()
            return await handler(request)

        await self._suffer(fault, wait)
        over.set()

    async def _maintenance(self, fault: Fault) -> None:
        await self._suffer(fault, refusal(HTTPStatus.SERVICE_UNAVAILABLE, "inMaintenance", "in maintenance"))

    async def _truncated(self, fault: Fault) -> None:
        await self._suffer(fault, truncated())

    async def _suffer(self, fault: Fault, ailment: Ailment) -> None:
        began, self._ailment = time.time(), ailment
        await asyncio.sleep(fault.lasts)
        self._ailment = None
        self.outages.append(ApiOutage(began, time.time()))

    async def _ail(self, request: web.Request, handler: Handler) -> web.Response:
        return await (handler(request) if self._ailment is None else self._ailment(request, handler))

    async def _closed(self, fault: Fault) -> None:
        began = time.time()
        await self._server.__aexit__(None, None, None)
        await asyncio.sleep(fault.lasts)
        await self._server.__aenter__()
        self.outages.append(ApiOutage(began, time.time()))

    def _bar(self, reason: object) -> None:
        self._barred.add(reason)
        self._proxy.refuse()

    async def _unbar(self, reason: object) -> None:
        """Accept connections again, unless there is another reason not to."""
        self._barred.discard(reason)
        if not self._barred:
            await self._proxy.accept()


_DEEDS: dict[Kind, Callable[[FaultInjector, Fault], Awaitable[None]]] = {
    Kind.KILL_BRIDGE: FaultInjector._kill_bridge,
    Kind.KILL_BROKER: FaultInjector._kill_broker,
    Kind.CUT: FaultInjector._cut,
    Kind.CLOSE: FaultInjector._close,
    Kind.STALL: FaultInjector._stall,
    Kind.STALL_CUT: FaultInjector._stall_cut,
    Kind.HALF: FaultInjector._half,
    Kind.REFUSE: FaultInjector._refuse,
    Kind.HANG: FaultInjector._hang,
    Kind.MAINTENANCE: FaultInjector._maintenance,
    Kind.TRUNCATED: FaultInjector._truncated,
    Kind.CLOSED: FaultInjector._closed,
}
