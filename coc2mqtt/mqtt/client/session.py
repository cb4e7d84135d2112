"""One connection to the broker, from the connect until it breaks off."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Never

from coc2mqtt.mqtt.client.acknowledgements import check_puback, check_suback
from coc2mqtt.mqtt.client.connection_loss import blockage, break_off, standstill, unanswered_subscription
from coc2mqtt.mqtt.client.errors import (
    ConnectionLostError,
    MessageTooLargeError,
    PublishDeferredError,
    PublishDeniedError,
    SubscribeDeniedError,
)
from coc2mqtt.mqtt.client.inbox import Inbox, Message
from coc2mqtt.mqtt.client.inflight import InflightWindow
from coc2mqtt.mqtt.client.limits import Limits, check_message
from coc2mqtt.mqtt.client.paho_client import PahoClient
from coc2mqtt.mqtt.client.poison_messages import Quarantine, outgoing
from coc2mqtt.mqtt.client.tls import tls_context
from coc2mqtt.mqtt.topics import fits

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable

    from coc2mqtt.mqtt.client.acknowledgements import BrokerResponse
    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, RetainedMessage
    from coc2mqtt.mqtt.client.poison_messages import Outgoing

__all__ = ["Message", "Session", "open_session"]

# Together less than the two seconds within which a program should stop.
_LAST_WORDS_TIMEOUT = 1.0
_GOODBYE_TIMEOUT = 0.5
# A broker sends what it retains in one go after the SUBACK (seconds).
_QUIET = 0.5
_LONGEST_LOOK = 10.0


async def open_session(
    options: ConnectionOptions,
    protocol: Protocol,
    *,
    clock: Callable[[], float] = time.time,
    quarantine: Quarantine | None = None,
) -> Session:
    """Connect; who gets the session must ``drop`` it in the end. ``clock`` gives Unix time.

    ``quarantine`` knows over which messages earlier sessions were lost.

    Raises ConnectError; of its kinds only UnsupportedProtocolError and SilentBrokerError can come from the version
    of MQTT.
    """
    context = None if options.tls is None else await asyncio.to_thread(tls_context, options.tls)
    session = Session(options, protocol, context, quarantine or Quarantine())
    try:
        await session.connect(clock)
    except BaseException:
        session.drop()
        raise
    return session


class Session:
    """One live connection; what is awaited on it ends with ConnectionLostError when it breaks off.

    ``protocol`` is the version of MQTT in use, ``connected_at`` the Unix time in seconds of the CONNACK.
    """

    def __init__(
        self, options: ConnectionOptions, protocol: Protocol, context: ssl.SSLContext | None, quarantine: Quarantine
    ) -> None:
        self.protocol = protocol
        self.connected_at = 0.0
        self._largest_packet = Limits().largest_packet
        self._takes_wildcards = True
        self._quarantine = quarantine
        self._options = options
        self._user = options.username or "this client"
        self._keepalive = options.keepalive
        self._inbox = Inbox()
        self._looks: list[Callable[[Message], bool]] = []
        self._taps: list[Callable[[Message], bool]] = []
        self._window = InflightWindow()
        self._ended = asyncio.Event()
        self._lost: ConnectionLostError | None = None
        self._wire = PahoClient(
            options,
            protocol,
            context,
            acknowledged=self._window.acknowledged,
            came_in=self._came_in,
            ended=self._ended_by_broker,
        )

    async def connect(self, clock: Callable[[], float]) -> None:
        """Connect; raises ConnectError."""
        limits = await self._wire.connect()
        self.connected_at = clock()
        self._largest_packet = limits.largest_packet
        self._takes_wildcards = limits.wildcards
        self._quarantine.connected()
        self._window.resize(limits.receive_maximum)
        # A Server Keep Alive is to be used in place of the client's (MQTT 5, section 3.2.2.3.14).
        self._keepalive = min(limits.keepalive or self._keepalive, self._keepalive)

    @property
    def largest_packet(self) -> int:
        """The largest packet that the broker takes, in bytes: by its own word, or as far as it was found out."""
        return min(self._largest_packet, self._quarantine.largest_packet or self._largest_packet)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 1,
        correlation_data: bytes | None = None,
        replaces: bool = False,
    ) -> None:
        """Publish and return after the PUBACK (QoS 0: after the sending). ``correlation_data`` needs MQTT 5.

        Many may be in flight at once, up to the broker's Receive Maximum; they leave in the order of the calls.
        ``replaces`` tells that the message need not arrive if another one on its topic does, as a retained one.
        Raises PublishDeniedError, PublishDeferredError (both with MQTT 5 only: a 3.1.1 broker cannot say so) and
        MessageTooLargeError, all without harm to others, and ConnectionLostError.
        """
        size = check_message(topic, payload, correlation_data or b"", largest_packet=self._largest_packet)
        message = outgoing(topic, payload, size, retain=retain, replaces=replaces)
        self._quarantine.check(message)
        send = partial(self._wire.publish, topic, payload, qos=qos, retain=retain, correlation_data=correlation_data)
        if self._quarantine.must_be_alone(message):
            async with self._window.alone():
                self._quarantine.sent_alone(message)
                answer = await self._answer(send(), message)
                self._quarantine.sent_alone(None)
        else:
            await self._window.enter()
            answer = await self._answer(send(), message)
        self._quarantine.acknowledged(message)
        check_puback(answer, topic, self._user, size=size)

    async def _answer(self, packet_id: int | None, message: Outgoing) -> BrokerResponse:
        if packet_id is None:
            self._window.leave()
            raise self._loss()
        return await self._window.answer(packet_id, message)

    async def subscribe(self, topic_filter: str, qos: int = 1, *, only_others: bool = False) -> None:
        """Subscribe and return after the SUBACK.

        With ``only_others`` and MQTT 5, neither retained messages nor messages of this client come in. Raises
        SubscribeDeniedError, SubscribeTimeoutError and ConnectionLostError.
        """
        if not self._takes_wildcards and "+" in topic_filter:
            # It would end the connection (MQTT 5, section 3.2.2.3.11).
            raise SubscribeDeniedError(
                f"the broker takes no subscription with a wildcard, such as {topic_filter}: allow them on the broker"
            )
        answer = await self._wire.subscribe(topic_filter, qos, only_others=only_others)
        if answer is None:
            raise self._lost or unanswered_subscription(self._options, topic_filter)
        check_suback(answer, topic_filter, self._user)

    async def look(self, topic_filter: str, take: Callable[[Message], None]) -> None:
        """Hand over what the broker retains under a filter, and return when nothing came for half a second.

        MQTT has no word for the last retained message. What comes after it is for ``messages``; of what was retained
        none is. Raises SubscribeDeniedError and ConnectionLostError.
        """
        heard = asyncio.Event()

        def hear(message: Message) -> bool:
            mine = message.retain and fits(topic_filter, message.topic)
            if mine:
                heard.set()
                take(message)
            return mine

        self._looks.append(hear)
        try:
            await self.subscribe(topic_filter, qos=0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_LOOK):
                    while await _within(_QUIET, heard):
                        heard.clear()
            await self._wire.unsubscribe(topic_filter)
        finally:
            self._looks.remove(hear)

    def tap(self, take: Callable[[Message], bool]) -> None:
        """Show each message that comes in to a function; those for which it returns True are not for ``messages``."""
        self._taps.append(take)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield each message that comes in, in order; for one reader.

        A reader that falls 200 messages behind loses those that come in until it catches up, which is logged once.
        """
        while True:
            yield await self._inbox.get()

    async def receive(self) -> Never:
        """Watch over the connection until it breaks off, and raise ConnectionLostError at once then.

        It is also given up when nothing at all was heard for the keepalive, and when a message was not acknowledged for
        so long; what waits for its turn in the window, or for others to be acknowledged, does not count.
        """
        loop = asyncio.get_running_loop()
        # A ping after each half of the keepalive leaves the other half for its answer.
        pinged_at, next_ping = -math.inf, loop.time() + self._keepalive / 2
        while not await self._has_ended(min(next_ping, self._window.blocked_since + self._keepalive)):
            blocked_since = self._window.blocked_since
            blocked = loop.time() >= blocked_since + self._keepalive
            if self._wire.heard_at < (blocked_since if blocked else pinged_at):
                self._give_up(standstill(self._options, self._keepalive))
            elif blocked:
                self._quarantine.lost(self._window.in_flight, lost := blockage(self._options, self._keepalive))
                self._give_up(lost)
            else:
                self._wire.ping()
                pinged_at = loop.time()
                next_ping = pinged_at + self._keepalive / 2
        raise self._loss()

    async def leave(self, last_words: Iterable[RetainedMessage] = ()) -> None:
        """Publish the last words and say goodbye, within 1.5 seconds in all; raises nothing.

        The broker publishes no will after a goodbye, so one that did not acknowledge the last words gets none.
        """
        try:
            async with asyncio.timeout(_LAST_WORDS_TIMEOUT):
                for topic, payload in last_words:
                    await self.publish(topic, payload, retain=True)
        except (
            TimeoutError,
            ConnectionLostError,
            PublishDeniedError,
            PublishDeferredError,
            MessageTooLargeError,
        ):
            return
        self._wire.say_goodbye()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_TIMEOUT):
                await self._ended.wait()

    def drop(self) -> None:
        """Close the connection, whatever state it is in, without a word to the broker."""
        self._give_up(self._loss())

    async def _has_ended(self, deadline: float) -> bool:
        """Return whether the connection is over, at the latest at the deadline."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._ended.wait()
        return self._ended.is_set()

    def _came_in(self, message: Message) -> None:
        if not any(look(message) for look in (*self._looks, *self._taps)):
            self._inbox.put(message)

    def _give_up(self, reason: ConnectionLostError) -> None:
        self._wire.close()
        self._end(reason)

    def _ended_by_broker(self, lost: ConnectionLostError) -> None:
        try:
            if self._lost is None:
                self._quarantine.lost(self._window.in_flight, lost)
        finally:
            self._end(lost)

    def _end(self, lost: ConnectionLostError) -> None:
        self._lost = self._lost or lost
        self._ended.set()
        self._window.break_off(self._lost)

    def _loss(self) -> ConnectionLostError:
        return self._lost or break_off(self._options)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Return whether something happens in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
