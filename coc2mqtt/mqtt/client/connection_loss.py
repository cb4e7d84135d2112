"""Why a connection that stood is over: from what was seen and what the broker said to the error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.mqtt.client.connect_errors import NEEDS_QOS_1, NEEDS_RETAIN, name_of
from coc2mqtt.mqtt.client.errors import (
    BrokerShutdownError,
    ConnectionLostError,
    KeepaliveTimeoutError,
    ProtocolViolationError,
    PubackTimeoutError,
    SessionTakenOverError,
    SubscribeTimeoutError,
)

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.options import ConnectionOptions

# Reason codes of a DISCONNECT, which only MQTT 5 has (section 3.14.2.1).
_FAREWELLS: dict[int, tuple[type[ConnectionLostError], str]] = {
    0x87: (ConnectionLostError, "{where} does not let this client stay: see what the broker allows it"),
    0x89: (ConnectionLostError, "{where} is too busy and closed the connection: see its load"),
    0x8B: (BrokerShutdownError, "{where} is shutting down: start it again if it does not come back by itself"),
    0x8D: (
        ConnectionLostError,
        "{where} heard nothing from this client for too long: check the network and the load of this machine",
    ),
    0x8E: (
        SessionTakenOverError,
        "another client connected to {where} with the client id {client_id}: stop it, or {rename}",
    ),
    0x95: (ConnectionLostError, "{where} closed the connection over a message that is too large for it: {limit}"),
    0x96: (ConnectionLostError, "{where} closed the connection over too many messages at a time: {limit}"),
    0x97: (ConnectionLostError, "{where} closed the connection over its quota for this client: {limit}"),
    0x98: (ConnectionLostError, "the connection was closed by whoever runs {where}: ask there why"),
    0x9A: (ConnectionLostError, NEEDS_RETAIN),
    0x9B: (ConnectionLostError, NEEDS_QOS_1),
    0x9C: (ConnectionLostError, "{where} wants another server to be used for now{server}: {move}"),
    0x9D: (ConnectionLostError, "{where} has moved{server}: {move}"),
    0x9F: (ConnectionLostError, "{where} gets connections too often: see who else connects, or {limit}"),
    0xA0: (ConnectionLostError, "{where} lets no connection stand for longer: {limit} if that matters"),
}
# These have nothing to do with the messages in flight.
_UNRELATED = {0x00, 0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D, 0x9F, 0xA0}
_PACKET_TOO_LARGE = 0x95


def farewell(options: ConnectionOptions, code: int, reason: str, server: str | None = None) -> ConnectionLostError:
    """Return the error that the reason code of a DISCONNECT means; ``server`` is its Server Reference."""
    unknown = ConnectionLostError, "{where} closed the connection ({reason}): see its log"
    kind, sentence = _FAREWELLS.get(code, unknown)
    error = kind(
        sentence.format(
            where=name_of(options),
            client_id=repr(options.client_id),
            server=f" ({server!r})" if server else "",
            reason=reason,
            rename="give each bridge an instance name of its own",
            limit="raise the broker's limit",
            move="set mqtt.host and mqtt.port",
        )
    )
    if code == _PACKET_TOO_LARGE:
        error.over_message = True
    elif code in _UNRELATED:
        error.over_message = False
    return error


def break_off(options: ConnectionOptions) -> ConnectionLostError:
    """Return the error of a connection that broke off without a word."""
    # Mosquitto 2.0 says nothing at a take-over, and MQTT 3.1.1 has no way to say it.
    return ConnectionLostError(
        f"the connection to {name_of(options)} broke off: check the broker and the network, and that no other client"
        f" uses the client id {options.client_id!r}"
    )


def garble(options: ConnectionOptions) -> ProtocolViolationError:
    """Return the error of a connection over which something else than MQTT came."""
    return ProtocolViolationError(
        f"{name_of(options)} sent something that is no MQTT: see its log, and what is in between, such as a proxy"
    )


def mishap(options: ConnectionOptions) -> ConnectionLostError:
    """Return the error of a connection that was given up because of a bug in this program."""
    error = ConnectionLostError(
        f"the connection to {name_of(options)} was closed because of an internal error: see the log, and report it"
    )
    error.over_message = False
    return error


def standstill(options: ConnectionOptions, seconds: float) -> KeepaliveTimeoutError:
    """Return the error of a connection on which nothing is heard any more."""
    return KeepaliveTimeoutError(
        f"{name_of(options)} has not answered for {seconds:g} s: check that it is well, and the network"
    )


def blockage(options: ConnectionOptions, seconds: float) -> PubackTimeoutError:
    """Return the error of a connection on which a message is not acknowledged, though the broker answers."""
    return PubackTimeoutError(
        f"{name_of(options)} answers, but did not acknowledge a message within {seconds:g} s, so it is sent again over"
        " a new connection: see the broker's log and its load"
    )


def unanswered_subscription(options: ConnectionOptions, topic_filter: str) -> SubscribeTimeoutError:
    """Return the error of a SUBSCRIBE that is not answered."""
    return SubscribeTimeoutError(
        f"{name_of(options)} did not answer a subscription to {topic_filter} within {options.timeout:g} s: see the"
        " broker's log and its load"
    )
