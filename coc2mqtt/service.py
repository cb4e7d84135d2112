"""The bridge as a whole: builds the parts from the settings and runs them in one TaskGroup."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import random
import socket
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clients import api_client, connection_options
from coc2mqtt.events.polling.clocks import uptime
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API
from coc2mqtt.health import Health, Totals
from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal.errors import CorruptJournalError, JournalError
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.logs import LogLevel
from coc2mqtt.mqtt.bridge import Bridge, HomeAssistantTopics
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.client.errors import MqttError
from coc2mqtt.mqtt.client.port_probe import port_is_open
from coc2mqtt.mqtt.control.commands import Commands
from coc2mqtt.mqtt.control.replay import Replay
from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from coc2mqtt.mqtt.payloads.models import HealthPayload, InfoPayload, iso_time
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.publish.orphan_cleanup import Announcements, OrphanCleanup
from coc2mqtt.mqtt.publish.retained_state import RetainedState
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.supervisor import supervise
from coc2mqtt.util.containment import keep_running
from coc2mqtt.util.exceptions import first_exception
from coc2mqtt.util.redaction import redactor_of
from coc2mqtt.watch_list import WatchList

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.config.settings import Settings
    from coc2mqtt.events.resource import Resource
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.journal.protocol import Journal

_log = structlog.get_logger()

VERSION = importlib.metadata.version("coc2mqtt")

_PRUNE_INTERVAL = 3600.0
# How long a stop waits for events that are on their way (seconds); what is left then is sent at the next start.
_DRAIN = 2.0
# What ends the bridge with a sentence of its own, or is handled where it happens: none of it is a bug.
_EXPECTED = (JournalError, EmbeddedBrokerError, MqttError)


class Service:
    """One bridge, from its settings.

    ``published`` is called with the topic and the payload of each event that the broker has acknowledged.
    ``loaded`` is called when all that is watched is known, before anything is polled.
    ``listening`` is called with the embedded broker's port, where there is one; with ``any_port`` it takes a free one
    if its own is taken.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        published: Callable[[str, bytes], None] = lambda *_: None,
        listening: Callable[[int], None] = lambda _: None,
        loaded: Callable[[], None] = lambda: None,
        any_port: bool = False,
    ) -> None:
        self._settings = settings
        self._published = published
        self._listening = listening
        self._loaded = loaded
        self._any_port = any_port
        self._started_at = time.time()
        self._started_uptime = uptime()
        self._run_id = uuid.uuid4().hex
        self._errors = InternalErrors(expected=_EXPECTED)
        self._totals = Totals()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then stop polling, deliver what is on its way, say goodbye and close the journal.

        Where the journal turns out to be damaged, it begins anew with an empty one. After a bug in a part that cannot
        be contained, all parts but the journal and the embedded broker are rebuilt. Raises JournalError,
        EmbeddedBrokerError, and TooManyFailuresError where rebuilding does not help.
        """
        async with contextlib.AsyncExitStack() as stack:
            journal = await stack.enter_async_context(_journal(self._settings))
            port = None
            if self._settings.mqtt.host is None:
                broker = EmbeddedBroker(port=self._settings.mqtt.port, fallback=self._any_port)
                port = (await stack.enter_async_context(broker)).port
                _log.info("no mqtt.host is set: the embedded broker serves this machine alone", port=port)
                self._listening(port)
            api_client(self._settings)  # raises for settings that no client can have, which rebuilding cannot help
            stack.enter_context(self._errors.of_callbacks())
            work = partial(self._run_once, journal, port, stop)
            await supervise(work, stop, self._errors, unhandled=(MqttError,))

    async def _run_once(self, journal: SqliteJournal, port: int | None, stop: asyncio.Event) -> None:
        while True:
            try:
                await journal.ensure_open()
                async with api_client(self._settings) as api:
                    await self._run_with(journal, api, port, stop)
            except CorruptJournalError as error:
                await journal.start_afresh(error)
            else:
                return

    async def _run_with(
        self, journal: SqliteJournal, api: ClashClient, embedded_port: int | None, stop: asyncio.Event
    ) -> None:
        settings = self._settings
        parts = _Parts(
            settings,
            journal=journal,
            api=api,
            started_at=self._started_at,
            started_uptime=self._started_uptime,
            run_id=self._run_id,
            published=self._published,
            embedded_port=embedded_port,
            errors=self._errors,
            totals=self._totals,
        )
        await parts.watches.load(settings.watch.watches())
        self._loaded()
        await parts.delivery.recall()
        maintenance = settings.watch.maintenance
        if maintenance.enabled:
            parts.engine.watch_api(interval=maintenance.interval, probe_tag=maintenance.probe_tag)
        await self._run(parts, journal, stop)

    async def _run(self, parts: _Parts, journal: Journal, stop: asyncio.Event) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                contain = self._errors.contain
                pruning = group.create_task(keep_running("pruning", partial(_prune, journal), contain))
                looking = group.create_task(keep_running("health", parts.health.watch, contain))
                polling = group.create_task(parts.engine.run())
                speaking = group.create_task(parts.connection.run())
                _log.info("started", version=VERSION, watches=len(parts.engine.watches))
                if not parts.engine.watches:
                    _log.warning("nothing is watched: name clans and players under watch, or send 'watch' commands")
                stopping = group.create_task(stop.wait())
                await asyncio.wait({stopping, polling, speaking}, return_when=asyncio.FIRST_COMPLETED)
                if not stop.is_set():
                    # What failed ends the group by itself. What just ended must not leave half a bridge behind.
                    raise RuntimeError("a part of the bridge has ended by itself")
                pruning.cancel()
                looking.cancel()
                polling.cancel()
                await _drain(parts, journal)
                speaking.cancel()
        except BaseExceptionGroup as group:
            raise first_exception(group, CorruptJournalError, JournalError) from None
        finally:
            parts.note_totals(self._totals)
        _log.info("stopped")


class _Parts:
    """The parts of a bridge, put together; they count on from ``totals``."""

    def __init__(
        self,
        settings: Settings,
        *,
        journal: Journal,
        api: ClashClient,
        started_at: float,
        started_uptime: float,
        run_id: str,
        published: Callable[[str, bytes], None],
        embedded_port: int | None,
        errors: InternalErrors,
        totals: Totals,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._started_at = started_at
        self._run_id = run_id
        self._errors = errors
        contain = errors.contain
        rng = random.SystemRandom()
        topics = Topics(settings.mqtt.base_topic)
        hass = settings.homeassistant
        self.engine = Engine(
            api,
            journal,
            observer=self._committed,
            rng=rng,
            contain=contain,
            bug=self._bug_in_comparing,
            figures=totals.engine,
        )
        self.watches = WatchList(journal, self.engine, changed=self._watch_changed, maximum=settings.watch.maximum)
        patience = totals.patience
        self.delivery = delivery = EventDelivery(
            journal,
            topics,
            patience=patience,
            published=self._delivered,
            contain=contain,
            figures=totals.delivery,
        )
        self._published = published
        self._retained = RetainedState(
            journal,
            topics,
            watched=self.watches.find,
            polled_at=self.watches.polled_at,
            reachable=lambda: self.engine.api_reachable,
            named=self.watches.named,
            discovery=Discovery(topics, instance=settings.instance, version=VERSION, prefix=hass.discovery_prefix)
            if hass.enabled
            else None,
            patience=patience,
            contain=contain,
        )
        self._retained.refusals.count = totals.states_denied
        self._log_level = LogLevel(changed=self._level_changed)
        self._commands = Commands(
            self.watches,
            health=self._report,
            replay=Replay(journal, noted=delivery.noted, contain=contain),
            log_level=self._log_level,
            contain=contain,
        )
        rivals = DuplicateInstanceDetector(topics, instance=settings.instance, run_id=self._run_id)
        sweep = OrphanCleanup(
            topics,
            announcements=Announcements(hass.discovery_prefix, settings.instance, hass.enabled),
            retained=self._retained,
            watched=self.watches.find,
            # amqtt sends whoever comes all that is retained under whatever anybody has ever subscribed to.
            empty=embedded_port is not None,
            contain=contain,
        )
        self._bridge = Bridge(
            topics,
            retained=self._retained,
            sweep=sweep,
            delivery=delivery,
            commands=self._commands,
            watches=self.watches,
            rivals=rivals,
            info=self._info,
            health=self._report,
            home_assistant=HomeAssistantTopics(hass.status_topic, hass.discovery_prefix) if hass.enabled else None,
            rng=rng,
            # The embedded broker sends everything that is guarded to every client, and serves this machine alone.
            guarded=embedded_port is None,
            contain=contain,
            figures=totals.requests,
        )
        self._bridge.guard.restored = totals.restored
        errors.changed = self._bridge.report
        options = connection_options(settings, embedded_port=embedded_port)
        last_words = () if options.will is None else (options.will,)
        self.connection = Connection(
            options,
            on_session=self._bridge.serve,
            last_words=last_words,
            rival_is_there=rivals.is_there,
            knock=partial(port_is_open, options.host, options.port),
            connections=totals.connections,
            quarantine=totals.quarantine,
        )
        self.health = Health(
            journal=journal,
            engine=self.engine,
            connection=self.connection,
            delivery=delivery,
            retained=self._retained,
            requests=self._bridge.figures,
            guard=self._bridge.guard,
            patience=patience,
            internal_errors=errors,
            started_at=started_uptime,
            redact=redactor_of(settings),
        )

    async def _report(self) -> HealthPayload:
        return await self.health.payload()

    def _info(self, session: Session) -> InfoPayload:
        settings = self._settings
        return InfoPayload(
            version=VERSION,
            instance=settings.instance,
            run_id=self._run_id,
            host=socket.gethostname(),
            started_at=iso_time(self._started_at),
            protocol=session.protocol,
            base_topic=settings.mqtt.base_topic,
            api_base_url=str(settings.api.base_url),
            requests_per_second=settings.api.requests_per_second,
            tokens=len(settings.api.tokens),
            homeassistant=settings.homeassistant.enabled,
            commands=self._commands.names,
            log_level=self._log_level.name,
        )

    def note_totals(self, totals: Totals) -> None:
        """Note what the parts that are built next count on from, and cannot be shared."""
        totals.states_denied, totals.connections = self._retained.refusals.count, self.connection.connections
        totals.restored = self._bridge.guard.restored

    def _bug_in_comparing(self, error: Exception, resource: Resource) -> None:
        self._errors.report(error, "comparing", kind=resource.kind.value, tag=resource.tag)

    def _level_changed(self) -> None:
        self._bridge.info_changed()

    def _committed(self, resource: Resource) -> None:
        _log.debug("a change was stored", kind=resource.kind.value, tag=resource.tag)
        self._retained.mark(resource)
        if resource == API:
            self._bridge.report()
        if self.watches.committed(resource):
            self._bridge.watches_changed()

    def _delivered(self, topic: str, payload: bytes) -> None:
        _log.debug("an event was published", topic=topic)
        self._published(topic, payload)
        self._bridge.report()

    def _watch_changed(self, watch: Watch) -> None:
        self._retained.mark_watch(watch)
        self._bridge.watches_changed()


async def _prune(journal: Journal) -> None:
    while True:
        await journal.prune(time.time())
        await asyncio.sleep(_PRUNE_INTERVAL)


async def _drain(parts: _Parts, journal: Journal) -> None:
    """Wait until everything is delivered, as long as there is a connection and for no more than two seconds.

    It looks again and again, because nothing tells of the last acknowledgement.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN):
            while parts.connection.status.connected and (await journal.counts()).pending:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.05)


def _journal(settings: Settings) -> SqliteJournal:
    kept = settings.journal
    return SqliteJournal(
        kept.path,
        keep_delivered=kept.keep_delivered,
        max_pending=kept.max_pending,
        max_pending_age=kept.max_pending_age,
    )
