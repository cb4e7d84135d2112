"""What happens over one connection: state, discovery, delivery, commands, health."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.resource import API, Kind
from coc2mqtt.mqtt.client.errors import (
    MessageTooLargeError,
    MqttError,
    PublishDeferredError,
    PublishDeniedError,
    SubscribeDeniedError,
    SubscribeTimeoutError,
)
from coc2mqtt.mqtt.client.topic_filters import check_topic
from coc2mqtt.mqtt.control.request_queue import PACE, RequestMetrics, RequestQueue
from coc2mqtt.mqtt.control.watch_report import watches_payload
from coc2mqtt.mqtt.payloads.models import OnlinePayload, ResponsePayload
from coc2mqtt.mqtt.publish.retained_guard import RetainedGuard
from coc2mqtt.util.cancellation import run_until_cancelled
from coc2mqtt.util.containment import keep_running, propagate
from coc2mqtt.util.fair_iteration import yield_periodically

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator

    from coc2mqtt.mqtt.client.connection import Message, Session
    from coc2mqtt.mqtt.control.commands import Commands, Watches
    from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
    from coc2mqtt.mqtt.payloads.models import HealthPayload, InfoPayload
    from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
    from coc2mqtt.mqtt.publish.orphan_cleanup import OrphanCleanup
    from coc2mqtt.mqtt.publish.retained_state import RetainedState
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

ONLINE = OnlinePayload(state="online").encode()
OFFLINE = OnlinePayload(state="offline").encode()

_HEALTH_INTERVAL = 30.0
_HEALTH_PACE = 5.0
# So many watches are looked at together, and all within this time (seconds).
_POLLS_AT_ONCE = 50
_POLLS_INTERVAL = 30.0
# A list of thousands is some megabytes: so long that it is not said again at once.
_LISTED_PER_SECOND = 300.0
# So long, and what the broker refused is said once more.
_RETRY_AFTER = 120.0
# What a packet with an answer takes beside it (bytes): a topic, most of all.
_AROUND_ANSWER = 1024
# So many topics on which answers do not arrive are said.
_UNANSWERABLE = 10
# Measured on Home Assistant: a new event entity misses what is published in the first half second after its
# announcement, and never hears of it again.
_SETTLE = 1.0
_ANNOUNCING = 2.0
# With MQTT 3.1.1 all that is retained and published on guarded topics comes back: some 30 kB for each watch.
_MAX_ECHOED_WATCHES = 200
# So much is said within that time.
_SOON = 1000
# After its birth message every bridge of the house announces at once; a random wait spreads them.
_BIRTH_WAIT = (1.0, 5.0)


@dataclass(frozen=True, slots=True)
class HomeAssistantTopics:
    """Where Home Assistant says that it has started, and where it takes discovery from."""

    status: str
    discovery_prefix: str


class Bridge:
    """Speaks over each new connection: says that it is there, then everything that is retained, then delivers.

    ``info`` builds the payload of ``bridge/info`` for a connection, ``health`` that of ``bridge/health``.
    ``home_assistant`` is None where it is not used, ``pace`` is how many requests a second are carried out,
    ``guarded`` whether retained topics are guarded against other clients.
    ``contain`` guards each report, each request and each message that comes in: after a bug, that one is left out, and
    a report is made again 1 to 60 s later. ``figures`` go on from an earlier bridge's.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        retained: RetainedState,
        sweep: OrphanCleanup,
        delivery: EventDelivery,
        commands: Commands,
        watches: Watches,
        rivals: DuplicateInstanceDetector,
        info: Callable[[Session], InfoPayload],
        health: Callable[[], Awaitable[HealthPayload]],
        home_assistant: HomeAssistantTopics | None,
        rng: random.Random,
        pace: float = PACE,
        guarded: bool = True,
        contain: Contain = propagate,
        figures: RequestMetrics | None = None,
    ) -> None:
        self._contain = contain
        self._topics = topics
        self._retained = retained
        self._publisher = retained.publisher
        self._announcer = retained.announcer
        self._sweep = sweep
        self._delivery = delivery
        self._commands = commands
        self._watches = watches
        self._rivals = rivals
        self.guard = RetainedGuard(
            topics, retained, other_bridge=lambda: rivals.other, enabled=guarded, contain=contain
        )
        self._info = info
        self._health = health
        self._home_assistant = home_assistant
        self._rng = rng
        self._pace = pace
        self._watches_changed = asyncio.Event()
        self._news = asyncio.Event()
        self._info_changed = asyncio.Event()
        self._unanswerable: set[str] = set()
        # Whether the devices were announced before: then no event has to wait for them any more.
        self._settled = False
        self.figures = figures or RequestMetrics()

    def watches_changed(self) -> None:
        """Have ``bridge/watches`` published again."""
        self._watches_changed.set()
        self.report()

    def report(self) -> None:
        """Have ``bridge/health`` published soon: something in it has changed that a user is waiting for."""
        self._news.set()

    def info_changed(self) -> None:
        """Have ``bridge/info`` published again."""
        self._info_changed.set()

    async def serve(self, session: Session) -> None:
        """Speak over one connection until it is lost."""
        self.guard.on_connected(session)
        await self._rivals.look(session)
        await self._subscribe(session, self._topics.requests)
        if self._home_assistant is not None:
            await self._subscribe(session, self._home_assistant.status)
        self._retained.on_connected()
        # First of all: until it is introduced, a bridge whose place this one has taken cannot know by whom.
        await self._introduce(session)
        await self.guard.subscribe(session, [self._topics.bridge("state"), self._topics.api_status])
        # By itself: behind a house full of devices no acknowledgement would come in time.
        await self._sweep.run(session, shared=self._rivals.is_shared)
        await self.guard.subscribe(session, self._guarded(session))
        await self._mark_everything()
        self._watches_changed.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep("bridge/watches", partial(self._report_watches, session)))
            group.create_task(self._keep("bridge/info", partial(self._report_info, session)))
            group.create_task(self._keep("bridge/health", partial(self._report_health, session)))
            group.create_task(self._keep("poll times", self._report_polls))
            group.create_task(run_until_cancelled("incoming messages", partial(self._listen, session, group)))
            restore, restore_all = partial(self._restore, session), partial(self._restore_all, session)
            group.create_task(self._keep("guard", partial(self.guard.run, restore, restore_all)))
            group.create_task(run_until_cancelled("retained states", partial(self._retained.run, session)))
            group.create_task(run_until_cancelled("announcements", partial(self._announcer.run, session)))
            await self._settle()
            group.create_task(run_until_cancelled("delivery", partial(self._delivery.run, session)))

    async def _keep(self, part: str, work: Callable[[], Awaitable[None]]) -> None:
        await keep_running(part, work, self._contain)

    def _guarded(self, session: Session) -> list[str]:
        """Return the filters of what other clients may not change, as far as it is not too much to be sent to us."""
        small = [self._topics.states(kind, "availability") for kind in (Kind.CLAN, Kind.PLAYER)]
        if session.protocol != "5" and len(self._watches.watched(None, None)) > _MAX_ECHOED_WATCHES:
            return small
        guarded = [
            self._topics.bridge("watches"),
            *(self._topics.states(kind, "+") for kind in (Kind.CLAN, Kind.PLAYER)),
        ]
        if self._home_assistant is not None:
            guarded.append(f"{self._home_assistant.discovery_prefix}/device/+/config")
        return guarded

    async def _restore(self, session: Session, topic: str) -> None:
        """Publish again what another client has overwritten."""
        if topic == self._topics.bridge("state"):
            await self._publisher.publish(session, topic, ONLINE)
        elif topic == self._topics.bridge("info"):
            self._info_changed.set()
        elif topic == self._topics.bridge("watches"):
            self._watches_changed.set()
        else:
            self._retained.restore(topic)

    async def _restore_all(self, session: Session) -> None:
        self._retained.invalidate()
        await self._introduce(session)
        self._watches_changed.set()
        await self._mark_everything()

    async def _settle(self) -> None:
        """Wait until what is retained is said and new devices are known, so that their first events are seen.

        Where there are thousands, events wait for none of them.
        """
        if self._retained.marked_count > _SOON:
            self._settled = True
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANNOUNCING):
                await self._retained.wait_idle()
                if self._home_assistant is not None and not self._settled:
                    await self._announcer.wait_idle()
        self._settled = True
        if self._home_assistant is not None:
            await asyncio.sleep(_SETTLE)

    async def _introduce(self, session: Session) -> None:
        await self._publisher.publish(session, self._topics.bridge("state"), ONLINE)
        self._info_changed.clear()
        if await self._say_info(session):
            self._rivals.introduced()

    async def _mark_everything(self) -> None:
        self._retained.mark(API)
        # The clans first: what is said of a player tells of their clan's war.
        for kind in (Kind.CLAN, Kind.PLAYER):
            async for watch in yield_periodically(self._watches.watched(None, kind)):
                self._retained.mark_watch(watch)

    async def _subscribe(self, session: Session, topic_filter: str) -> None:
        try:
            await session.subscribe(topic_filter)
        except SubscribeDeniedError as error:
            _log.error("a subscription was not granted", topic=topic_filter, reason=str(error))
        except SubscribeTimeoutError as error:
            # A new connection would only add to the broker's load; the subscription may still be granted.
            _log.warning("subscription not answered in time", topic=topic_filter, reason=str(error))

    async def _report_watches(self, session: Session) -> None:
        pause = len(self._watches.watched(None, None)) / _LISTED_PER_SECOND
        # What is published now tells the names: thousands of snapshots need not be read twice.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._retained.wait_idle()
        while True:
            await self._watches_changed.wait()
            self._watches_changed.clear()
            with _set_on_failure(self._watches_changed):
                payload = await watches_payload(self._watches)
                await self._publisher.publish(session, self._topics.bridge("watches"), payload)
            # During the first round of polls, thousands of names come one by one.
            await asyncio.sleep(len(self._watches.watched(None, None)) / _LISTED_PER_SECOND)

    async def _report_info(self, session: Session) -> None:
        while True:
            await self._info_changed.wait()
            self._info_changed.clear()
            with _set_on_failure(self._info_changed):
                await self._say_info(session)

    async def _say_info(self, session: Session) -> bool:
        return await self._publisher.publish(session, self._topics.bridge("info"), self._info(session).encode())

    async def _report_health(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        heard_by, retry_at = loop.time() + _HEALTH_INTERVAL, loop.time() + _RETRY_AFTER
        while True:
            health = await self._health()
            await self._publisher.publish(session, self._topics.bridge("health"), health.encode())
            if loop.time() >= heard_by:
                self._rivals.check_hearing()
            if loop.time() >= retry_at and self._publisher.rejected_topics.any_retryable:
                # Whoever mends the broker need not know that something has to be restarted.
                retry_at = loop.time() + _RETRY_AFTER
                await self._introduce(session)
                if self._publisher.rejected_topics.is_retryable(self._topics.bridge("watches")):
                    self._watches_changed.set()
                self._retained.retry_rejected()
            await self._next_report()

    async def _report_polls(self) -> None:
        while True:
            watches = self._watches.watched(None, None)
            for first in range(0, max(1, len(watches)), _POLLS_AT_ONCE):
                some = watches[first : first + _POLLS_AT_ONCE]
                await asyncio.sleep(_POLLS_INTERVAL * len(some) / len(watches) if watches else _POLLS_INTERVAL)
                for watch in some:
                    self._retained.mark_poll(watch)

    async def _next_report(self) -> None:
        """Wait for half a minute, or for news that Home Assistant shows, but not less than some seconds."""
        await asyncio.sleep(_HEALTH_PACE)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HEALTH_INTERVAL - _HEALTH_PACE):
                await self._news.wait()
        self._news.clear()

    async def _listen(self, session: Session, group: asyncio.TaskGroup) -> None:
        birth: asyncio.Task[None] | None = None
        requests = RequestQueue(self.figures, pace=self._pace)
        group.create_task(run_until_cancelled("answers", partial(self._answer_requests, session, requests)))
        async for message in session.messages():
            if self._home_assistant is not None and message.topic == self._home_assistant.status:
                # Several births in a row are answered once; one that was retained is older than what was just said.
                news = message.payload == b"online" and not message.retain
                if news and (birth is None or birth.done()):
                    birth = group.create_task(self._keep("birth message", self._greet_home_assistant))
                elif message.payload == b"offline":
                    if birth is not None:
                        birth.cancel()
                    self._announcer.on_ha_offline()
            elif message.topic.startswith(self._topics.request("")):
                requests.put(message)
            else:
                with self._contain("message", topic=message.topic):
                    self._rivals.hear(message)

    async def _answer_requests(self, session: Session, requests: RequestQueue) -> None:
        while True:
            message = await requests.get()
            with self._contain("answer", topic=message.topic):
                await self._answer(session, message)

    async def _greet_home_assistant(self) -> None:
        await asyncio.sleep(self._rng.uniform(*_BIRTH_WAIT))
        self._announcer.on_ha_online()
        await self._mark_everything()

    async def _answer(self, session: Session, message: Message) -> None:
        command = self._topics.command(message.topic)
        room = session.max_packet_size - _AROUND_ANSWER - len(message.correlation_data or b"")
        response = await self._commands.answer(command, message.payload, retained=message.retain, room=room)
        _log.debug("a request is answered", command=command, status=response.status, error=response.error)
        wished, usual = message.response_topic, self._topics.response(command or "unknown")
        for topic in [wished, usual] if wished is not None and self._may_answer_on(wished) else [usual]:
            try:
                await self._reply(session, topic, response, message.correlation_data)
            except (PublishDeniedError, PublishDeferredError, MessageTooLargeError) as error:
                self._say_unanswered(topic, error)
            else:
                return

    def _say_unanswered(self, topic: str, error: MqttError) -> None:
        """Log once where answers do not arrive: the topic is the requester's, who can ask again and again."""
        if topic not in self._unanswerable and len(self._unanswerable) < _UNANSWERABLE:
            self._unanswerable.add(topic)
            _log.error("an answer was not accepted", topic=topic, reason=str(error))

    async def _reply(
        self, session: Session, topic: str, response: ResponsePayload, correlation_data: bytes | None
    ) -> None:
        try:
            await session.publish(topic, response.encode(), correlation_data=correlation_data, replaceable=True)
        except MessageTooLargeError as error:
            excuse = ResponsePayload(
                status="error",
                data={},
                error=f"it was done, but the answer is too large: {error}",
                transaction=response.transaction,
            )
            await session.publish(topic, excuse.encode(), correlation_data=correlation_data, replaceable=True)

    def _may_answer_on(self, topic: str) -> bool:
        """Refuse a response topic on which an answer could be taken for an event, a state or a device of ours."""
        try:
            check_topic(topic)
        except ValueError:
            return False
        ours = [f"{self._topics.base}/"]
        if self._home_assistant is not None:
            ours += [f"{self._home_assistant.discovery_prefix}/", self._home_assistant.status]
        return topic.startswith(self._topics.response("")) or not any(topic.startswith(prefix) for prefix in ours)


@contextlib.contextmanager
def _set_on_failure(event: asyncio.Event) -> Iterator[None]:
    try:
        yield
    except Exception:
        event.set()
        raise
