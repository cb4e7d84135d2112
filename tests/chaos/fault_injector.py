"""Injects the faults of a run into the API, the bridge, the network and the broker."""

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
from tests.chaos.plan import Kind, Trigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from coc2mqtt.demo import DemoServer
    from coc2mqtt.demo.faults import Fault as ApiFault
    from coc2mqtt.demo.faults import Handler
    from tests.chaos.plan import Fault
    from tests.chaos.proxy import Proxy
    from tests.chaos.scenario import Scenario
    from tests.chaos.subscriber import Subscriber
    from tests.support.bridge_process import BridgeProcess
    from tests.support.broker import Mosquitto

_TIMEOUT_S = 5.0


class InjectedFault(NamedTuple):
    """A fault that was injected; times in seconds since the start of the run."""

    started: float
    ended: float
    fault: Fault


class FaultInjector:
    """Injects faults; ``injected`` has the completed ones, ``problems`` unexpected behaviour.

    ``clock`` returns the seconds since the start of the run.
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
        self.injected: list[InjectedFault] = []
        self.outages: list[ApiOutage] = []
        self.problems: list[str] = []
        self._broker = broker
        self._proxy = proxy
        self._subscriber = subscriber
        self._bridge = bridge
        self._server = server
        self._story = scenario
        self._group = group
        self._clock = clock
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._block_reasons: set[object] = set()
        self._subscriber_task: asyncio.Task[None] | None = None
        self._api_fault: ApiFault | None = None
        server.faults.add(self._apply_api_fault)

    async def open(self) -> None:
        """Subscribe to a broker that has just started, and only then let the bridge connect.

        A killed broker loses its messages. Messages that the bridge publishes before anybody has subscribed would be
        lost without a fault of the bridge, so the proxy refuses its connections until then.
        """
        present = asyncio.Event()
        self._subscriber_task = self._group.create_task(self._subscriber.run(present))
        async with asyncio.timeout(_TIMEOUT_S):
            await present.wait()
        await self._unblock(self._broker)

    async def inject(self, fault: Fault) -> None:
        """Wait for the trigger of a fault, and execute it to its end."""
        async with self._locks[fault.target]:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TIMEOUT_S):
                    await self._wait_for_trigger(fault.trigger)
            await asyncio.sleep(fault.delay)
            started = self._clock()
            await _ACTIONS[fault.kind](self, fault)
            self.injected.append(InjectedFault(started, self._clock(), fault))

    async def replace_broker(self, away: float) -> None:
        """Kill the broker, and restart it without its messages after ``away`` seconds."""
        attending = self._subscriber_task
        assert attending is not None
        if attending.done():
            self.problems.append("the subscriber lost its connection to a broker that was not killed")
        # No await in between: the old broker must not reach the bridge after the subscriber is disconnected.
        self._broker.kill()
        self._block(self._broker)
        self._proxy.cut()
        await attending
        await asyncio.sleep(away)
        await asyncio.to_thread(self._broker.start)
        await self.open()

    async def close(self) -> None:
        """Stop the broker and the subscriber."""
        if self._broker.is_running:
            self._broker.kill()
        if self._subscriber_task is not None:
            await self._subscriber_task

    async def _wait_for_trigger(self, trigger: Trigger) -> None:
        if trigger is Trigger.EVENT:
            await self._subscriber.next_event()
        elif trigger is Trigger.RESPONSE:
            answered = asyncio.Event()

            async def notice(request: web.Request, handler: Handler) -> web.Response:
                answered.set()
                return await handler(request)

            self._server.faults.add(notice, times=1, path=await self._story.next_change())
            await answered.wait()

    async def _kill_bridge(self, fault: Fault) -> None:
        if self._bridge.exit_status is not None:
            self.problems.append(f"the bridge exited unexpectedly with status {self._bridge.exit_status}")
        else:
            await self._bridge.stop(signal.SIGKILL)
        await asyncio.sleep(fault.duration_s)
        await self._bridge.start()

    async def _kill_broker(self, fault: Fault) -> None:
        await self.replace_broker(fault.duration_s)

    async def _cut(self, _: Fault) -> None:
        self._proxy.cut()

    async def _close(self, _: Fault) -> None:
        self._proxy.close()

    async def _stall(self, fault: Fault) -> None:
        self._proxy.stall(fault.directions)
        await asyncio.sleep(fault.duration_s)
        self._proxy.resume()

    async def _stall_cut(self, fault: Fault) -> None:
        self._proxy.stall(fault.directions)
        await asyncio.sleep(fault.duration_s)
        self._proxy.cut()
        self._proxy.resume()

    async def _truncate(self, fault: Fault) -> None:
        (direction,) = fault.directions
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TIMEOUT_S):
                await self._proxy.truncate_next_chunk(direction, fault.fraction)

    async def _refuse(self, fault: Fault) -> None:
        self._block(fault)
        self._proxy.cut()
        await asyncio.sleep(fault.duration_s)
        await self._unblock(fault)

    async def _hang(self, fault: Fault) -> None:
        over = asyncio.Event()

        async def wait(request: web.Request, handler: Handler) -> web.Response:
            await over.wait()
            return await handler(request)

        await self._apply_for(fault, wait)
        over.set()

    async def _maintenance(self, fault: Fault) -> None:
        await self._apply_for(fault, refusal(HTTPStatus.SERVICE_UNAVAILABLE, "inMaintenance", "in maintenance"))

    async def _truncated(self, fault: Fault) -> None:
        await self._apply_for(fault, truncated())

    async def _apply_for(self, fault: Fault, ailment: ApiFault) -> None:
        started, self._api_fault = time.time(), ailment
        await asyncio.sleep(fault.duration_s)
        self._api_fault = None
        self.outages.append(ApiOutage(started, time.time()))

    async def _apply_api_fault(self, request: web.Request, handler: Handler) -> web.Response:
        return await (handler(request) if self._api_fault is None else self._api_fault(request, handler))

    async def _closed(self, fault: Fault) -> None:
        started = time.time()
        await self._server.__aexit__(None, None, None)
        await asyncio.sleep(fault.duration_s)
        await self._server.__aenter__()
        self.outages.append(ApiOutage(started, time.time()))

    def _block(self, reason: object) -> None:
        self._block_reasons.add(reason)
        self._proxy.refuse()

    async def _unblock(self, reason: object) -> None:
        """Accept connections again, unless another reason to refuse them remains."""
        self._block_reasons.discard(reason)
        if not self._block_reasons:
            await self._proxy.accept()


_ACTIONS: dict[Kind, Callable[[FaultInjector, Fault], Awaitable[None]]] = {
    Kind.KILL_BRIDGE: FaultInjector._kill_bridge,
    Kind.KILL_BROKER: FaultInjector._kill_broker,
    Kind.CUT: FaultInjector._cut,
    Kind.CLOSE: FaultInjector._close,
    Kind.STALL: FaultInjector._stall,
    Kind.STALL_CUT: FaultInjector._stall_cut,
    Kind.HALF: FaultInjector._truncate,
    Kind.REFUSE: FaultInjector._refuse,
    Kind.HANG: FaultInjector._hang,
    Kind.MAINTENANCE: FaultInjector._maintenance,
    Kind.TRUNCATED: FaultInjector._truncated,
    Kind.CLOSED: FaultInjector._closed,
}
