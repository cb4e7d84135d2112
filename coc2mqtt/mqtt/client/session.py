"""A session: one connection to the broker, from the connect until it is lost or closed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Never

from coc2mqtt.mqtt.client.connection_loss import connection_lost, keepalive_timeout, puback_timeout, suback_timeout
from coc2mqtt.mqtt.client.errors import (
    ConnectionLostError,
    MessageTooLargeError,
    PublishDeferredError,
    PublishDeniedError,
    SubscribeDeniedError,
)
from coc2mqtt.mqtt.client.inflight import InflightWindow
from coc2mqtt.mqtt.client.messages import Inbox, Message, check_message, topic_matches
from coc2mqtt.mqtt.client.paho_client import PahoClient
from coc2mqtt.mqtt.client.paho_setup import BrokerLimits, tls_context
from coc2mqtt.mqtt.client.poison_messages import OutgoingMessage, PoisonMessageFilter
from coc2mqtt.mqtt.client.reason_codes import check_puback, check_suback

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable

    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, RetainedMessage
    from coc2mqtt.mqtt.client.reason_codes import BrokerResponse

__all__ = ["Message", "Session", "open_session"]

# Together less than the two seconds within which the program should stop.
_OFFLINE_MESSAGES_TIMEOUT_S = 1.0
_DISCONNECT_TIMEOUT_S = 0.5
# A broker sends its retained messages in one go after the SUBACK.
_RETAINED_QUIET_S = 0.5
_READ_RETAINED_TIMEOUT_S = 10.0


async def open_session(
    options: ConnectionOptions,
    protocol: Protocol,
    *,
    clock: Callable[[], float] = time.time,
    poison_filter: PoisonMessageFilter | None = None,
) -> Session:
    """Connect and return the session, which the caller must ``abort`` in the end. ``clock`` returns Unix time.

    ``poison_filter`` remembers messages that made the broker close earlier sessions.

    Raises ConnectError; only UnsupportedProtocolError and ConnackTimeoutError can be caused by the version of MQTT.
    """
    context = None if options.tls is None else await asyncio.to_thread(tls_context, options.tls)
    session = Session(options, protocol, context, poison_filter or PoisonMessageFilter())
    try:
        await session.connect(clock)
    except BaseException:
        session.abort()
        raise
    return session


class Session:
    """A live connection; everything awaited on it raises ConnectionLostError when the connection is lost.

    ``protocol`` is the version of MQTT in use, ``connected_at`` the Unix time in seconds of the CONNACK.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        protocol: Protocol,
        context: ssl.SSLContext | None,
        poison_filter: PoisonMessageFilter,
    ) -> None:
        self.protocol = protocol
        self.connected_at = 0.0
        self._limits = BrokerLimits()
        self._poison_filter = poison_filter
        self._options = options
        self._user = options.username or "this client"
        self._keepalive = options.keepalive
        self._inbox = Inbox()
        self._retained_readers: list[Callable[[Message], bool]] = []
        self._interceptors: list[Callable[[Message], bool]] = []
        self._window = InflightWindow()
        self._closed = asyncio.Event()
        self._error: ConnectionLostError | None = None
        self._client = PahoClient(
            options,
            protocol,
            context,
            on_puback=self._window.on_puback,
            on_message=self._on_message,
            on_connection_lost=self._on_connection_lost,
        )

    async def connect(self, clock: Callable[[], float]) -> None:
        """Connect; raises ConnectError."""
        self._limits = await self._client.connect()
        self.connected_at = clock()
        self._poison_filter.on_connected()
        self._window.resize(self._limits.receive_maximum)
        # The Server Keep Alive replaces the client's keepalive (MQTT 5, section 3.2.2.3.14).
        self._keepalive = min(self._limits.server_keepalive or self._keepalive, self._keepalive)

    @property
    def max_packet_size(self) -> int:
        """The largest packet in bytes that the broker accepts, as it announced or as it was found out."""
        return min(self._limits.max_packet_size, self._poison_filter.max_packet_size or self._limits.max_packet_size)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 1,
        correlation_data: bytes | None = None,
        replaceable: bool = False,
    ) -> None:
        """Publish and return after the PUBACK (QoS 0: once sent). ``correlation_data`` needs MQTT 5.

        Messages are sent in the order of the calls, with as many in flight as the broker's Receive Maximum allows.
        ``replaceable`` means that a later message on the topic replaces this one, as with a retained message.
        Raises PublishDeniedError and PublishDeferredError (both with MQTT 5 only: a 3.1.1 broker cannot report them)
        and MessageTooLargeError, which do not affect other messages, and ConnectionLostError.
        """
        size = check_message(topic, payload, correlation_data or b"", max_packet_size=self._limits.max_packet_size)
        message = OutgoingMessage.of(topic, payload, size, replaceable=retain or replaceable)
        self._poison_filter.check(message)
        send = partial(self._client.publish, topic, payload, qos=qos, retain=retain, correlation_data=correlation_data)
        if self._poison_filter.must_send_alone(message):
            async with self._window.exclusive():
                self._poison_filter.set_sent_alone(message)
                response = await self._puback(send(), message)
                self._poison_filter.set_sent_alone(None)
        else:
            await self._window.acquire()
            response = await self._puback(send(), message)
        self._poison_filter.on_puback(message)
        check_puback(response, topic, self._user, size=size)

    async def _puback(self, packet_id: int | None, message: OutgoingMessage) -> BrokerResponse:
        if packet_id is None:
            self._window.release()
            raise self._loss()
        return await self._window.add(packet_id, message)

    async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:
        """Subscribe and return after the SUBACK.

        With ``skip_own_and_retained`` and MQTT 5, the broker sends neither retained messages nor messages published by
        this client. Raises SubscribeDeniedError, SubscribeTimeoutError and ConnectionLostError.
        """
        if not self._limits.wildcards_available and "+" in topic_filter:
            # The broker would close the connection (MQTT 5, section 3.2.2.3.11).
            raise SubscribeDeniedError(
                f"the broker does not support wildcard subscriptions such as {topic_filter}: enable them on the broker"
            )
        response = await self._client.subscribe(topic_filter, qos, skip_own_and_retained=skip_own_and_retained)
        if response is None:
            raise self._error or suback_timeout(self._options, topic_filter)
        check_suback(response, topic_filter, self._user)

    async def read_retained(self, topic_filter: str, on_message: Callable[[Message], None]) -> None:
        """Call ``on_message`` with each retained message under a filter; return after half a second without one.

        MQTT does not mark the last retained message. ``messages`` yields the other messages that arrive meanwhile, but
        not the retained ones. Raises SubscribeDeniedError, SubscribeTimeoutError and ConnectionLostError.
        """
        received = asyncio.Event()

        def read(message: Message) -> bool:
            is_match = message.retain and topic_matches(topic_filter, message.topic)
            if is_match:
                received.set()
                on_message(message)
            return is_match

        self._retained_readers.append(read)
        try:
            await self.subscribe(topic_filter, qos=0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_READ_RETAINED_TIMEOUT_S):
                    while await _is_set_within(_RETAINED_QUIET_S, received):
                        received.clear()
            await self._client.unsubscribe(topic_filter)
        finally:
            self._retained_readers.remove(read)

    def add_interceptor(self, on_message: Callable[[Message], bool]) -> None:
        """Call a function with each incoming message; ``messages`` skips those for which it returns True."""
        self._interceptors.append(on_message)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield the incoming messages in order; for a single reader.

        If the reader is 200 messages behind, further messages are dropped until it catches up, which is logged once.
        """
        while True:
            yield await self._inbox.get()

    async def monitor(self) -> Never:
        """Send pings, wait until the connection is lost, and raise ConnectionLostError at once.

        The connection is also closed if nothing was received for the keepalive interval, or if a message was not
        acknowledged for that long, not counting the waits for a slot in the window and for earlier acknowledgements.
        """
        loop = asyncio.get_running_loop()
        # A ping after each half of the keepalive leaves the other half for its response.
        pinged_at, next_ping = -math.inf, loop.time() + self._keepalive / 2
        while not await self._is_closed_by(min(next_ping, self._window.blocked_since + self._keepalive)):
            blocked_since = self._window.blocked_since
            is_blocked = loop.time() >= blocked_since + self._keepalive
            if self._client.last_received_at < (blocked_since if is_blocked else pinged_at):
                self._close(keepalive_timeout(self._options, self._keepalive))
            elif is_blocked:
                error = puback_timeout(self._options, self._keepalive)
                self._poison_filter.on_connection_lost(self._window.in_flight, error)
                self._close(error)
            else:
                self._client.ping()
                pinged_at = loop.time()
                next_ping = pinged_at + self._keepalive / 2
        raise self._loss()

    async def disconnect(self, offline_messages: Iterable[RetainedMessage] = ()) -> None:
        """Publish the offline messages and send a DISCONNECT, within 1.5 seconds in all; raises nothing.

        The broker does not publish the will after a DISCONNECT, so none is sent unless it acknowledged all messages.
        """
        try:
            async with asyncio.timeout(_OFFLINE_MESSAGES_TIMEOUT_S):
                for topic, payload in offline_messages:
                    await self.publish(topic, payload, retain=True)
        except (
            TimeoutError,
            ConnectionLostError,
            PublishDeniedError,
            PublishDeferredError,
            MessageTooLargeError,
        ):
            return
        self._client.disconnect()
        await _is_set_within(_DISCONNECT_TIMEOUT_S, self._closed)

    def abort(self) -> None:
        """Close the connection in any state, without a DISCONNECT."""
        self._close(self._loss())

    async def _is_closed_by(self, deadline: float) -> bool:
        """Wait until the connection is closed or the deadline is reached, and return whether it is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._closed.wait()
        return self._closed.is_set()

    def _on_message(self, message: Message) -> None:
        if not any(handle(message) for handle in (*self._retained_readers, *self._interceptors)):
            self._inbox.put(message)

    def _on_connection_lost(self, error: ConnectionLostError) -> None:
        try:
            if self._error is None:
                self._poison_filter.on_connection_lost(self._window.in_flight, error)
        finally:
            self._set_closed(error)

    def _close(self, error: ConnectionLostError) -> None:
        self._client.close()
        self._set_closed(error)

    def _set_closed(self, error: ConnectionLostError) -> None:
        self._error = self._error or error
        self._closed.set()
        self._window.fail_all(self._error)

    def _loss(self) -> ConnectionLostError:
        return self._error or connection_lost(self._options)


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event, and return whether it was set in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
