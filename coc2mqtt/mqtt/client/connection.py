"""The connection to the broker, which reconnects until the program stops."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

import structlog

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
from coc2mqtt.mqtt.client.negotiation import ProtocolNegotiator, run_temporary_session
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, RetainedMessage, TlsOptions
from coc2mqtt.mqtt.client.poison_messages import PoisonMessageFilter
from coc2mqtt.mqtt.client.reconnect import Backoff, PortWatcher, SessionBackoff
from coc2mqtt.mqtt.client.session import Message, Session
from coc2mqtt.util.tasks import first_exception, reject_stray_cancellation, unwrap_single

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
    """The status of the connection.

    ``since`` is the Unix time in seconds of the last change of ``connected``. ``protocol`` is the version of MQTT in
    use, or None while disconnected. ``last_error`` is the message of the last error. ``reconnects`` counts the
    connections after the first. ``taken_over`` is True while another client with the same client ID is connected and
    this one does not reconnect.
    """

    connected: bool
    since: float
    protocol: Protocol | None = None
    last_error: str | None = None
    reconnects: int = 0
    taken_over: bool = False


class Connection:
    """Connects to the broker, runs ``on_session`` over each connection, and reconnects when one is lost.

    ``on_session`` is cancelled as soon as its connection is lost; it has to publish unacknowledged messages again
    itself. ``offline_messages`` are published before a clean disconnect, after which the broker does not publish the
    will.

    ``other_instance_is_alive`` is called over a connection with another client ID, and returns whether the program that
    took over this client ID still runs. ``port_probe`` returns whether the broker's port is open; it shows when the
    broker is back, and whether it kept running when a session ended. None leaves that to the attempts to connect.

    ``sleep`` waits between the attempts, ``rng`` returns random numbers from 0 to 1, ``clock`` returns Unix time.
    ``connections`` and ``poison_filter`` carry over the number of connections and the poison messages of an earlier
    Connection.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        *,
        on_session: Callable[[Session], Awaitable[None]],
        offline_messages: Sequence[RetainedMessage] = (),
        other_instance_is_alive: Callable[[Session], Awaitable[bool]] | None = None,
        port_probe: Callable[[], Awaitable[bool]] | None = None,
        connections: int = 0,
        poison_filter: PoisonMessageFilter | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._on_session = on_session
        self._offline_messages = offline_messages
        self._other_instance_is_alive = other_instance_is_alive
        self._sleep = sleep
        self._port_probe = port_probe
        self._port_watcher = None if port_probe is None else PortWatcher(port_probe, sleep=sleep, rng=rng)
        self._backoff = Backoff(rng)
        self._session_backoff = SessionBackoff(rng)
        self._clock = clock
        self._poison_filter = poison_filter or PoisonMessageFilter()
        self._negotiator = ProtocolNegotiator(options, clock, self._poison_filter)
        self.connections = connections
        # The errors logged since the last connection: each is logged once per outage, even if several alternate.
        self._logged_errors: set[str] = set()
        self.status = ConnectionStatus(connected=False, since=clock(), reconnects=max(0, connections - 1))

    async def run(self) -> Never:
        """Stay connected until cancelled, then disconnect within two seconds, even if the broker does not respond.

        Errors of the connection are handled here. Other exceptions of ``on_session`` are raised, without the exception
        groups that contain nothing else.
        """
        loop = asyncio.get_running_loop()
        while True:
            lasted = 0.0
            try:
                session = await self._negotiator.connect()
                start = loop.time()
                try:
                    self._backoff.reset()
                    self._set_connected(session)
                    await self._run_session(session)
                finally:
                    session.abort()
                    lasted = loop.time() - start
                    self._set_disconnected()
            except SessionTakenOverError as error:
                await self._wait_until_client_id_is_free(error)
            except ConnectionLostError as error:
                self._set_last_error(error)
                _log.warning("broker connection lost", reason=str(error))
                await self._wait_after_session(error, lasted)
            except ConnectError as error:
                if str(error) not in self._logged_errors:
                    self._set_last_error(error)
                    _log.warning("cannot connect to the broker, retrying", reason=str(error))
                await self._wait_for_broker(error)

    async def _wait_after_session(self, error: ConnectionLostError, lasted: float) -> None:
        """Wait after a session that lasted ``lasted`` seconds: briefly, unless another client keeps taking it over."""
        # Probe at once: a broker that was stopped has closed its port together with the connection.
        loop = asyncio.get_running_loop()
        probe_started_at = loop.time()
        broker_survived = self._port_probe is not None and await self._port_probe()
        probing = 0.0 if self._port_probe is None else loop.time() - probe_started_at
        may_be_poison = self._poison_filter.evaluate_loss(broker_survived=broker_survived)
        closed_by_broker = broker_survived and not may_be_poison and not isinstance(error, BrokerShutdownError)
        was_suspected = self._session_backoff.suspects_takeover
        seconds = self._session_backoff.next_delay(lasted, closed_by_broker=closed_by_broker)
        if self._session_backoff.suspects_takeover and not was_suspected:
            _log.warning(
                "the broker closes every session within seconds",
                reason=str(error),
                hint=f"stop another client with the client ID {self._options.client_id!r}, or check the broker's log",
            )
        await self._sleep(max(0.0, seconds - probing))

    async def _wait_for_broker(self, error: ConnectError) -> None:
        seconds = self._backoff.next_delay()
        if self._port_watcher is not None and not error.is_rejection:
            await self._port_watcher.wait(seconds)
        else:
            await self._sleep(seconds)

    async def _wait_until_client_id_is_free(self, error: SessionTakenOverError) -> None:
        """Stay disconnected while another client uses the client ID; check once a minute.

        Reconnecting would disconnect the other client, which would then disconnect this one, and so on.
        """
        self.status = dataclasses.replace(self.status, taken_over=True)
        if str(error) not in self._logged_errors:
            self._set_last_error(error)
            _log.error(
                "another client took over this client ID",
                reason=str(error),
                hint="this bridge stays disconnected until the other client is gone",
            )
        try:
            while True:
                await self._sleep(self._backoff.max_delay())
                if not await self._client_id_is_taken():
                    return
        finally:
            self.status = dataclasses.replace(self.status, taken_over=False)

    async def _client_id_is_taken(self) -> bool:
        if self._other_instance_is_alive is None:
            return False
        try:
            # A random suffix, because several instances may be waiting and must not disconnect each other.
            suffix = f"standby-{secrets.token_hex(4)}"
            return await run_temporary_session(self._options, suffix, self._other_instance_is_alive)
        except (
            ConnectionLostError,
            UnreachableBrokerError,
            UnknownHostError,
            BrokerTimeoutError,
            SubscribeTimeoutError,
        ):
            return True  # unknown: assume no change
        except (ConnectError, SubscribeDeniedError):
            return False  # this check can never succeed, so only the next attempt to connect can show it

    async def _run_session(self, session: Session) -> None:
        """Run ``on_session`` alongside ``monitor``, which notices a dead connection at once; a publish would hang."""
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task else 0
        try:
            # Python 3.11 leaves a task marked as cancelled if a child of its group fails while the task waits at the
            # end of the group. So this task waits inside the group, and `on_session`, which may use groups, runs in a
            # task of its own.
            async with asyncio.TaskGroup() as tasks:
                monitoring = tasks.create_task(session.monitor())
                tasks.create_task(self._call_on_session(session))
                await monitoring
        except BaseExceptionGroup as group:
            lost, others = group.split(ConnectionLostError)
            if others is not None:
                await session.disconnect(self._offline_messages)
                raise unwrap_single(others) from None
            # A TaskGroup lets the errors of its tasks win over a cancellation from outside, which must not be lost.
            if task and task.cancelling() > cancelled_before:
                raise asyncio.CancelledError from None
            raise first_exception(lost or group) from None
        except asyncio.CancelledError:
            await session.disconnect(self._offline_messages)
            raise

    async def _call_on_session(self, session: Session) -> None:
        with reject_stray_cancellation("session"):
            await self._on_session(session)

    def _set_connected(self, session: Session) -> None:
        self.connections += 1
        self._logged_errors.clear()
        self.status = dataclasses.replace(
            self.status,
            connected=True,
            since=session.connected_at,
            protocol=session.protocol,
            reconnects=self.connections - 1,
        )
        _log.info("connected to the broker", host=self._options.host, port=self._options.port, mqtt=session.protocol)

    def _set_disconnected(self) -> None:
        self.status = dataclasses.replace(self.status, connected=False, since=self._clock(), protocol=None)

    def _set_last_error(self, error: MqttError) -> None:
        self._logged_errors.add(str(error))
        self.status = dataclasses.replace(self.status, last_error=str(error))


async def probe(options: ConnectionOptions, *, publish_topic: str, subscribe_filter: str) -> Protocol:
    """Connect once, publish and subscribe, disconnect, and return the version of MQTT that the broker supports.

    Publishes an empty message on ``publish_topic`` and subscribes to ``subscribe_filter``. A running bridge keeps its
    connection. Raises ConnectError, ConnectionLostError, PublishDeniedError (which a 3.1.1 broker cannot report) and
    SubscribeDeniedError.
    """

    async def publish_and_subscribe(session: Session) -> Protocol:
        await session.subscribe(subscribe_filter)
        await session.publish(publish_topic, b"")
        return session.protocol

    return await run_temporary_session(options, "probe", publish_and_subscribe)
