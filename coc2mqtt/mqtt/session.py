"""One connection to the broker. The one module that knows aiomqtt and paho."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never, TypeVar

import aiomqtt
import structlog
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTT_ERR_SUCCESS, ConnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from coc2mqtt.mqtt.diagnosis import (
    connect_failure,
    connect_refusal,
    loss,
    silence,
    silent_close,
    tls_files_failure,
)
from coc2mqtt.mqtt.errors import (
    ConnectionLostError,
    MessageTooLargeError,
    PublishDeniedError,
    SubscribeDeniedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from paho.mqtt.client import Client as Paho

    from coc2mqtt.mqtt.options import ConnectionOptions, Protocol, RetainedMessage, TlsOptions

_log = structlog.get_logger()

# aiomqtt and paho write a line for each message, and tracebacks of what is no more than a lost connection.
_QUIET = logging.getLogger(f"{__name__}.wire")
_QUIET.setLevel(logging.CRITICAL + 1)

Result = TypeVar("Result")

_VERSIONS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
_IN_FLIGHT = 100
_INBOX = 1000
_LARGEST_PACKET = 268_435_455
# At most: 5 bytes of fixed header, 2 and 2 for the topic's length and the packet's id, 7 around the properties.
_PACKET_OVERHEAD = 16
_DENIED = 0x80
# Together less than the two seconds within which a program should stop.
_LAST_WORDS_TIMEOUT = 1.0
_GOODBYE_TIMEOUT = 0.5


@dataclass(frozen=True, slots=True)
class Message:
    """A message that came in. ``retain`` tells that it is older than the subscription; the last two are MQTT 5's."""

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None


async def open_session(
    options: ConnectionOptions, protocol: Protocol, *, clock: Callable[[], float] = time.time
) -> Session:
    """Connect; who gets the session must ``drop`` it in the end. ``clock`` gives Unix time.

    Raises ConnectError; of its kinds only UnsupportedProtocolError and SilentBrokerError can come from the version
    of MQTT.
    """
    context = None if options.tls is None else await asyncio.to_thread(_tls_context, options.tls)
    session = Session(options, protocol, _client(options, protocol, context))
    try:
        await session.connect(clock)
    except BaseException:
        session.drop()
        raise
    return session


class Session:
    """One live connection; what is awaited on it ends with ConnectionLostError when it breaks off.

    ``protocol`` is the version of MQTT in use, ``connected_at`` the Unix time in seconds of the CONNACK,
    ``largest_packet`` the broker's Maximum Packet Size in bytes.
    """

    def __init__(self, options: ConnectionOptions, protocol: Protocol, client: aiomqtt.Client) -> None:
        self.protocol = protocol
        self.connected_at = 0.0
        self.largest_packet = _LARGEST_PACKET
        self._options = options
        self._client = client
        self._loop = asyncio.get_running_loop()
        # aiomqtt drops the PUBACK's reason code, hides the limits in the CONNACK, and waits for its whole time-out
        # where the broker closes the connection before a CONNACK: paho's callbacks tell all three. Nor does it look
        # whether a socket is still open when it comes to watching it.
        self._paho: Paho = client._client  # noqa: SLF001 - there is no public way to them
        self._tell_aiomqtt: dict[str, Any] = {
            name: getattr(self._paho, name) for name in ("on_connect", "on_disconnect")
        }
        self._paho.on_connect = self._connected
        self._paho.on_disconnect = self._disconnected
        self._paho.on_socket_open = self._socket_opened
        self._paho.on_socket_register_write = self._write_wanted
        self._paho.on_publish = self._published
        self._paho.connect_timeout = options.timeout
        self._window = asyncio.Semaphore(_IN_FLIGHT)
        self._acks: dict[int, asyncio.Future[ReasonCode]] = {}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(_INBOX)
        self._lost: ConnectionLostError | None = None
        self._opened = self._answered = self._closed_early = self._overflown = self._dropped = False

    async def connect(self, clock: Callable[[], float]) -> None:
        """Connect; raises ConnectError."""
        try:
            await _heeding_cancellation(self._client.__aenter__())
        except aiomqtt.MqttCodeError as error:
            if self._closed_early:
                raise silent_close(self._options) from None
            code = error.rc.value if isinstance(error.rc, ReasonCode) else _DENIED
            raise connect_refusal(self._options, self.protocol, code, str(error.rc)) from None
        except (aiomqtt.MqttError, UnicodeError) as error:
            # aiomqtt puts only the text of the error that stopped it into its own: the error itself is the context.
            cause = error if isinstance(error, UnicodeError) else error.__context__
            if self._opened and isinstance(cause, TimeoutError):
                raise silence(self._options) from None
            raise connect_failure(self._options, cause) from None
        self.connected_at = clock()

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, correlation_data: bytes | None = None
    ) -> None:
        """Publish and return after the PUBACK (QoS 0: after the sending). ``correlation_data`` needs MQTT 5.

        Many may be in flight at once, up to the broker's Receive Maximum; they leave in the order of the calls.
        Raises PublishDeniedError (MQTT 5 only: a 3.1.1 broker cannot say so), MessageTooLargeError, both without
        harm to others, and ConnectionLostError.
        """
        self._check(topic, payload, correlation_data or b"")
        properties = None
        if correlation_data is not None and self.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's has no types
            properties.CorrelationData = correlation_data
        await self._window.acquire()
        # Not aiomqtt's publish: it drops the reason code. Its slot is free again only with the PUBACK, even where the
        # caller is cancelled before: the broker still counts the message.
        info = self._paho.publish(topic, payload, qos, retain, properties)
        if info.rc != MQTT_ERR_SUCCESS:
            self._window.release()
            raise self._lost or loss(self._options, None)
        ack = self._acks[info.mid] = asyncio.get_running_loop().create_future()
        reason = await ack
        if reason.value >= _DENIED:
            raise PublishDeniedError(
                f"the broker does not take messages on {topic} ({str(reason).lower()}): allow the topic for"
                f" {self._options.username or 'this client'} on the broker"
            )

    async def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Subscribe and return after the SUBACK; raises SubscribeDeniedError, ConnectionLostError."""
        try:
            reasons = await _heeding_cancellation(self._client.subscribe(topic_filter, qos))
        except aiomqtt.MqttError:
            raise self._lost or loss(self._options, None) from None
        if any((reason.value if isinstance(reason, ReasonCode) else reason) >= _DENIED for reason in reasons):
            raise SubscribeDeniedError(
                f"the broker does not grant a subscription to {topic_filter}: allow the topic for"
                f" {self._options.username or 'this client'} on the broker"
            )

    async def messages(self) -> AsyncIterator[Message]:
        """Yield each message that comes in, in order; for one reader.

        A reader that falls 1000 messages behind loses those that come in until it catches up, which is logged once.
        """
        while True:
            yield await self._inbox.get()

    async def receive(self) -> Never:
        """Take in what the broker sends, until the connection breaks off: raises ConnectionLostError at once then."""
        try:
            async for message in self._client.messages:
                self._take(message)
        except aiomqtt.MqttError:
            self._give_up()
        raise self._lost or loss(self._options, None)

    async def leave(self, last_words: Iterable[RetainedMessage] = ()) -> None:
        """Publish the last words and say goodbye, within 1.5 seconds in all; raises nothing.

        The broker publishes no will after a goodbye, so one that did not acknowledge the last words gets none.
        """
        try:
            async with asyncio.timeout(_LAST_WORDS_TIMEOUT):
                for topic, payload in last_words:
                    await self.publish(topic, payload, retain=True)
        except (TimeoutError, ConnectionLostError, PublishDeniedError, MessageTooLargeError):
            return
        self._client.timeout = _GOODBYE_TIMEOUT
        with contextlib.suppress(aiomqtt.MqttError):
            await _heeding_cancellation(self._client.__aexit__(None, None, None))

    def drop(self) -> None:
        """Close the connection, whatever state it is in, without a word to the broker."""
        self._dropped = True
        # paho documents that this ends an established connection; closing its socket behind its back does not take
        # the socket from the event loop. aiomqtt leaves it open where a connect fails.
        self._paho.connect_async(self._options.host, self._options.port)
        self._give_up()
        ended = self._client._disconnected  # noqa: SLF001 - see the next line
        if ended.done() and not ended.cancelled():
            ended.exception()  # else asyncio complains that nobody asked for it, where the broker died just now

    def _check(self, topic: str, payload: bytes, correlation_data: bytes) -> None:
        """Refuse what paho raises ValueError for, or a broker ends the whole connection for (MQTT 5, section 4.7.3)."""
        name = topic.encode()
        if not 0 < len(name) <= 0xFFFF or any(character in topic for character in "+#\0"):  # noqa: PLR2004 - 16 bits
            raise PublishDeniedError(f"{topic[:100]!r} is no topic to publish on: it is empty, too long, or a filter")
        size = len(name) + len(correlation_data) + len(payload) + _PACKET_OVERHEAD
        if size > self.largest_packet:
            raise MessageTooLargeError(
                f"a message of {size} bytes on {topic} is larger than the {self.largest_packet} that the broker takes:"
                " raise the broker's limit (Mosquitto: max_packet_size)"
            )

    def _take(self, message: aiomqtt.Message) -> None:
        properties = message.properties
        taken = Message(
            str(message.topic),
            bytes(message.payload),
            retain=bool(message.retain),
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation_data=getattr(properties, "CorrelationData", None),
        )
        try:
            self._inbox.put_nowait(taken)
        except asyncio.QueueFull:
            if not self._overflown:
                _log.warning("messages come in faster than they are handled, so some are lost", topic=taken.topic)
            self._overflown = True

    def _give_up(self) -> None:
        lost = self._lost or loss(self._options, None)
        while self._acks:
            _, ack = self._acks.popitem()
            self._window.release()
            if not ack.done():
                ack.set_exception(lost)

    def _connected(
        self, paho: Paho, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._answered = True
        self.largest_packet = getattr(properties, "MaximumPacketSize", _LARGEST_PACKET)
        self._window = asyncio.Semaphore(min(_IN_FLIGHT, getattr(properties, "ReceiveMaximum", _IN_FLIGHT)))
        self._tell_aiomqtt["on_connect"](paho, userdata, flags, reason, properties)

    def _disconnected(
        self, paho: Paho, userdata: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._answered:
            self._lost = loss(self._options, reason.value)
            self._tell_aiomqtt["on_disconnect"](paho, userdata, flags, reason, properties)
            return
        self._closed_early = True
        refusal = ReasonCode(PacketTypes.CONNACK, "Unspecified error")
        self._tell_aiomqtt["on_connect"](paho, userdata, ConnectFlags(session_present=False), refusal, None)

    def _published(self, _paho: Paho, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties) -> None:
        ack = self._acks.pop(mid, None)
        if ack is None:
            return
        self._window.release()
        if not ack.done():
            ack.set_result(reason)

    def _socket_opened(self, _paho: Paho, _userdata: Any, sock: Any) -> None:
        # paho connects in a thread, which goes on where the waiting for it was cancelled: such a connection would
        # live on beside the next one and take over its client id.
        if self._dropped:
            sock.close()
            raise ConnectionAbortedError
        self._opened = True
        # In place of aiomqtt's own, which watches the socket a turn of the loop later without looking whether it was
        # closed meanwhile. From paho's thread during the connect, where the event loop cannot be touched.
        self._loop.call_soon_threadsafe(self._watch_for_reading, sock)

    def _watch_for_reading(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._read)
            self._client._misc_task = self._loop.create_task(self._client._misc_loop())  # noqa: SLF001 - its keepalive

    def _read(self) -> None:
        try:
            self._paho.loop_read()
            # Of what came over TLS a part may have been decoded and not read yet: the socket tells of it no more.
            while getattr(self._paho.socket(), "pending", int)() > 0:
                self._paho.loop_read()
        except Exception as error:  # noqa: BLE001 - whatever a broker's bytes make paho raise, this connection is over
            self._broken(error)

    def _write_wanted(self, _paho: Paho, _userdata: Any, sock: Any) -> None:
        # From paho's thread during the connect, where the event loop cannot be touched.
        self._loop.call_soon_threadsafe(self._watch_for_writing, sock)

    def _watch_for_writing(self, sock: Any) -> None:
        if sock.fileno() >= 0:  # else it was closed meanwhile, and asyncio would complain
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._paho.loop_write()
        except (OSError, ValueError) as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        ended = self._client._disconnected  # noqa: SLF001 - how aiomqtt itself tells that a connection broke
        if not ended.done():
            ended.set_exception(error)


async def _heeding_cancellation(awaited: Awaitable[Result]) -> Result:
    """Await, and end with CancelledError wherever the task was cancelled meanwhile.

    aiomqtt waits with asyncio.wait_for, which up to Python 3.11 swallows a cancellation that comes in the same moment
    as what it waits for: the program could not be stopped then.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        return await awaited
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _client(options: ConnectionOptions, protocol: Protocol, context: ssl.SSLContext | None) -> aiomqtt.Client:
    will = options.will
    return aiomqtt.Client(
        options.host,
        options.port,
        username=options.username,
        password=None if options.password is None else options.password.get_secret_value(),
        identifier=options.client_id,
        protocol=_VERSIONS[protocol],
        # No session is resumed, by either version's flag: a command that was sent while the bridge was away is not
        # executed hours later, and what is to be sent waits in the journal, not at the broker.
        clean_start=True if protocol == "5" else MQTT_CLEAN_START_FIRST_ONLY,
        clean_session=None if protocol == "5" else True,
        keepalive=options.keepalive,
        timeout=options.timeout,
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
        tls_context=context,
        max_inflight_messages=0,  # no window of paho's own: it cannot follow the broker's Receive Maximum
        logger=_QUIET,
    )


def _tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Read the files, which blocks."""
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file is not None:
            # An encrypted key must not ask for its password on the terminal of a service.
            context.load_cert_chain(options.cert_file, options.key_file, password="")
    except OSError as error:
        raise tls_files_failure(error) from None
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
