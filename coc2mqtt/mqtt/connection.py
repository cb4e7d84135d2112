"""The connection to the broker, kept up for as long as the program runs."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

import structlog

from coc2mqtt.mqtt.backoff import Backoff
from coc2mqtt.mqtt.errors import (
    ConnectError,
    ConnectionLostError,
    MqttError,
    SilentBrokerError,
    UnsupportedProtocolError,
)
from coc2mqtt.mqtt.options import ConnectionOptions, Protocol, RetainedMessage, TlsOptions
from coc2mqtt.mqtt.session import Message, Session, open_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = [
    "Connection",
    "ConnectionOptions",
    "ConnectionStatus",
    "Message",
    "RetainedMessage",
    "Session",
    "TlsOptions",
    "probe",
]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """How the connection is.

    ``since`` is the Unix time in seconds of the last change from connected to not connected or back. ``protocol`` is
    the version of MQTT in use, None without a connection. ``last_error`` is the sentence of the last trouble.
    ``reconnects`` counts connections after the first.
    """

    connected: bool
    since: float
    protocol: Protocol | None = None
    last_error: str | None = None
    reconnects: int = 0


class Connection:
    """Connects again and again, and runs ``on_session`` once over every connection.

    ``on_session`` is cancelled at once when its connection breaks off; what it had not got acknowledged by then is its
    own to publish again. ``last_words`` are published before a clean leave, after which the broker sends no will.
    ``sleep`` waits between the attempts, ``draw`` gives random numbers from 0 to 1, ``clock`` Unix time.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        *,
        on_session: Callable[[Session], Awaitable[None]],
        last_words: Sequence[RetainedMessage] = (),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._on_session = on_session
        self._last_words = last_words
        self._sleep = sleep
        self._backoff = Backoff(draw)
        self._clock = clock
        self._dialer = _Dialer(options, clock)
        self._connections = 0
        self.status = ConnectionStatus(connected=False, since=clock())

    async def run(self) -> Never:
        """Keep the connection up until cancelled, then leave cleanly within two seconds, whatever the broker does.

        What ``on_session`` raises comes out, without the groups that it stands alone in; only trouble with the
        connection is dealt with here.
        """
        loop = asyncio.get_running_loop()
        while True:
            lasted = 0.0
            try:
                session = await self._dialer.dial()
                start = loop.time()
                try:
                    self._note_connected(session)
                    await self._serve(session)
                finally:
                    session.drop()
                    lasted = loop.time() - start
                    self._note_closed()
            except ConnectionLostError as error:
                self._note_trouble("lost the connection to the broker", error)
            except ConnectError as error:
                # Once for each reason: an outage of hours is a few lines.
                if str(error) != self.status.last_error:
                    self._note_trouble("no connection to the broker, trying on", error)
            await self._sleep(self._backoff.wait(lasted))

    async def _serve(self, session: Session) -> None:
        """Run ``on_session`` beside ``receive``, which notices a dead connection at once; a publish would wait on."""
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task else 0
        try:
            # Python 3.11 leaves a task marked as cancelled when a child of its group fails while it waits at the end of
            # the group. So this one waits within it, and `on_session`, which may use groups, has a task of its own.
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(session.receive())
                tasks.create_task(self._run_on_session(session))
                await receiving
        except BaseExceptionGroup as group:
            lost, others = group.split(ConnectionLostError)
            if others is not None:
                await session.leave(self._last_words)
                raise _alone(others) from None
            # A TaskGroup lets the errors of its tasks win over a cancellation from outside, which must not be lost.
            if task and task.cancelling() > cancelled_before:
                raise asyncio.CancelledError from None
            raise _first(lost or group) from None
        except asyncio.CancelledError:
            await session.leave(self._last_words)
            raise

    async def _run_on_session(self, session: Session) -> None:
        await self._on_session(session)

    def _note_connected(self, session: Session) -> None:
        self._connections += 1
        self.status = dataclasses.replace(
            self.status,
            connected=True,
            since=session.connected_at,
            protocol=session.protocol,
            reconnects=self._connections - 1,
        )
        _log.info("connected to the broker", host=self._options.host, port=self._options.port, mqtt=session.protocol)

    def _note_closed(self) -> None:
        self.status = dataclasses.replace(self.status, connected=False, since=self._clock(), protocol=None)

    def _note_trouble(self, change: str, error: MqttError) -> None:
        self.status = dataclasses.replace(self.status, last_error=str(error))
        _log.warning(change, reason=str(error))


class _Dialer:
    """Connects with the version of MQTT that the broker speaks, and remembers which."""

    def __init__(self, options: ConnectionOptions, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._clock = clock
        self._known: Protocol | None = None if options.protocol == "auto" else options.protocol

    async def dial(self) -> Session:
        """Connect with the known version, else with 5 and then with 3.1.1; raises ConnectError.

        What worked is kept until the program ends or the broker says that it does not speak it: a broker that is
        silent on version 5 would cost a time-out at every reconnect, and one that once spoke 5 and is silent now is
        in trouble, not old.
        """
        first = self._known or "5"
        try:
            session = await open_session(self._options, first, clock=self._clock)
        except (UnsupportedProtocolError, SilentBrokerError) as error:
            in_trouble = self._known is not None and isinstance(error, SilentBrokerError)
            if self._options.protocol != "auto" or in_trouble:
                raise
            session = await open_session(self._options, "3.1.1" if first == "5" else "5", clock=self._clock)
        self._known = session.protocol
        return session


async def probe(options: ConnectionOptions) -> Protocol:
    """Connect once, leave again, and return the version of MQTT that the broker speaks; raises ConnectError.

    The client id is not the bridge's: a bridge that runs with the same options keeps its connection.
    """
    options = dataclasses.replace(options, client_id=f"{options.client_id}-probe", will=None)
    session = await _Dialer(options).dial()
    try:
        await session.leave()
    finally:
        session.drop()
    return session.protocol


def _alone(error: BaseException) -> BaseException:
    """Take an exception out of the groups that it stands alone in."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _first(error: BaseException) -> BaseException:
    """Return one exception of a group whose exceptions all say the same."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
