"""The one tree of errors that speaking with the broker can end in."""

from __future__ import annotations

from typing import ClassVar


class MqttError(Exception):
    """Something between the bridge and the broker went wrong; the text says what, and what to do about it."""


class ConnectError(MqttError):
    """No connection to the broker came about.

    ``is_refusal`` tells that the broker itself said no, which it will say again until somebody changes something.
    """

    is_refusal: ClassVar[bool] = True


class UnknownHostError(ConnectError):
    """The name of the broker's host cannot be resolved."""

    is_refusal = False


class UnreachableBrokerError(ConnectError):
    """The host answers that nothing listens on the port, or cannot be reached at all."""

    is_refusal = False


class BrokerTimeoutError(ConnectError):
    """The host did not accept the connection in time."""

    is_refusal = False


class TlsError(ConnectError):
    """TLS failed: a certificate, a file of ours, or a port that does not speak it."""

    is_refusal = False


class NotMqttError(ConnectError):
    """What answers on the port speaks something else, such as HTTP."""

    is_refusal = False


class NoWebsocketError(ConnectError):
    """The port, or the path on it, does not take websockets."""

    is_refusal = False


class WrongCredentialsError(ConnectError):
    """The broker does not accept the user name or the password."""


class NotAuthorizedError(ConnectError):
    """The broker does not let this client in. Some brokers, Mosquitto too, say so of a wrong password."""


class ClientIdRejectedError(ConnectError):
    """The broker does not accept the client id."""


class UnsupportedProtocolError(ConnectError):
    """The broker says that it does not speak the version of MQTT."""


class ConnackTimeoutError(ConnectError):
    """The broker's port is open, but the broker closes the connection or stays silent instead of answering."""

    is_refusal = False


class BrokerBusyError(ConnectError):
    """The broker takes no more connections just now."""


class MissingFeatureError(ConnectError):
    """The broker cannot do what is needed: retained messages, or QoS 1."""


class ConnectionLostError(MqttError):
    """A connection that stood broke off.

    ``over_message`` is True where the broker said that a message in flight was the reason, False where it was none,
    and None where nobody knows.
    """

    over_message: bool | None = None


class SessionTakenOverError(ConnectionLostError):
    """Another client connected with the same client id."""

    over_message = False


class BrokerShutdownError(ConnectionLostError):
    """The broker is shutting down, and has said so."""

    over_message = False


class ProtocolViolationError(ConnectionLostError):
    """What came over the connection is no MQTT."""


class KeepaliveTimeoutError(ConnectionLostError):
    """The connection still seems to stand, but nothing at all is heard of the broker."""

    over_message = False


class PubackTimeoutError(ConnectionLostError):
    """The broker answers, but does not acknowledge a message."""


class SubscribeDeniedError(MqttError):
    """The broker does not grant a subscription."""


class SubscribeTimeoutError(MqttError):
    """The broker has not answered a subscription in time; it may still grant it."""


class PublishDeniedError(MqttError):
    """The broker did not take a message, or its topic is none to publish on. Others are not concerned."""


class QuarantinedError(PublishDeniedError):
    """A message is not sent for now: the broker closed the connection each time that it was."""


class PublishDeferredError(MqttError):
    """The broker does not take a message just now; the same one may be taken later. Others are not concerned."""


class MessageTooLargeError(MqttError):
    """A message is larger than the broker takes. Others are not concerned.

    ``is_announced`` tells that the broker gave its limit at the connect, so that it stays until the next one.
    """

    is_announced = False
