"""The errors of the MQTT client, one tree."""

from __future__ import annotations

from typing import ClassVar


class MqttError(Exception):
    """Base class; the message states what went wrong and what to do about it."""


class ConnectError(MqttError):
    """Connecting to the broker failed.

    ``is_rejection`` is True if the broker itself rejected the connection, so that waiting for its port is useless.
    """

    is_rejection: ClassVar[bool] = True


class UnknownHostError(ConnectError):
    """The broker's host name cannot be resolved."""

    is_rejection = False


class UnreachableBrokerError(ConnectError):
    """Nothing listens on the port, or the host cannot be reached."""

    is_rejection = False


class BrokerTimeoutError(ConnectError):
    """The host did not accept the TCP connection in time."""

    is_rejection = False


class TlsError(ConnectError):
    """TLS failed because of a certificate, a local file, or a port that does not support it."""

    is_rejection = False


class NotMqttError(ConnectError):
    """The port speaks another protocol, such as HTTP."""

    is_rejection = False


class NoWebsocketError(ConnectError):
    """The port, or the path on it, does not accept websockets."""

    is_rejection = False


class WrongCredentialsError(ConnectError):
    """The broker rejected the user name or the password."""


class NotAuthorizedError(ConnectError):
    """The broker does not authorize this client. Some brokers, including Mosquitto, report a wrong password so."""


class ClientIdRejectedError(ConnectError):
    """The broker rejected the client ID."""


class UnsupportedProtocolError(ConnectError):
    """The broker does not support this version of MQTT."""


class ConnackTimeoutError(ConnectError):
    """The broker accepted the TCP connection, but closed it or sent nothing instead of a CONNACK."""

    is_rejection = False


class BrokerBusyError(ConnectError):
    """The broker accepts no more connections at the moment."""


class MissingFeatureError(ConnectError):
    """The broker lacks a required feature: retained messages or QoS 1."""


class ConnectionLostError(MqttError):
    """An established connection was lost.

    ``caused_by_message`` is True if the broker reported a message in flight as the reason, False if the reason is
    another one, and None if it is unknown.
    """

    caused_by_message: bool | None = None


class SessionTakenOverError(ConnectionLostError):
    """Another client connected with the same client ID."""

    caused_by_message = False


class BrokerShutdownError(ConnectionLostError):
    """The broker reported that it is shutting down."""

    caused_by_message = False


class ProtocolViolationError(ConnectionLostError):
    """The broker sent data that is not valid MQTT."""


class KeepaliveTimeoutError(ConnectionLostError):
    """The connection is still open, but the broker sent nothing for the keepalive interval."""

    caused_by_message = False


class PubackTimeoutError(ConnectionLostError):
    """The broker responds, but did not acknowledge a message in time."""


class SubscribeDeniedError(MqttError):
    """The broker rejected a subscription."""


class SubscribeTimeoutError(MqttError):
    """The broker did not answer a SUBSCRIBE in time; it may still grant the subscription."""


class PublishDeniedError(MqttError):
    """The broker rejected a message, or its topic is invalid. Other messages are not affected."""


class PoisonMessageError(PublishDeniedError):
    """A message is not sent for now because the broker closed the connection each time that it was."""


class PublishDeferredError(MqttError):
    """The broker rejected a message for now; a retry may succeed. Other messages are not affected."""


class MessageTooLargeError(MqttError):
    """A message exceeds the broker's size limit. Other messages are not affected.

    ``exceeds_announced_limit`` is True if the broker announced the limit in its CONNACK, so that it holds until the
    next connect.
    """

    exceeds_announced_limit = False
