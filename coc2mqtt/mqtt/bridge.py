"""The work of one connection to the broker: state, discovery, event delivery, commands and reports."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.resource import API, Kind
from coc2mqtt.mqtt.client.errors import SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.mqtt.publish.new_devices import ENTITY_SETUP_S
from coc2mqtt.util.containment import keep_running, propagate
from coc2mqtt.util.tasks import run_until_cancelled, yield_periodically

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.connection import Message, Session
    from coc2mqtt.mqtt.control.commands import Watches
    from coc2mqtt.mqtt.control.requests import RequestHandler
    from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
    from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
    from coc2mqtt.mqtt.publish.orphan_cleanup import OrphanCleanup
    from coc2mqtt.mqtt.publish.retained_guard import RetainedGuard
    from coc2mqtt.mqtt.publish.retained_state import RetainedState
    from coc2mqtt.mqtt.reports import BridgeReports
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Events wait this long for the retained state and the devices to be published, unless there are more resources than
# could be published within it.
_STATE_TIMEOUT_S = 2.0
_MAX_AWAITED_RESOURCES = 1000
# All bridges receive Home Assistant's birth message at once: a random delay spreads their answers.
_BIRTH_DELAY_S = (1.0, 5.0)


class Bridge:
    """Serves one connection to the broker after another.

    ``home_assistant_status`` is the topic of Home Assistant's birth and will messages, None if it is not used. ``rng``
    chooses the delay after a birth message. ``contain`` guards each report and message: after a bug, a message is
    skipped, and a report is retried 1 to 60 s later.
    """

    def __init__(
        self,
        *,
        retained: RetainedState,
        delivery: EventDelivery,
        requests: RequestHandler,
        reports: BridgeReports,
        guard: RetainedGuard,
        orphan_cleanup: OrphanCleanup,
        duplicate_detector: DuplicateInstanceDetector,
        watches: Watches,
        home_assistant_status: str | None,
        rng: random.Random,
        contain: Contain = propagate,
    ) -> None:
        self._retained = retained
        self._announcer = retained.announcer
        self._delivery = delivery
        self._requests = requests
        self._reports = reports
        self._guard = guard
        self._orphan_cleanup = orphan_cleanup
        self._duplicate_detector = duplicate_detector
        self._watches = watches
        self._home_assistant_status = home_assistant_status
        self._rng = rng
        self._contain = contain
        # Whether the devices were announced over an earlier connection: events need not wait for them then.
        self._devices_announced = False

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
        self._guard.on_connected(session)
        self._requests.on_connected(session)
        await self._duplicate_detector.check(session)
        await self._subscribe(session, self._requests.topic_filter)
        if self._home_assistant_status is not None:
            await self._subscribe(session, self._home_assistant_status)
        self._retained.on_connected()
        # First, so that a bridge whose connection was taken over can find out by whom.
        await self._reports.introduce(session)
        await self._guard.subscribe_status(session)
        # Not concurrently with other work: behind thousands of devices no acknowledgement would arrive in time.
        await self._orphan_cleanup.run(session, shared=self._duplicate_detector.is_base_topic_shared)
        await self._guard.subscribe_rest(session)
        await self._mark_everything()
        self._reports.watches_changed()
        self._reports.last_command_changed()
        async with asyncio.TaskGroup() as group:
            reports = self._reports
            group.create_task(self._keep_running("bridge/last_command", partial(reports.publish_last_command, session)))
            group.create_task(self._keep_running("bridge/watches", partial(reports.publish_watches, session)))
            group.create_task(self._keep_running("bridge/info", partial(reports.publish_info, session)))
            group.create_task(self._keep_running("bridge/health", partial(reports.publish_health, session)))
            group.create_task(self._keep_running("poll times", reports.publish_poll_times))
            group.create_task(run_until_cancelled("requests", partial(self._requests.run, session)))
            group.create_task(run_until_cancelled("incoming messages", partial(self._handle_messages, session, group)))
            restore, restore_all = partial(self._restore, session), partial(self._restore_all, session)
            group.create_task(self._keep_running("guard", partial(self._guard.run, restore, restore_all)))
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
        # Clans first: the state of a player includes the wars and raids of their clan.
        for kind in (Kind.CLAN, Kind.PLAYER):
            async for watch in yield_periodically(self._watches.select(kind=kind)):
                for resource, _ in watch.resources():
                    self._retained.mark(resource)

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
                if self._home_assistant_status is not None and not self._devices_announced:
                    await self._announcer.wait_idle()
        self._devices_announced = True
        if self._home_assistant_status is not None:
            await asyncio.sleep(ENTITY_SETUP_S)

    async def _handle_messages(self, session: Session, group: asyncio.TaskGroup) -> None:
        """Handle all messages except requests: Home Assistant's status and other bridges' info."""
        birth: asyncio.Task[None] | None = None
        async for message in session.messages():
            if message.topic != self._home_assistant_status:
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

    async def _restore(self, session: Session, topic: str) -> None:
        """Publish a retained topic again that another client has overwritten."""
        if not await self._reports.restore(session, topic):
            self._retained.restore(topic)

    async def _restore_all(self, session: Session) -> None:
        self._retained.invalidate()
        await self._reports.introduce(session)
        self._reports.watches_changed()
        self._reports.last_command_changed()
        await self._mark_everything()


def _is_birth(message: Message) -> bool:
    # A retained birth message is older than the connection, over which everything is published anyway.
    return message.payload == b"online" and not message.retain
