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
from coc2mqtt.events.resource import API, CALENDAR
from coc2mqtt.health import Health, Metrics
from coc2mqtt.logs import LogLevel
from coc2mqtt.mqtt.bridge import Bridge
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.client.poison_messages import PoisonMessageFilter
from coc2mqtt.mqtt.client.reconnect import port_is_open
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from coc2mqtt.mqtt.control.commands import CommandContext
from coc2mqtt.mqtt.control.dispatcher import COMMANDS, CommandDispatcher
from coc2mqtt.mqtt.control.last_command import LastCommand
from coc2mqtt.mqtt.control.replay import Replay
from coc2mqtt.mqtt.control.requests import RequestHandler
from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
from coc2mqtt.mqtt.payloads.models import InfoPayload, iso_time
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.publish.new_devices import NewDevices
from coc2mqtt.mqtt.publish.orphan_cleanup import DiscoveryOptions, OrphanCleanup
from coc2mqtt.mqtt.publish.retained_guard import RetainedGuard
from coc2mqtt.mqtt.publish.retained_state import RetainedState
from coc2mqtt.mqtt.reports import BridgeReports
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.tag_lookup import TagLookup
from coc2mqtt.translations import language_of
from coc2mqtt.util.clocks import uptime
from coc2mqtt.watch_list import WatchList

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.config.settings import Settings
    from coc2mqtt.events.resource import Resource, Watch
    from coc2mqtt.internal_errors import InternalErrors
    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.mqtt.payloads.models import HealthPayload

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
        self._settings = settings
        self._journal = journal
        self._process = process
        self._errors = errors
        self._embedded_port = embedded_port
        self._on_published = on_published
        self._topics = Topics(settings.mqtt.base_topic)
        self._rng = random.SystemRandom()
        # Each part uses only parts above it, except in callbacks, which are not called before the parts run.
        self._log_level = LogLevel(on_change=self._on_log_level_change)
        self._last_command = LastCommand(
            language=language_of(settings.homeassistant.language), redact=redactor_of(settings)
        )
        self._look_up = TagLookup(api)
        self.engine = self._build_engine(api)
        self._discovery = self._build_discovery()
        self._new_devices = None if self._discovery is None else NewDevices(self._discovery.device_topic)
        self.watches = self._build_watch_list()
        self.delivery = self._build_delivery()
        self._retained = self._build_retained_state()
        self._duplicate_detector = DuplicateInstanceDetector(
            self._topics, instance=settings.instance, run_id=process.run_id
        )
        self._guard = self._build_guard()
        self._bridge = self._build_bridge()
        self.connection = self._build_connection()
        self.health = self._build_health()
        errors.on_report = self._bridge.health_changed

    def save_metrics(self) -> None:
        """Store the counters that the parts keep themselves, so that the next parts continue from them."""
        metrics = self._process.metrics
        metrics.states_denied = self._retained.publisher.rejected_topics.count
        metrics.connections = self.connection.connections
        metrics.restored = self._guard.restored

    def _build_engine(self, api: ClashClient) -> Engine:
        return Engine(
            api,
            self._journal,
            on_commit=self._on_commit,
            rng=self._rng,
            contain=self._errors.contain,
            on_bug=self._on_compare_bug,
            metrics=self._process.metrics.engine,
            clan_games=self._settings.watch.clan_games.window(),
        )

    def _build_watch_list(self) -> WatchList:
        return WatchList(
            self._journal,
            self.engine,
            on_change=self._on_watch_change,
            on_add=self._on_watch_added,
            maximum=self._settings.watch.maximum,
        )

    def _build_delivery(self) -> EventDelivery:
        return EventDelivery(
            self._journal,
            self._topics,
            publisher=self._process.publisher,
            on_published=self._on_event_published,
            new_devices=self._new_devices,
            contain=self._errors.contain,
            metrics=self._process.metrics.delivery,
        )

    def _build_retained_state(self) -> RetainedState:
        retained = RetainedState(
            self._journal,
            self._topics,
            watches=self.watches,
            api_reachable=lambda: self.engine.api_reachable,
            on_name=self.watches.cache_name,
            discovery=self._discovery,
            publisher=self._process.publisher,
            contain=self._errors.contain,
            calendar=self._settings.watch.calendar.enabled,
        )
        retained.publisher.rejected_topics.count = self._process.metrics.states_denied
        if self._new_devices is not None:
            retained.announcer.add_listener(self._new_devices.on_announced)
        return retained

    def _build_discovery(self) -> Discovery | None:
        hass = self._settings.homeassistant
        if not hass.enabled:
            return None
        return Discovery(
            self._topics,
            instance=self._settings.instance,
            version=VERSION,
            prefix=hass.discovery_prefix,
            member_sensors=hass.member_sensors,
            calendar=self._settings.watch.calendar.enabled,
            language=language_of(hass.language),
        )

    def _build_guard(self) -> RetainedGuard:
        hass = self._settings.homeassistant
        guard = RetainedGuard(
            self._topics,
            self._retained,
            discovery_prefix=hass.discovery_prefix if hass.enabled else None,
            count_watches=lambda: len(self.watches.select()),
            other_bridge=lambda: self._duplicate_detector.other_bridge,
            # The embedded broker echoes every guarded message to all its clients, and only local clients can connect.
            enabled=self._embedded_port is None,
            contain=self._errors.contain,
        )
        guard.restored = self._process.metrics.restored
        return guard

    def _build_bridge(self) -> Bridge:
        hass = self._settings.homeassistant
        return Bridge(
            retained=self._retained,
            delivery=self.delivery,
            requests=self._build_request_handler(),
            reports=self._build_reports(),
            guard=self._guard,
            orphan_cleanup=self._build_orphan_cleanup(),
            duplicate_detector=self._duplicate_detector,
            watches=self.watches,
            home_assistant_status=hass.status_topic if hass.enabled else None,
            rng=self._rng,
            contain=self._errors.contain,
        )

    def _build_request_handler(self) -> RequestHandler:
        hass, contain = self._settings.homeassistant, self._errors.contain
        context = CommandContext(
            self.watches,
            health=self._health_payload,
            replay=Replay(self._journal, flush_acks=self.delivery.flush_acks, contain=contain),
            log_level=self._log_level,
            look_up=self._look_up,
        )
        return RequestHandler(
            self._topics,
            CommandDispatcher(context, last_command=self._last_command, contain=contain),
            reserved=(f"{hass.discovery_prefix}/", hass.status_topic) if hass.enabled else (),
            contain=contain,
            metrics=self._process.metrics.requests,
        )

    def _build_reports(self) -> BridgeReports:
        return BridgeReports(
            self._topics,
            retained=self._retained,
            watches=self.watches,
            duplicate_detector=self._duplicate_detector,
            info=partial(_info, self._settings, self._process, self._log_level),
            health=self._health_payload,
            last_command=self._last_command,
        )

    def _build_orphan_cleanup(self) -> OrphanCleanup:
        hass = self._settings.homeassistant
        return OrphanCleanup(
            self._topics,
            discovery=DiscoveryOptions(
                hass.discovery_prefix, self._settings.instance, hass.enabled, hass.member_sensors
            ),
            retained=self._retained,
            watches=self.watches,
            on_last_command=self._last_command.restore,
            # amqtt sends every client all retained messages of every filter that any client ever subscribed to.
            broker_starts_empty=self._embedded_port is not None,
            contain=self._errors.contain,
        )

    def _build_connection(self) -> Connection:
        options = connection_options(self._settings, embedded_port=self._embedded_port)
        return Connection(
            options,
            on_session=self._bridge.serve,
            offline_messages=() if options.will is None else (options.will,),
            other_instance_is_alive=self._duplicate_detector.is_alive,
            port_probe=partial(port_is_open, options.host, options.port),
            connections=self._process.metrics.connections,
            poison_filter=self._process.poison_filter,
        )

    def _build_health(self) -> Health:
        return Health(
            journal=self._journal,
            engine=self.engine,
            connection=self.connection,
            delivery=self.delivery,
            retained=self._retained,
            guard=self._guard,
            metrics=self._process.metrics,
            publisher=self._process.publisher,
            internal_errors=self._errors,
            started_at=self._process.started_uptime,
            redact=redactor_of(self._settings),
        )

    # The parts call the following methods once they run.

    def _on_commit(self, resource: Resource) -> None:
        _log.debug("snapshot committed", kind=resource.kind.value, tag=resource.tag)
        self._retained.mark(API if resource == CALENDAR else resource)
        if resource == API:
            self._bridge.health_changed()
        if self.watches.on_commit(resource):
            self._bridge.watches_changed()

    def _on_compare_bug(self, error: Exception, resource: Resource) -> None:
        self._errors.report(error, "comparing", kind=resource.kind.value, tag=resource.tag)

    def _on_watch_added(self, watch: Watch) -> None:
        if self._new_devices is not None:
            self._new_devices.add(watch)

    def _on_watch_change(self, watch: Watch) -> None:
        if self._new_devices is not None and self.watches.find(watch.kind, watch.tag) is None:
            self._new_devices.discard(watch)
        self._retained.mark_watch(watch)
        self._bridge.watches_changed()

    def _on_event_published(self, topic: str, payload: bytes) -> None:
        _log.debug("event published", topic=topic)
        self._on_published(topic, payload)
        self._bridge.health_changed()

    def _on_log_level_change(self) -> None:
        self._bridge.info_changed()

    async def _health_payload(self) -> HealthPayload:
        return await self.health.payload()


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
