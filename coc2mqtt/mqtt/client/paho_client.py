"""A single connection of aiomqtt. Only this module and `paho_setup` import aiomqtt and paho."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.client import (
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

from coc2mqtt.mqtt.client.connect_errors import (
    closed_before_connack,
    connack_timeout,
    connect_failed,
    connect_rejected,
    is_foreign_protocol,
    missing_feature,
    no_websocket,
)
from coc2mqtt.mqtt.client.connection_loss import (
    connection_lost,
    disconnect_error,
    internal_error,
    protocol_violation,
)
from coc2mqtt.mqtt.client.messages import Message
from coc2mqtt.mqtt.client.paho_setup import BrokerLimits, broker_limits, mask_every_frame, new_client
from coc2mqtt.mqtt.client.reason_codes import (
    FAILURE,
    PROTOCOL_ERROR,
    BrokerResponse,
    invalid_code_name,
    replace_invalid_code,
)
from coc2mqtt.util.tasks import heed_cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paho.mqtt.client import Client as Paho

    from coc2mqtt.mqtt.client.errors import ConnectionLostError
    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol

_SKIP_OWN_AND_RETAINED = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
_SUCCESS = BrokerResponse(0, "success")


class PahoClient:
    """A single connection, which cannot be reused; moves packets without interpreting them.

    ``on_puback`` is called with the packet identifier of each answered message and the response, ``on_message`` with
    each incoming message, ``on_connection_lost`` when an established connection ends, with the reason. An exception
    raised by one of them closes the connection and reaches the event loop. ``last_received_at`` is the event loop's
    time at which data was last received.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        protocol: Protocol,
        context: ssl.SSLContext | None,
        *,
        on_puback: Callable[[int, BrokerResponse], None],
        on_message: Callable[[Message], None],
        on_connection_lost: Callable[[ConnectionLostError], None],
    ) -> None:
        self._options = options
        self._protocol = protocol
        self._on_puback = on_puback
        self._on_message = on_message
        self._on_connection_lost = on_connection_lost
        self._loop = asyncio.get_running_loop()
        self._client = new_client(options, protocol, context)
        # aiomqtt drops the PUBACK's reason code, hides the limits in the CONNACK, queues any number of incoming
        # messages, and waits for its full timeout if the broker closes the connection before a CONNACK. It also adds a
        # socket to the event loop without checking that it is still open. So paho's callbacks are replaced.
        self._paho: Paho = self._client._client  # noqa: SLF001 - paho has no public access
        self._aiomqtt_on_connect: Any = self._paho.on_connect
        self._paho.on_connect = self._paho_on_connect
        self._paho.on_disconnect = self._paho_on_disconnect
        self._paho.on_message = self._paho_on_message
        self._paho.on_publish = self._paho_on_publish
        self._paho.on_socket_open = self._paho_on_socket_open
        self._paho.on_socket_register_write = self._paho_on_socket_register_write
        self._paho.on_log = self._paho_on_log
        # paho raises for a reason code that is not valid in its packet; that must not end the connection.
        self._handle_packet: Callable[[], Any] = self._paho._packet_handle  # noqa: SLF001 - paho has no public access
        setattr(self._paho, "_packet_handle", self._handle_with_any_code)  # noqa: B010 - a method, to mypy
        self._paho.connect_timeout = options.timeout
        self.last_received_at = self._loop.time()
        self._limits = BrokerLimits()
        self._server_reference: str | None = None
        self._foreign_bytes = b""
        self._cause: BaseException | None = None
        self._callback_error: Exception | None = None
        self._has_opened = self._has_connack = self._closed_early = self._is_closed = self._read_scheduled = False
        self._has_socket_error = False
        self._invalid_code: int | None = None

    async def connect(self) -> BrokerLimits:
        """Connect and return the broker's limits; raises ConnectError."""
        try:
            await heed_cancellation(self._client.__aenter__())
        except aiomqtt.MqttCodeError as error:
            if self._closed_early:
                raise closed_before_connack(self._options, self._foreign_bytes, self._cause) from None
            code = error.rc.value if isinstance(error.rc, ReasonCode) else FAILURE
            raise connect_rejected(self._options, self._protocol, code, str(error.rc), self._server_reference) from None
        except (aiomqtt.MqttError, UnicodeError, IndexError) as error:
            # aiomqtt's error has only the text of the original error, which is its context.
            cause = error.__context__ if isinstance(error, aiomqtt.MqttError) else error
            if self._has_opened and isinstance(cause, TimeoutError):
                raise connack_timeout(self._options) from None
            # paho raises the latter two for unexpected headers.
            if isinstance(cause, WebsocketConnectionError | UnicodeDecodeError | IndexError):
                raise no_websocket(self._options) from None
            raise connect_failed(self._options, cause) from None
        if not self._limits.retain_available or not self._limits.max_qos:
            raise missing_feature(retain_available=self._limits.retain_available)
        return self._limits

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, correlation_data: bytes | None
    ) -> int | None:
        """Send a message and return its packet identifier, or None if the connection is closed."""
        properties = None
        if correlation_data is not None and self._protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's has no types
            properties.CorrelationData = correlation_data
        # Not aiomqtt's publish, which drops the reason code of the PUBACK.
        info = self._paho.publish(topic, payload, qos, retain, properties)
        return info.mid if info.rc == MQTT_ERR_SUCCESS else None

    async def subscribe(
        self, topic_filter: str, qos: int, *, skip_own_and_retained: bool = False
    ) -> BrokerResponse | None:
        """Subscribe and return the broker's response, or None after a timeout or if the connection is closed.

        With ``skip_own_and_retained`` and MQTT 5, the broker sends neither retained messages nor messages published by
        this client.
        """
        options = _SKIP_OWN_AND_RETAINED if skip_own_and_retained and self._protocol == "5" else None
        try:
            reasons = await heed_cancellation(self._client.subscribe(topic_filter, 0 if options else qos, options))
        except aiomqtt.MqttError:
            return None
        return max((_response(reason) for reason in reasons if isinstance(reason, ReasonCode)), default=None)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe and return after the UNSUBACK, or after the timeout."""
        with contextlib.suppress(aiomqtt.MqttError):
            await heed_cancellation(self._client.unsubscribe(topic_filter))

    def ping(self) -> None:
        """Send a PINGREQ."""
        # Not paho's loop_misc: it notices a dead broker only after twice the keepalive, and treats a broker whose
        # PINGRESP is queued behind other messages as dead.
        self._paho._send_pingreq()  # noqa: SLF001 - paho has no public access

    def disconnect(self) -> None:
        """Send a DISCONNECT; ``on_connection_lost`` is called once it is sent."""
        self._paho.disconnect()

    def close(self) -> None:
        """Close the connection in any state, without a DISCONNECT."""
        self._is_closed = True
        # paho documents that this closes an established connection. Closing the socket directly would not remove it
        # from the event loop. aiomqtt leaves the socket open if a connect fails.
        self._paho.connect_async(self._options.host, self._options.port)

    def _paho_on_connect(
        self, paho: Paho, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._has_connack:
            # Raised out of `_read`: paho's locks do not let a callback close the connection.
            raise ValueError("a second CONNACK")
        self._has_connack = True
        paho.on_log = None
        self._limits = broker_limits(properties)
        self._server_reference = getattr(properties, "ServerReference", None)
        self._aiomqtt_on_connect(paho, userdata, flags, reason, properties)

    def _paho_on_disconnect(
        self, _paho: Paho, _userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._has_connack:
            with self._recording_callback_error():
                self._on_connection_lost(self._loss(flags, reason, properties))
        else:
            self._close_early()

    def _close_early(self) -> None:
        """Make aiomqtt's connect fail at once."""
        self._closed_early = True
        reason = ReasonCode(PacketTypes.CONNACK, "Unspecified error")
        self._aiomqtt_on_connect(self._paho, None, ConnectFlags(session_present=False), reason, None)

    def _paho_on_log(self, _paho: Paho, _userdata: Any, level: int, _text: str) -> None:
        # paho only logs why the connection ended before a CONNACK, while it handles the exception.
        if level == MQTT_LOG_ERR:
            self._cause = self._tls_alert() or sys.exception()

    def _tls_alert(self) -> Exception | None:
        """Return the broker's TLS alert if a failed write noticed the end of the connection, before it was read."""
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
            response = self._with_original_code(BrokerResponse(reason.value, str(reason).lower()))
            return disconnect_error(self._options, *response, getattr(properties, "ServerReference", None))
        if reason.value == PROTOCOL_ERROR:
            return protocol_violation(self._options)
        return connection_lost(self._options)

    def _paho_on_message(self, _paho: Paho, _userdata: Any, paho_message: MQTTMessage) -> None:
        properties = paho_message.properties
        message = Message(
            paho_message.topic,
            bytes(paho_message.payload[: self._options.max_payload + 1]),
            retain=bool(paho_message.retain),
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation_data=getattr(properties, "CorrelationData", None),
        )
        with self._recording_callback_error():
            self._on_message(message)

    def _handle_with_any_code(self) -> Any:
        if self._protocol == "5":
            packet = self._paho._in_packet  # noqa: SLF001 - paho has no public access
            self._invalid_code = replace_invalid_code(packet["command"] >> 4, packet["packet"])
        return self._handle_packet()

    def _paho_on_publish(
        self, _paho: Paho, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        with self._recording_callback_error():
            self._on_puback(mid, self._with_original_code(_response(reason)))

    def _with_original_code(self, response: BrokerResponse) -> BrokerResponse:
        code = self._invalid_code
        return response if code is None else BrokerResponse(code, invalid_code_name(code))

    def _paho_on_socket_open(self, _paho: Paho, _userdata: Any, sock: Any) -> None:
        # paho connects in a thread, which continues after the connect was cancelled: such a connection would stay open
        # besides the next one and take over its client ID.
        if self._is_closed:
            sock.close()
            raise ConnectionAbortedError
        self._has_opened = True
        if self._options.transport == "websockets":
            mask_every_frame(sock)
        # Replaces aiomqtt's callback, which adds the socket an iteration of the loop later without checking that it is
        # still open, and leaves the keepalive to paho. Called from paho's thread during the connect, where the event
        # loop must not be used.
        self._loop.call_soon_threadsafe(self._add_reader, sock)

    def _add_reader(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._read)

    def _read(self) -> None:
        self.last_received_at = self._loop.time()
        if not self._has_connack and is_foreign_protocol(first_bytes := self._peek()):
            self._foreign_bytes = first_bytes
            self._close_early()
            return
        try:
            self._paho.loop_read()
        except Exception as error:  # noqa: BLE001 - whatever invalid data makes paho raise, the connection is unusable
            self._fail(error, protocol_violation(self._options))
        # In a later iteration of the loop, so that a flood does not starve other tasks.
        if not self._read_scheduled and self._has_unsignalled_data():
            self._read_scheduled = True
            self._loop.call_soon(self._read_again)

    def _read_again(self) -> None:
        self._read_scheduled = False
        self._read()

    def _has_unsignalled_data(self) -> bool:
        """Return whether there is data left to read for which the event loop will not call ``_read`` again."""
        sock: Any = self._paho.socket()
        if sock is None:
            return False
        # uvloop signals a socket error once, together with the data before it, and then no longer watches the socket.
        raw = getattr(sock, "_socket", sock)  # below paho's websocket
        self._has_socket_error = self._has_socket_error or raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
        # Over TLS, data may have been decrypted but not read yet; the socket does not signal it.
        return self._has_socket_error or getattr(sock, "pending", int)() > 0

    def _peek(self) -> bytes:
        """Return the first received bytes without consuming them; empty with TLS or websockets."""
        sock = self._paho.socket()
        with contextlib.suppress(OSError):
            return sock.recv(4, socket.MSG_PEEK) if type(sock) is socket.socket else b""
        return b""

    def _paho_on_socket_register_write(self, _paho: Paho, _userdata: Any, sock: Any) -> None:
        self._loop.call_soon_threadsafe(self._add_writer, sock)  # as above

    def _add_writer(self, sock: Any) -> None:
        # asyncio would raise for a socket that was closed meanwhile, uvloop for one that was reset.
        if sock.fileno() >= 0 and not self._has_socket_error:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._paho.loop_write()
        except (OSError, ValueError) as error:
            self._fail(error, connection_lost(self._options))

    def _fail(self, error: Exception, reason: ConnectionLostError) -> None:
        """Close the connection for a reason, or because of a bug in a callback, whose exception is raised again."""
        self.close()
        if self._has_connack:
            self._on_connection_lost(internal_error(self._options) if error is self._callback_error else reason)
        else:
            self._close_early()
        if error is self._callback_error:
            raise error

    @contextlib.contextmanager
    def _recording_callback_error(self) -> Iterator[None]:
        """Distinguish an exception of a callback from those that invalid data makes paho raise."""
        try:
            yield
        except Exception as error:
            self._callback_error = error
            raise


def _response(reason: ReasonCode) -> BrokerResponse:
    return _SUCCESS if reason.value == _SUCCESS.code else BrokerResponse(reason.value, str(reason).lower())
