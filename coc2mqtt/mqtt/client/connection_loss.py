"""The errors of lost connections, from what was observed and what the broker reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.mqtt.client.connect_errors import NEEDS_QOS_1, NEEDS_RETAIN, broker_name
from coc2mqtt.mqtt.client.errors import (
    BrokerShutdownError,
    ConnectionLostError,
    KeepaliveTimeoutError,
    ProtocolViolationError,
    PubackTimeoutError,
    SessionTakenOverError,
    SubscribeTimeoutError,
)
from coc2mqtt.mqtt.client.reason_codes import PACKET_TOO_LARGE

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.options import ConnectionOptions

# Reason codes of a DISCONNECT, which only an MQTT 5 broker sends (section 3.14.2.1).
_DISCONNECTS: dict[int, tuple[type[ConnectionLostError], str]] = {
    0x87: (ConnectionLostError, "{where} no longer authorizes this client: check its permissions on the broker"),
    0x89: (ConnectionLostError, "{where} is too busy and closed the connection: check its load"),
    0x8B: (BrokerShutdownError, "{where} is shutting down: start it again if it does not restart by itself"),
    0x8D: (
        ConnectionLostError,
        "{where} received nothing from this client for too long: check the network and the load of this machine",
    ),
    0x8E: (
        SessionTakenOverError,
        "another client connected to {where} with the client ID {client_id}: stop it, or {rename}",
    ),
    0x95: (ConnectionLostError, "{where} closed the connection over a message that is too large: {limit}"),
    0x96: (ConnectionLostError, "{where} closed the connection because the message rate is too high: {limit}"),
    0x97: (ConnectionLostError, "{where} closed the connection because this client exceeded its quota: {limit}"),
    0x98: (ConnectionLostError, "an administrator of {where} closed the connection: ask for the reason"),
    0x9A: (ConnectionLostError, NEEDS_RETAIN),
    0x9B: (ConnectionLostError, NEEDS_QOS_1),
    0x9C: (ConnectionLostError, "{where} asks clients to use another server temporarily{server}: {move}"),
    0x9D: (ConnectionLostError, "{where} has moved{server}: {move}"),
    0x9F: (
        ConnectionLostError,
        "{where} receives too many connections: check which clients keep reconnecting, or {limit}",
    ),
    0xA0: (ConnectionLostError, "{where} limits the duration of connections: {limit} if that is a problem"),
}
# These have nothing to do with the messages in flight.
_UNRELATED_TO_MESSAGES = {0x00, 0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D, 0x9F, 0xA0}


def disconnect_error(
    options: ConnectionOptions, code: int, reason: str, server: str | None = None
) -> ConnectionLostError:
    """Return the error for the reason code of a DISCONNECT; ``server`` is its Server Reference."""
    default = ConnectionLostError, "{where} closed the connection ({reason}): check its log"
    kind, template = _DISCONNECTS.get(code, default)
    error = kind(
        template.format(
            where=broker_name(options),
            client_id=repr(options.client_id),
            server=f" ({server!r})" if server else "",
            reason=reason,
            rename="give each bridge its own instance name",
            limit="raise the broker's limit",
            move="set mqtt.host and mqtt.port",
        )
    )
    if code == PACKET_TOO_LARGE:
        error.caused_by_message = True
    elif code in _UNRELATED_TO_MESSAGES:
        error.caused_by_message = False
    return error


def connection_lost(options: ConnectionOptions) -> ConnectionLostError:
    """Return the error of a connection that was closed without a reason."""
    # Mosquitto 2.0 reports no reason for a takeover, and MQTT 3.1.1 cannot.
    return ConnectionLostError(
        f"the connection to {broker_name(options)} was lost: check the broker and the network, and that no other client"
        f" uses the client ID {options.client_id!r}"
    )


def protocol_violation(options: ConnectionOptions) -> ProtocolViolationError:
    """Return the error of a connection on which invalid MQTT was received."""
    return ProtocolViolationError(
        f"{broker_name(options)} sent invalid MQTT: check its log, and anything in between such as a proxy"
    )


def internal_error(options: ConnectionOptions) -> ConnectionLostError:
    """Return the error of a connection that was closed because of a bug in this program."""
    error = ConnectionLostError(
        f"the connection to {broker_name(options)} was closed because of an internal error: check the log, and report"
        " the error"
    )
    error.caused_by_message = False
    return error


def keepalive_timeout(options: ConnectionOptions, seconds: float) -> KeepaliveTimeoutError:
    """Return the error of a connection on which nothing was received for ``seconds``."""
    return KeepaliveTimeoutError(
        f"{broker_name(options)} has not responded for {seconds:g} s: check that it is healthy, and check the network"
    )


def puback_timeout(options: ConnectionOptions, seconds: float) -> PubackTimeoutError:
    """Return the error of a broker that responds, but did not acknowledge a message for ``seconds``."""
    return PubackTimeoutError(
        f"{broker_name(options)} responds, but did not acknowledge a message within {seconds:g} s, so it is sent again"
        " over a new connection: check the broker's log and its load"
    )


def suback_timeout(options: ConnectionOptions, topic_filter: str) -> SubscribeTimeoutError:
    """Return the error of a SUBSCRIBE that was not acknowledged in time."""
    return SubscribeTimeoutError(
        f"{broker_name(options)} did not acknowledge the subscription to {topic_filter} within {options.timeout:g} s:"
        " check the broker's log and its load"
    )
