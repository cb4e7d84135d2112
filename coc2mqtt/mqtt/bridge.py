"""The work of one connection to the broker: state, discovery, event delivery, commands and reports."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.resource import API, Kind
from coc2mqtt.mqtt.client.errors import SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.mqtt.control.requests import REQUESTS_PER_SECOND, RequestHandler, RequestMetrics
from coc2mqtt.mqtt.publish.retained_guard import RetainedGuard
from coc2mqtt.mqtt.reports import BridgeReports
from coc2mqtt.util.containment import keep_running, propagate
from coc2mqtt.util.tasks import run_until_cancelled, yield_periodically

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.connection import Message, Session
    from coc2mqtt.mqtt.control.commands import Watches
    from coc2mqtt.mqtt.control.dispatcher import CommandDispatcher
    from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
    from coc2mqtt.mqtt.payloads.models import HealthPayload, InfoPayload
    from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
    from coc2mqtt.mqtt.publish.orphan_cleanup import OrphanCleanup
    from coc2mqtt.mqtt.publish.retained_state import RetainedState
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Events wait this long for the retained state and the devices to be published, unless there are more resources than
# could be published within it.
_STATE_TIMEOUT_S = 2.0
_MAX_AWAITED_RESOURCES = 1000
# Measured on Home Assistant: a new event entity misses messages in the first half second after its discovery payload.
_SUBSCRIBE_DELAY_S = 1.0
# With MQTT 3.1.1 the broker returns every retained message on guarded topics to us: about 30 kB per watch.
_MAX_ECHOED_WATCHES = 200
# All bridges receive Home Assistant's birth message at once: a random delay spreads their answers.
_BIRTH_DELAY_S = (1.0, 5.0)


@dataclass(frozen=True, slots=True)
class HomeAssistantTopics:
    """Home Assistant's topic for its birth and last will messages, and its discovery prefix."""

    status: str
    discovery_prefix: str


class Bridge:
    """Serves one connection to the broker after another.

    ``info`` builds the payload of ``bridge/info`` for a connection, ``health`` that of ``bridge/health``.
    ``home_assistant`` is None if it is not used. ``guarded`` enables the guard of retained topics against other
    clients. ``contain`` guards each report, request and message: after a bug, a request or message is skipped, and a
    report is retried 1 to 60 s later. ``metrics`` can be those of an earlier bridge.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        retained: RetainedState,
        orphan_cleanup: OrphanCleanup,
        delivery: EventDelivery,
        commands: CommandDispatcher,
        watches: Watches,
        duplicate_detector: DuplicateInstanceDetector,
        info: Callable[[Session], InfoPayload],
        health: Callable[[], Awaitable[HealthPayload]],
        home_assistant: HomeAssistantTopics | None,
        rng: random.Random,
        requests_per_second: float = REQUESTS_PER_SECOND,
        guarded: bool = True,
        contain: Contain = propagate,
        metrics: RequestMetrics | None = None,
    ) -> None:
        self._contain = contain
        self._topics = topics
        self._retained = retained
        self._publisher = retained.publisher
        self._announcer = retained.announcer
        self._orphan_cleanup = orphan_cleanup
        self._delivery = delivery
        self._watches = watches
        self._duplicate_detector = duplicate_detector
        self._home_assistant = home_assistant
        self._rng = rng
        # Whether the devices were announced over an earlier connection: events need not wait for them then.
        self._devices_announced = False
        self.metrics = metrics or RequestMetrics()
        self.guard = RetainedGuard(
            topics, retained, other_bridge=lambda: duplicate_detector.other_bridge, enabled=guarded, contain=contain
        )
        self._reports = BridgeReports(
            topics,
            retained=retained,
            watches=watches,
            duplicate_detector=duplicate_detector,
            info=info,
            health=health,
        )
        self._requests = RequestHandler(
            topics,
            commands,
            metrics=self.metrics,
            requests_per_second=requests_per_second,
            reserved=() if home_assistant is None else (f"{home_assistant.discovery_prefix}/", home_assistant.status),
            contain=contain,
        )

    def watches_changed(self) -> None:
        """Publish ``bridge/watches`` again, and ``bridge/health`` soon."""
        self._reports.watches_changed()
        self._reports.health_changed()

    def health_changed(self) -> None:
        """Publish ``bridge/health`` soon."""
        self._reports.health_changed()

    def info_changed(self) -> None:
        """Publish ``bridge/info`` again."""
        self._reports.info_changed()

    async def serve(self, session: Session) -> None:
        """Serve one connection until it is lost: publish online, then all retained state, then events."""
        self.guard.on_connected(session)
        self._requests.on_connected(session)
        await self._duplicate_detector.check(session)
        await self._subscribe(session, self._topics.requests)
        if self._home_assistant is not None:
            await self._subscribe(session, self._home_assistant.status)
        self._retained.on_connected()
        # First, so that a bridge whose connection was taken over can find out by whom.
        await self._reports.introduce(session)
        await self.guard.subscribe(session, [self._topics.bridge("state"), self._topics.api_status])
        # Not concurrently with other work: behind thousands of devices no acknowledgement would arrive in time.
        await self._orphan_cleanup.run(session, shared=self._duplicate_detector.is_base_topic_shared)
        await self.guard.subscribe(session, self._guarded_filters(session))
        await self._mark_everything()
        self._reports.watches_changed()
        async with asyncio.TaskGroup() as group:
            reports = self._reports
            group.create_task(self._keep_running("bridge/watches", partial(reports.publish_watches, session)))
            group.create_task(self._keep_running("bridge/info", partial(reports.publish_info, session)))
            group.create_task(self._keep_running("bridge/health", partial(reports.publish_health, session)))
            group.create_task(self._keep_running("poll times", reports.publish_poll_times))
            group.create_task(run_until_cancelled("requests", partial(self._requests.run, session)))
            group.create_task(run_until_cancelled("incoming messages", partial(self._handle_messages, session, group)))
            restore, restore_all = partial(self._restore, session), partial(self._restore_all, session)
            group.create_task(self._keep_running("guard", partial(self.guard.run, restore, restore_all)))
            group.create_task(run_until_cancelled("retained states", partial(self._retained.run, session)))
            group.create_task(run_until_cancelled("announcements", partial(self._announcer.run, session)))
            await self._wait_for_state()
            group.create_task(run_until_cancelled("delivery", partial(self._delivery.run, session)))

    async def _subscribe(self, session: Session, topic_filter: str) -> None:
        try:
            await session.subscribe(topic_filter)
        except SubscribeDeniedError as error:
            _log.error("subscription denied", topic=topic_filter, reason=str(error))
        except SubscribeTimeoutError as error:
            # A new connection would only add to the broker's load; the subscription may still be granted.
            _log.warning("subscription not answered in time", topic=topic_filter, reason=str(error))

    async def _mark_everything(self) -> None:
        """Mark the state of the API and of all watches to be published."""
        self._retained.mark(API)
        # Clans first: the state of a player includes the war of their clan.
        for kind in (Kind.CLAN, Kind.PLAYER):
            async for watch in yield_periodically(self._watches.select(kind=kind)):
                self._retained.mark_watch(watch)

    async def _keep_running(self, part: str, work: Callable[[], Awaitable[None]]) -> None:
        await keep_running(part, work, self._contain)

    async def _wait_for_state(self) -> None:
        """Wait until retained state and new devices are published, so that Home Assistant receives their first events.

        Events do not wait if there are thousands of resources.
        """
        if self._retained.marked_count > _MAX_AWAITED_RESOURCES:
            self._devices_announced = True
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STATE_TIMEOUT_S):
                await self._retained.wait_idle()
                if self._home_assistant is not None and not self._devices_announced:
                    await self._announcer.wait_idle()
        self._devices_announced = True
        if self._home_assistant is not None:
            await asyncio.sleep(_SUBSCRIBE_DELAY_S)

    async def _handle_messages(self, session: Session, group: asyncio.TaskGroup) -> None:
        """Handle all messages except requests: Home Assistant's status and other bridges' info."""
        birth: asyncio.Task[None] | None = None
        async for message in session.messages():
            if self._home_assistant is None or message.topic != self._home_assistant.status:
                with self._contain("message", topic=message.topic):
                    self._duplicate_detector.handle(message)
            elif _is_birth(message) and (birth is None or birth.done()):
                birth = group.create_task(self._keep_running("birth message", self._on_home_assistant_birth))
            elif message.payload == b"offline":
                if birth is not None:
                    birth.cancel()
                self._announcer.on_ha_offline()

    async def _on_home_assistant_birth(self) -> None:
        await asyncio.sleep(self._rng.uniform(*_BIRTH_DELAY_S))
        self._announcer.on_ha_online()
        await self._mark_everything()

    def _guarded_filters(self, session: Session) -> list[str]:
        """Return the filters of the retained topics to guard; fewer if the broker would return too much to us."""
        if session.protocol != "5" and len(self._watches.select()) > _MAX_ECHOED_WATCHES:
            return [self._topics.states(kind, "availability") for kind in (Kind.CLAN, Kind.PLAYER)]
        filters = [
            self._topics.bridge("watches"),
            *(self._topics.states(kind, "+") for kind in (Kind.CLAN, Kind.PLAYER)),
        ]
        if self._home_assistant is not None:
            filters.append(f"{self._home_assistant.discovery_prefix}/device/+/config")
        return filters

    async def _restore(self, session: Session, topic: str) -> None:
        """Publish a retained topic again that another client has overwritten."""
        if not await self._reports.restore(session, topic):
            self._retained.restore(topic)

    async def _restore_all(self, session: Session) -> None:
        self._retained.invalidate()
        await self._reports.introduce(session)
        self._reports.watches_changed()
        await self._mark_everything()


def _is_birth(message: Message) -> bool:
    # A retained birth message is older than the connection, over which everything is published anyway.
    return message.payload == b"online" and not message.retain
