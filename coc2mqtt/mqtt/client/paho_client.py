"""One connection of aiomqtt's. The one module that knows aiomqtt and paho."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_ERR_SUCCESS,
    MQTT_LOG_ERR,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    WebsocketConnectionError,
)
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from coc2mqtt.mqtt.client.acknowledgements import BrokerResponse
from coc2mqtt.mqtt.client.connect_errors import (
    connect_failure,
    connect_refusal,
    early_end,
    incapacity,
    is_foreign,
    no_websocket,
    silence,
)
from coc2mqtt.mqtt.client.connection_loss import break_off, farewell, garble, mishap
from coc2mqtt.mqtt.client.inbox import LONGEST_PAYLOAD, Message
from coc2mqtt.mqtt.client.limits import INCOMING_AT_ONCE, LARGEST_INCOMING_PACKET, Limits
from coc2mqtt.mqtt.client.reason_codes import name_of_foreign, replace_foreign
from coc2mqtt.util.cancellation import heed_cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paho.mqtt.client import Client as Paho

    from coc2mqtt.mqtt.client.errors import ConnectionLostError
    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol

# aiomqtt and paho write a line for each message, and tracebacks of what is no more than a lost connection.
_QUIET = logging.getLogger(f"{__name__}.quiet")
_QUIET.setLevel(logging.CRITICAL + 1)

_VERSIONS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
_ONLY_OTHERS = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
_TAKEN = BrokerResponse(0, "success")
_REFUSED = 0x80
_PROTOCOL_ERROR = 0x82


class PahoClient:
    """One connection, once: what goes over it, without what it means.

    ``acknowledged`` is called with the packet identifier of each message that was answered and the answer, ``came_in``
    with each message that comes in, ``ended`` when a connection that stood is over, with the reason. What they raise
    ends the connection and reaches the event loop. ``heard_at`` is the loop's time of the last sign of life.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        protocol: Protocol,
        context: ssl.SSLContext | None,
        *,
        acknowledged: Callable[[int, BrokerResponse], None],
        came_in: Callable[[Message], None],
        ended: Callable[[ConnectionLostError], None],
    ) -> None:
        self._options = options
        self._protocol = protocol
        self._tell_acknowledged = acknowledged
        self._tell_came_in = came_in
        self._tell_ended = ended
        self._loop = asyncio.get_running_loop()
        self._client = _client(options, protocol, context)
        # aiomqtt drops the PUBACK's reason code, hides the limits in the CONNACK, keeps any number of messages that
        # come in, and waits for its whole time-out where the broker closes the connection before a CONNACK. Nor does it
        # look whether a socket is still open when it comes to watching it. So paho's callbacks come here.
        self._paho: Paho = self._client._client  # noqa: SLF001 - there is no public way to it
        self._tell_aiomqtt: Any = self._paho.on_connect
        self._paho.on_connect = self._connected
        self._paho.on_disconnect = self._disconnected
        self._paho.on_message = self._came_in
        self._paho.on_publish = self._published
        self._paho.on_socket_open = self._socket_opened
        self._paho.on_socket_register_write = self._write_wanted
        self._paho.on_log = self._noted
        # paho raises for a reason code that a packet may not have: none to lose the connection for.
        self._handle_packet: Callable[[], Any] = self._paho._packet_handle  # noqa: SLF001 - there is no public way to it
        setattr(self._paho, "_packet_handle", self._handle_with_any_reason)  # noqa: B010 - a method, to mypy
        self._paho.connect_timeout = options.timeout
        self.heard_at = self._loop.time()
        self._limits = Limits()
        self._other_server: str | None = None
        self._foreign = b""
        self._cause: BaseException | None = None
        self._bug: Exception | None = None
        self._opened = self._answered = self._closed_early = self._closed = self._reading_on = False
        self._reset = False
        self._foreign_code: int | None = None

    async def connect(self) -> Limits:
        """Connect; raises ConnectError."""
        try:
            await heed_cancellation(self._client.__aenter__())
        except aiomqtt.MqttCodeError as error:
            if self._closed_early:
                raise early_end(self._options, self._foreign, self._cause) from None
            code = error.rc.value if isinstance(error.rc, ReasonCode) else _REFUSED
            raise connect_refusal(self._options, self._protocol, code, str(error.rc), self._other_server) from None
        except (aiomqtt.MqttError, UnicodeError, IndexError) as error:
            # aiomqtt puts only the text of the error that stopped it into its own: the error itself is the context.
            cause = error.__context__ if isinstance(error, aiomqtt.MqttError) else error
            if self._opened and isinstance(cause, TimeoutError):
                raise silence(self._options) from None
            # The latter two are what paho makes of headers that it did not expect.
            if isinstance(cause, WebsocketConnectionError | UnicodeDecodeError | IndexError):
                raise no_websocket(self._options) from None
            raise connect_failure(self._options, cause) from None
        if not self._limits.retains or not self._limits.maximum_qos:
            raise incapacity(retains=self._limits.retains)
        return self._limits

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, correlation_data: bytes | None
    ) -> int | None:
        """Send a message and return its packet identifier, None where the connection is over."""
        properties = None
        if correlation_data is not None and self._protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's has no types
            properties.CorrelationData = correlation_data
        # Not aiomqtt's: it drops the reason code of the PUBACK.
        info = self._paho.publish(topic, payload, qos, retain, properties)
        return info.mid if info.rc == MQTT_ERR_SUCCESS else None

    async def subscribe(self, topic_filter: str, qos: int, *, only_others: bool = False) -> BrokerResponse | None:
        """Subscribe and return the answer, None where there is none in time or the connection is over.

        With ``only_others`` and MQTT 5, neither retained messages nor messages of this client come in.
        """
        options = _ONLY_OTHERS if only_others and self._protocol == "5" else None
        try:
            reasons = await heed_cancellation(self._client.subscribe(topic_filter, 0 if options else qos, options))
        except aiomqtt.MqttError:
            return None
        return max((_answer(reason) for reason in reasons if isinstance(reason, ReasonCode)), default=None)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe and return after the broker's answer, at the latest after the time-out."""
        with contextlib.suppress(aiomqtt.MqttError):
            await heed_cancellation(self._client.unsubscribe(topic_filter))

    def ping(self) -> None:
        """Ask for a sign of life."""
        # Not by paho's loop_misc: it notices a dead broker only after twice the keepalive, and takes one whose PINGRESP
        # waits behind other messages for dead.
        self._paho._send_pingreq()  # noqa: SLF001 - there is no public way to it

    def say_goodbye(self) -> None:
        """Send a DISCONNECT; ``ended`` is called once it is out."""
        self._paho.disconnect()

    def close(self) -> None:
        """Close the connection, whatever state it is in, without a word to the broker."""
        self._closed = True
        # paho documents that this ends an established connection; closing its socket behind its back does not take
        # the socket from the event loop. aiomqtt leaves it open where a connect fails.
        self._paho.connect_async(self._options.host, self._options.port)

    def _connected(
        self, paho: Paho, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._answered:
            # Comes out in `_read`: paho's locks do not let a callback close the connection.
            raise ValueError("a second CONNACK")
        self._answered = True
        paho.on_log = None
        self._limits = _limits(properties)
        self._other_server = getattr(properties, "ServerReference", None)
        self._tell_aiomqtt(paho, userdata, flags, reason, properties)

    def _disconnected(
        self, _paho: Paho, _userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._answered:
            with self._calling_back():
                self._tell_ended(self._loss(flags, reason, properties))
        else:
            self._end_early()

    def _end_early(self) -> None:
        self._closed_early = True
        refusal = ReasonCode(PacketTypes.CONNACK, "Unspecified error")
        self._tell_aiomqtt(self._paho, None, ConnectFlags(session_present=False), refusal, None)

    def _noted(self, _paho: Paho, _userdata: Any, level: int, _text: str) -> None:
        # Why the connection ends before a CONNACK, paho says in its log alone, while it handles the error.
        if level == MQTT_LOG_ERR:
            self._cause = self._alert() or sys.exception()

    def _alert(self) -> Exception | None:
        """Return why the broker ended TLS, where it was a write that found that out: nobody has read its alert then."""
        sock: Any = self._paho.socket()
        if isinstance(sock, ssl.SSLSocket) and isinstance(sys.exception(), ConnectionError):
            try:
                sock.recv(1)
            except ssl.SSLWantReadError:
                return None
            except ssl.SSLError as alert:
                return alert
            except OSError:
                return None
        return None

    def _loss(self, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None) -> ConnectionLostError:
        if flags.is_disconnect_packet_from_server:
            said = self._reason(BrokerResponse(reason.value, str(reason).lower()))
            return farewell(self._options, *said, getattr(properties, "ServerReference", None))
        return garble(self._options) if reason.value == _PROTOCOL_ERROR else break_off(self._options)

    def _came_in(self, _paho: Paho, _userdata: Any, message: MQTTMessage) -> None:
        properties = message.properties
        taken_in = Message(
            message.topic,
            bytes(message.payload[:LONGEST_PAYLOAD]),
            retain=bool(message.retain),
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation_data=getattr(properties, "CorrelationData", None),
        )
        with self._calling_back():
            self._tell_came_in(taken_in)

    def _handle_with_any_reason(self) -> Any:
        if self._protocol == "5":
            packet = self._paho._in_packet  # noqa: SLF001 - there is no public way to it
            self._foreign_code = replace_foreign(packet["command"] >> 4, packet["packet"])
        return self._handle_packet()

    def _published(self, _paho: Paho, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties) -> None:
        with self._calling_back():
            self._tell_acknowledged(mid, self._reason(_answer(reason)))

    def _reason(self, answer: BrokerResponse) -> BrokerResponse:
        code = self._foreign_code
        return answer if code is None else BrokerResponse(code, name_of_foreign(code))

    def _socket_opened(self, _paho: Paho, _userdata: Any, sock: Any) -> None:
        # paho connects in a thread, which goes on where the waiting for it was cancelled: such a connection would
        # live on beside the next one and take over its client id.
        if self._closed:
            sock.close()
            raise ConnectionAbortedError
        self._opened = True
        if self._options.transport == "websockets":
            _mask_every_frame(sock)
        # In place of aiomqtt's own, which watches the socket a turn of the loop later without looking whether it was
        # closed meanwhile, and leaves the keepalive to paho. From paho's thread during the connect, where the event
        # loop cannot be touched.
        self._loop.call_soon_threadsafe(self._watch_for_reading, sock)

    def _watch_for_reading(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._read)

    def _read(self) -> None:
        self.heard_at = self._loop.time()
        if not self._answered and is_foreign(said := self._peek()):
            self._foreign = said
            self._end_early()
            return
        try:
            self._paho.loop_read()
        except Exception as error:  # noqa: BLE001 - whatever a broker's bytes make paho raise, this connection is over
            self._broken(error, garble(self._options))
        # It has to wait for its turn, else a flood would leave none to others.
        if not self._reading_on and self._is_left_alone():
            self._reading_on = True
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._reading_on = False
        self._read()

    def _is_left_alone(self) -> bool:
        """Tell whether there is something left to be read of which the event loop does not tell any more."""
        sock: Any = self._paho.socket()
        if sock is None:
            return False
        # Of an error uvloop tells once, together with what came before it, and then it watches the socket no more.
        raw = getattr(sock, "_socket", sock)  # below paho's websocket
        self._reset = self._reset or raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        # Over TLS, a part may have been decoded and not read yet: the socket tells of it no more.
        return self._reset or getattr(sock, "pending", int)() > 0

    def _peek(self) -> bytes:
        """Look at what came, and leave it there; only without TLS and websockets."""
        sock = self._paho.socket()
        with contextlib.suppress(OSError):
            return sock.recv(4, socket.MSG_PEEK) if type(sock) is socket.socket else b""
        return b""

    def _write_wanted(self, _paho: Paho, _userdata: Any, sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._watch_for_writing, sock)  # as above

    def _watch_for_writing(self, sock: Any) -> None:
        # Of one that was closed meanwhile asyncio would complain, of one that was reset uvloop.
        if sock.fileno() >= 0 and not self._reset:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._paho.loop_write()
        except (OSError, ValueError) as error:
            self._broken(error, break_off(self._options))

    def _broken(self, error: Exception, reason: ConnectionLostError) -> None:
        """End the connection for a reason, or for a bug of a callback, which is raised again."""
        self.close()
        if self._answered:
            self._tell_ended(mishap(self._options) if error is self._bug else reason)
        else:
            self._end_early()
        if error is self._bug:
            raise error

    @contextlib.contextmanager
    def _calling_back(self) -> Iterator[None]:
        """Tell what a callback raises from what the broker's bytes make paho raise."""
        try:
            yield
        except Exception as error:
            self._bug = error
            raise


def _mask_every_frame(websocket: Any) -> None:
    """Have a pong and a close masked like all else: paho leaves them bare, and servers hang up (RFC 6455, 5.1)."""
    create_frame = websocket._create_frame  # noqa: SLF001 - there is no public way to it
    websocket._create_frame = lambda opcode, data, *_: create_frame(opcode, data)  # noqa: SLF001


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
        transport=options.transport,
        websocket_path=options.path,
        properties=_our_limits() if protocol == "5" else None,
        max_inflight_messages=0,  # no window of paho's own: it cannot follow the broker's Receive Maximum
        logger=_QUIET,
    )


def _our_limits() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's has no types
    properties.MaximumPacketSize = LARGEST_INCOMING_PACKET
    properties.ReceiveMaximum = INCOMING_AT_ONCE
    return properties


def _limits(properties: Properties | None) -> Limits:
    unsaid = Limits()
    return Limits(
        # A broker must not say 0 in these two; one that does would never get anything.
        largest_packet=getattr(properties, "MaximumPacketSize", 0) or unsaid.largest_packet,
        receive_maximum=getattr(properties, "ReceiveMaximum", 0) or unsaid.receive_maximum,
        keepalive=getattr(properties, "ServerKeepAlive", unsaid.keepalive),
        maximum_qos=getattr(properties, "MaximumQoS", unsaid.maximum_qos),
        retains=bool(getattr(properties, "RetainAvailable", unsaid.retains)),
        wildcards=bool(getattr(properties, "WildcardSubscriptionAvailable", unsaid.wildcards)),
    )


def _answer(reason: ReasonCode) -> BrokerResponse:
    return _TAKEN if reason.value == _TAKEN.code else BrokerResponse(reason.value, str(reason).lower())
