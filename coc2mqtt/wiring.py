"""Builds the parts of the bridge in the order of their dependencies and connects their callbacks."""

from __future__ import annotations

import importlib.metadata
import random
import socket
import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clients import connection_options
from coc2mqtt.config.settings import redactor_of
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API
from coc2mqtt.health import Health, Metrics
from coc2mqtt.logs import LogLevel
from coc2mqtt.mqtt.bridge import Bridge, HomeAssistantTopics
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.client.poison_messages import PoisonMessageFilter
from coc2mqtt.mqtt.client.reconnect import port_is_open
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from coc2mqtt.mqtt.control.commands import CommandContext
from coc2mqtt.mqtt.control.dispatcher import COMMANDS, CommandDispatcher
from coc2mqtt.mqtt.control.replay import Replay
from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
from coc2mqtt.mqtt.payloads.models import HealthPayload, InfoPayload, iso_time
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.publish.orphan_cleanup import DiscoveryOptions, OrphanCleanup
from coc2mqtt.mqtt.publish.retained_state import RetainedState
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.util.clocks import uptime
from coc2mqtt.watch_list import WatchList

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.config.settings import Settings
    from coc2mqtt.events.resource import Resource, Watch
    from coc2mqtt.internal_errors import InternalErrors
    from coc2mqtt.journal.protocol import Journal

_log = structlog.get_logger()

VERSION = importlib.metadata.version("coc2mqtt")


@dataclass(slots=True)
class ProcessState:
    """State that survives when the parts are rebuilt after a bug: identity, start time, metrics, broker limits.

    ``started_at`` is Unix time and ``started_uptime`` the same moment by ``uptime``, both in seconds.
    """

    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: float = field(default_factory=time.time)
    started_uptime: float = field(default_factory=uptime)
    metrics: Metrics = field(default_factory=Metrics)
    publisher: RetryingPublisher = field(default_factory=RetryingPublisher)
    poison_filter: PoisonMessageFilter = field(default_factory=PoisonMessageFilter)


class Parts:
    """The parts of a bridge, connected but not running.

    ``embedded_port`` is the port of the embedded broker, None with an external one. ``on_published`` is called with
    the topic and the payload of each event that the broker has acknowledged. Metrics continue from ``process``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        journal: Journal,
        api: ClashClient,
        process: ProcessState,
        errors: InternalErrors,
        embedded_port: int | None = None,
        on_published: Callable[[str, bytes], None] = lambda *_: None,
    ) -> None:
        contain = errors.contain
        rng = random.SystemRandom()
        topics = Topics(settings.mqtt.base_topic)
        hass = settings.homeassistant
        self._metrics = metrics = process.metrics
        callbacks = _Callbacks(errors, on_published)

        self.engine = engine = Engine(
            api,
            journal,
            on_commit=callbacks.on_commit,
            rng=rng,
            contain=contain,
            on_bug=callbacks.on_compare_bug,
            metrics=metrics.engine,
        )
        self.watches = watches = WatchList(
            journal, engine, on_change=callbacks.on_watch_change, maximum=settings.watch.maximum
        )
        self.delivery = EventDelivery(
            journal,
            topics,
            publisher=process.publisher,
            on_published=callbacks.on_published,
            contain=contain,
            metrics=metrics.delivery,
        )
        self._retained = RetainedState(
            journal,
            topics,
            watches=watches,
            api_reachable=lambda: engine.api_reachable,
            on_name=watches.cache_name,
            discovery=Discovery(topics, instance=settings.instance, version=VERSION, prefix=hass.discovery_prefix)
            if hass.enabled
            else None,
            publisher=process.publisher,
            contain=contain,
        )
        self._retained.publisher.rejected_topics.count = metrics.states_denied
        log_level = LogLevel(on_change=callbacks.on_log_level_change)
        commands = CommandContext(
            watches,
            health=callbacks.health_payload,
            replay=Replay(journal, flush_acks=self.delivery.flush_acks, contain=contain),
            log_level=log_level,
        )
        duplicates = DuplicateInstanceDetector(topics, instance=settings.instance, run_id=process.run_id)
        self._bridge = Bridge(
            topics,
            retained=self._retained,
            orphan_cleanup=OrphanCleanup(
                topics,
                discovery=DiscoveryOptions(hass.discovery_prefix, settings.instance, hass.enabled),
                retained=self._retained,
                watches=watches,
                # amqtt sends every client all retained messages of every filter that any client ever subscribed to.
                broker_starts_empty=embedded_port is not None,
                contain=contain,
            ),
            delivery=self.delivery,
            commands=CommandDispatcher(commands, contain=contain),
            watches=watches,
            duplicate_detector=duplicates,
            info=partial(_info, settings, process, log_level),
            health=callbacks.health_payload,
            home_assistant=HomeAssistantTopics(hass.status_topic, hass.discovery_prefix) if hass.enabled else None,
            rng=rng,
            # The embedded broker echoes every guarded message to all its clients, and only local clients can connect.
            guarded=embedded_port is None,
            contain=contain,
            metrics=metrics.requests,
        )
        self._bridge.guard.restored = metrics.restored
        options = connection_options(settings, embedded_port=embedded_port)
        self.connection = Connection(
            options,
            on_session=self._bridge.serve,
            offline_messages=() if options.will is None else (options.will,),
            other_instance_is_alive=duplicates.is_alive,
            port_probe=partial(port_is_open, options.host, options.port),
            connections=metrics.connections,
            poison_filter=process.poison_filter,
        )
        self.health = Health(
            journal=journal,
            engine=engine,
            connection=self.connection,
            delivery=self.delivery,
            retained=self._retained,
            guard=self._bridge.guard,
            metrics=metrics,
            publisher=process.publisher,
            internal_errors=errors,
            started_at=process.started_uptime,
            redact=redactor_of(settings),
        )
        callbacks.connect(watches=watches, retained=self._retained, bridge=self._bridge, health=self.health)
        errors.on_report = self._bridge.health_changed

    def save_metrics(self) -> None:
        """Store the counters that the parts keep themselves, so that the next parts continue from them."""
        self._metrics.states_denied = self._retained.publisher.rejected_topics.count
        self._metrics.connections = self.connection.connections
        self._metrics.restored = self._bridge.guard.restored


class _Callbacks:
    """Forwards notifications to parts that are built after the part that sends them.

    For example, the engine reports a commit to the retained state, which itself needs the engine. ``connect`` must be
    called before any part runs.
    """

    _watches: WatchList
    _retained: RetainedState
    _bridge: Bridge
    _health: Health

    def __init__(self, errors: InternalErrors, on_published: Callable[[str, bytes], None]) -> None:
        self._errors = errors
        self._on_published = on_published

    def connect(self, *, watches: WatchList, retained: RetainedState, bridge: Bridge, health: Health) -> None:
        """Set the parts that receive the notifications."""
        self._watches = watches
        self._retained = retained
        self._bridge = bridge
        self._health = health

    def on_commit(self, resource: Resource) -> None:
        _log.debug("snapshot committed", kind=resource.kind.value, tag=resource.tag)
        self._retained.mark(resource)
        if resource == API:
            self._bridge.health_changed()
        if self._watches.on_commit(resource):
            self._bridge.watches_changed()

    def on_compare_bug(self, error: Exception, resource: Resource) -> None:
        self._errors.report(error, "comparing", kind=resource.kind.value, tag=resource.tag)

    def on_watch_change(self, watch: Watch) -> None:
        self._retained.mark_watch(watch)
        self._bridge.watches_changed()

    def on_published(self, topic: str, payload: bytes) -> None:
        _log.debug("event published", topic=topic)
        self._on_published(topic, payload)
        self._bridge.health_changed()

    def on_log_level_change(self) -> None:
        self._bridge.info_changed()

    async def health_payload(self) -> HealthPayload:
        return await self._health.payload()


def _info(settings: Settings, process: ProcessState, log_level: LogLevel, session: Session) -> InfoPayload:
    """Return the payload of ``bridge/info`` for one connection."""
    return InfoPayload(
        version=VERSION,
        instance=settings.instance,
        run_id=process.run_id,
        host=socket.gethostname(),
        started_at=iso_time(process.started_at),
        protocol=session.protocol,
        base_topic=settings.mqtt.base_topic,
        api_base_url=str(settings.api.base_url),
        requests_per_second=settings.api.requests_per_second,
        tokens=len(settings.api.tokens),
        homeassistant=settings.homeassistant.enabled,
        commands=list(COMMANDS),
        log_level=log_level.name,
    )
