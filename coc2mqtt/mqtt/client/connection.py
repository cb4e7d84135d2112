"""The connection to the broker, kept up for as long as the program runs."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

import structlog

from coc2mqtt.mqtt.client.backoff import Backoff, SessionBackoff
from coc2mqtt.mqtt.client.errors import (
    BrokerShutdownError,
    BrokerTimeoutError,
    ConnectError,
    ConnectionLostError,
    MqttError,
    SessionTakenOverError,
    SubscribeDeniedError,
    SubscribeTimeoutError,
    UnknownHostError,
    UnreachableBrokerError,
)
from coc2mqtt.mqtt.client.negotiation import ProtocolNegotiator, visit
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, RetainedMessage, TlsOptions
from coc2mqtt.mqtt.client.poison_messages import Quarantine
from coc2mqtt.mqtt.client.port_probe import PortWatcher
from coc2mqtt.mqtt.client.session import Message, Session
from coc2mqtt.util.cancellation import reject_stray_cancellation
from coc2mqtt.util.exceptions import first_exception, unwrap_single

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
    ``reconnects`` counts connections after the first. ``taken_over`` tells that another client is connected in this
    one's place, and that this one stands back.
    """

    connected: bool
    since: float
    protocol: Protocol | None = None
    last_error: str | None = None
    reconnects: int = 0
    taken_over: bool = False


class Connection:
    """Connects again and again, and runs ``on_session`` once over every connection.

    ``on_session`` is cancelled at once when its connection breaks off; what it had not got acknowledged by then is its
    own to publish again. ``last_words`` are published before a clean leave, after which the broker sends no will.
    ``rival_is_there`` is asked over a connection of another name whether the program that has taken this one's place
    is still there. ``knock`` tells whether the broker's port is open: whether it is back, and whether it went on
    running when a session ended. None leaves that to the attempts to connect. ``sleep`` waits between the attempts,
    ``draw`` gives random numbers from 0 to 1, ``clock`` Unix time. ``connections`` is how many there were before this
    one began, ``quarantine`` what they taught about messages over which they were lost.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        *,
        on_session: Callable[[Session], Awaitable[None]],
        last_words: Sequence[RetainedMessage] = (),
        rival_is_there: Callable[[Session], Awaitable[bool]] | None = None,
        knock: Callable[[], Awaitable[bool]] | None = None,
        connections: int = 0,
        quarantine: Quarantine | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._on_session = on_session
        self._last_words = last_words
        self._rival_is_there = rival_is_there
        self._sleep = sleep
        self._knock = knock
        self._knocking = None if knock is None else PortWatcher(knock, sleep=sleep, draw=draw)
        self._backoff = Backoff(draw)
        self._session_backoff = SessionBackoff(draw)
        self._clock = clock
        self._quarantine = quarantine or Quarantine()
        self._dialer = ProtocolNegotiator(options, clock, self._quarantine)
        self.connections = connections
        # What was said since the last connection: an outage of hours is a few lines, whatever it alternates between.
        self._said: set[str] = set()
        self.status = ConnectionStatus(connected=False, since=clock(), reconnects=max(0, connections - 1))

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
                    self._backoff.reset()
                    self._note_connected(session)
                    await self._serve(session)
                finally:
                    session.drop()
                    lasted = loop.time() - start
                    self._note_closed()
            except SessionTakenOverError as error:
                await self._stand_back(error)
            except ConnectionLostError as error:
                self._note_trouble("lost the connection to the broker", error)
                await self._pause(error, lasted)
            except ConnectError as error:
                if str(error) not in self._said:
                    self._note_trouble("no connection to the broker, trying on", error)
                await self._wait_for_broker(error)

    async def _pause(self, error: ConnectionLostError, lasted: float) -> None:
        """Wait after a session that lasted this many seconds: briefly, unless another client keeps taking it over."""
        # Asked at once: a broker that was stopped has closed its port together with the connection.
        asked_at = asyncio.get_running_loop().time()
        survived = self._knock is not None and await self._knock()
        asking = 0.0 if self._knock is None else asyncio.get_running_loop().time() - asked_at
        is_over_message = self._quarantine.judge(survived=survived)
        expelled = survived and not is_over_message and not isinstance(error, BrokerShutdownError)
        was_expelled = self._session_backoff.is_expelled
        seconds = self._session_backoff.wait(lasted, expelled=expelled)
        if self._session_backoff.is_expelled and not was_expelled:
            _log.warning(
                "the broker ends every session within seconds",
                reason=str(error),
                hint=f"stop another client with the client id {self._options.client_id!r}, or see the broker's log",
            )
        await self._sleep(max(0.0, seconds - asking))

    async def _wait_for_broker(self, error: ConnectError) -> None:
        seconds = self._backoff.wait()
        if self._knocking is not None and not error.is_refusal:
            await self._knocking.wait(seconds)
        else:
            await self._sleep(seconds)

    async def _stand_back(self, error: SessionTakenOverError) -> None:
        """Leave the place to who has taken it, and look once a minute whether it is free again.

        To connect would throw the other one out, which would throw this one out, and so on.
        """
        self.status = dataclasses.replace(self.status, taken_over=True)
        if str(error) not in self._said:
            self._said.add(str(error))
            self.status = dataclasses.replace(self.status, last_error=str(error))
            _log.error("another client is connected in this one's place: standing back", reason=str(error))
        try:
            while True:
                await self._sleep(self._backoff.longest())
                if not await self._is_taken():
                    return
        finally:
            self.status = dataclasses.replace(self.status, taken_over=False)

    async def _is_taken(self) -> bool:
        if self._rival_is_there is None:
            return False
        try:
            # Several may stand back, and must not throw each other out.
            return await visit(self._options, f"standby-{secrets.token_hex(4)}", self._rival_is_there)
        except (
            ConnectionLostError,
            UnreachableBrokerError,
            UnknownHostError,
            BrokerTimeoutError,
            SubscribeTimeoutError,
        ):
            return True  # nothing new is known
        except (ConnectError, SubscribeDeniedError):
            return False  # nothing will ever be known this way: the next attempt to connect will show

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
                raise unwrap_single(others) from None
            # A TaskGroup lets the errors of its tasks win over a cancellation from outside, which must not be lost.
            if task and task.cancelling() > cancelled_before:
                raise asyncio.CancelledError from None
            raise first_exception(lost or group) from None
        except asyncio.CancelledError:
            await session.leave(self._last_words)
            raise

    async def _run_on_session(self, session: Session) -> None:
        with reject_stray_cancellation("session"):
            await self._on_session(session)

    def _note_connected(self, session: Session) -> None:
        self.connections += 1
        self._said.clear()
        self.status = dataclasses.replace(
            self.status,
            connected=True,
            since=session.connected_at,
            protocol=session.protocol,
            reconnects=self.connections - 1,
        )
        _log.info("connected to the broker", host=self._options.host, port=self._options.port, mqtt=session.protocol)

    def _note_closed(self) -> None:
        self.status = dataclasses.replace(self.status, connected=False, since=self._clock(), protocol=None)

    def _note_trouble(self, change: str, error: MqttError) -> None:
        self._said.add(str(error))
        self.status = dataclasses.replace(self.status, last_error=str(error))
        _log.warning(change, reason=str(error))


async def probe(options: ConnectionOptions, *, writes: str, reads: str) -> Protocol:
    """Connect once beside the bridge, try what it needs, leave, and return the version of MQTT that the broker speaks.

    Something empty is published on the topic ``writes``, and ``reads`` is subscribed to. Raises ConnectError,
    ConnectionLostError, PublishDeniedError (which a 3.1.1 broker cannot say) and SubscribeDeniedError.
    """

    async def look(session: Session) -> Protocol:
        await session.subscribe(reads)
        await session.publish(writes, b"")
        return session.protocol

    return await visit(options, "probe", look)
