"""The lifecycle of the bridge: startup, serve, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clients import api_client
from coc2mqtt.events.summary import summarize
from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal.errors import CorruptJournalError, JournalError
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import MqttError
from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from coc2mqtt.supervisor import supervise
from coc2mqtt.translations import language_of
from coc2mqtt.util.containment import keep_running
from coc2mqtt.util.tasks import first_exception
from coc2mqtt.wiring import VERSION, Parts, ProcessState

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.config.settings import Settings
    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.translations import Language

_log = structlog.get_logger()

_PRUNE_INTERVAL_S = 3600.0
# How long a stop waits for the events in flight. Undelivered events are published after the next start.
_DRAIN_TIMEOUT_S = 2.0
_DRAIN_POLL_INTERVAL_S = 0.05
# Errors that end the bridge with a message of their own or are handled where they occur. They are not bugs.
_EXPECTED_ERRORS = (JournalError, EmbeddedBrokerError, MqttError)


class Service:
    """One bridge, built from its settings.

    ``on_published`` is called with the topic and the payload of each event that the broker has acknowledged.
    ``on_loaded`` is called when all watches are known, before anything is polled. ``on_listening`` is called with the
    port of the embedded broker, if that is used. With ``any_port``, the embedded broker uses a free port if its
    configured port is taken.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_published: Callable[[str, bytes], None] = lambda *_: None,
        on_listening: Callable[[int], None] = lambda _: None,
        on_loaded: Callable[[], None] = lambda: None,
        any_port: bool = False,
    ) -> None:
        self._settings = settings
        # Read now, because reading a file blocks the loop.
        self._language = language_of(settings.homeassistant.language)
        self._on_published = on_published
        self._on_listening = on_listening
        self._on_loaded = on_loaded
        self._any_port = any_port
        self._errors = InternalErrors(expected=_EXPECTED_ERRORS)
        self._process = ProcessState()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then shut down cleanly.

        A bug that cannot be contained in one part rebuilds all parts except the journal and the embedded broker.

        Raises JournalError, EmbeddedBrokerError, and TooManyFailuresError if rebuilding does not help.
        """
        async with contextlib.AsyncExitStack() as stack:
            journal = await stack.enter_async_context(_journal(self._settings, self._language))
            embedded_port = await self._start_embedded_broker(stack)
            api_client(self._settings)  # raises now for invalid settings: rebuilding would not help against those
            stack.enter_context(self._errors.report_callback_errors())
            work = partial(self._run_parts, journal, embedded_port, stop)
            await supervise(work, stop, self._errors, unhandled=(MqttError,))

    async def _start_embedded_broker(self, stack: contextlib.AsyncExitStack) -> int | None:
        """Start the embedded broker if no broker is configured, and return its port."""
        mqtt = self._settings.mqtt
        if mqtt.host is not None:
            return None
        broker = await stack.enter_async_context(EmbeddedBroker(port=mqtt.port, fallback=self._any_port))
        _log.info(
            "embedded broker started",
            port=broker.port,
            hint="only programs on this machine can connect; set mqtt.host to use another broker",
        )
        self._on_listening(broker.port)
        return broker.port

    async def _run_parts(self, journal: SqliteJournal, embedded_port: int | None, stop: asyncio.Event) -> None:
        """Build the parts and run them until ``stop`` is set. A corrupt journal is replaced by an empty one."""
        while True:
            try:
                await journal.ensure_open()
                async with api_client(self._settings) as api:
                    parts = Parts(
                        self._settings,
                        journal=journal,
                        api=api,
                        process=self._process,
                        errors=self._errors,
                        embedded_port=embedded_port,
                        on_published=self._on_published,
                    )
                    await self._startup(parts)
                    await self._serve(parts, journal, stop)
            except CorruptJournalError as error:
                await journal.recreate(error)
            else:
                return

    async def _startup(self, parts: Parts) -> None:
        """Load what the parts need before they run: the watches and the last delivered event."""
        await parts.watches.load(self._settings.watch.watches())
        self._on_loaded()
        await parts.delivery.load_last_event()
        maintenance = self._settings.watch.maintenance
        if maintenance.enabled:
            parts.engine.watch_api(interval=maintenance.interval, probe_tag=maintenance.probe_tag)
        if self._settings.watch.calendar.enabled:
            parts.engine.watch_calendar(interval=self._settings.watch.calendar.interval)

    async def _serve(self, parts: Parts, journal: Journal, stop: asyncio.Event) -> None:
        """Run the tasks of all parts until ``stop`` is set or one of them fails."""
        contain = self._errors.contain
        try:
            async with asyncio.TaskGroup() as group:
                pruning = group.create_task(keep_running("pruning", partial(_prune, journal), contain))
                monitoring = group.create_task(keep_running("health", parts.health.monitor, contain))
                polling = group.create_task(parts.engine.run())
                connection = group.create_task(parts.connection.run())
                stopping = group.create_task(stop.wait())
                _log.info("started", version=VERSION, watches=len(parts.engine.watches))
                if not parts.engine.watches:
                    _log.warning("no watches", hint="add clans and players under watch, or send 'watch' commands")
                await asyncio.wait({stopping, polling, connection}, return_when=asyncio.FIRST_COMPLETED)
                if not stop.is_set():
                    # A task that raised ends the group anyway. One that returned must not leave half a bridge running.
                    raise RuntimeError("a part of the bridge stopped unexpectedly")
                for task in (pruning, monitoring, polling):
                    task.cancel()
                await _drain(parts, journal)
                connection.cancel()  # publishes the offline message and disconnects
        except BaseExceptionGroup as group_error:
            raise first_exception(group_error, CorruptJournalError, JournalError) from None
        finally:
            parts.save_metrics()
        _log.info("stopped")


def _journal(settings: Settings, language: Language) -> SqliteJournal:
    journal = settings.journal
    return SqliteJournal(
        journal.path,
        keep_delivered=journal.keep_delivered,
        max_pending=journal.max_pending,
        max_pending_age=journal.max_pending_age,
        describe=partial(summarize, language=language),
    )


async def _prune(journal: Journal) -> None:
    while True:
        await journal.prune(time.time())
        await asyncio.sleep(_PRUNE_INTERVAL_S)


async def _drain(parts: Parts, journal: Journal) -> None:
    """Wait until all events are delivered, for at most two seconds and only while connected.

    Polls the journal, because nothing notifies about the last acknowledgement.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            while parts.connection.status.connected and (await journal.counts()).pending:  # noqa: ASYNC110 - see above
                await asyncio.sleep(_DRAIN_POLL_INTERVAL_S)
