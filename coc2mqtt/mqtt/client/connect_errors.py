"""The errors of failed connects, from what the operating system, TLS or the broker reported."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from coc2mqtt.mqtt.client.errors import (
    BrokerBusyError,
    BrokerTimeoutError,
    ClientIdRejectedError,
    ConnackTimeoutError,
    ConnectError,
    MissingFeatureError,
    NotAuthorizedError,
    NotMqttError,
    NoWebsocketError,
    TlsError,
    UnknownHostError,
    UnreachableBrokerError,
    UnsupportedProtocolError,
    WrongCredentialsError,
)

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol

NEEDS_RETAIN = "the broker does not support retained messages, which coc2mqtt needs: enable them on the broker"
NEEDS_QOS_1 = "the broker does not support QoS 1, which coc2mqtt needs to lose no messages: enable it on the broker"

# OpenSSL's numbers (X509_V_ERR_...).
_NOT_YET_VALID, _EXPIRED = 9, 10
_NAME_MISMATCH = {62, 63, 64}
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_CERTIFICATE_ALERTS = {
    "UNKNOWN_CA",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "ACCESS_DENIED",
    "DECRYPT_ERROR",
}
_CONNACK = b"\x20"
# The first bytes of the response of a web server, or of a TLS port, to a CONNECT.
_HTTP = b"HTTP"
_TLS_ALERT = b"\x15\x03"

# The keys are reason codes of MQTT 5 (section 2.4); paho converts the few of a 3.1.1 CONNACK to them.
_REJECTIONS: dict[int, tuple[type[ConnectError], str]] = {
    0x84: (UnsupportedProtocolError, "{where} does not support MQTT {protocol}: set mqtt.protocol to {other} or auto"),
    0x85: (
        ClientIdRejectedError,
        "{where} rejected the client ID {client_id}: choose another instance name, or allow it on the broker",
    ),
    0x86: (WrongCredentialsError, "{where} rejected {user}: check mqtt.username and mqtt.password"),
    0x87: (
        NotAuthorizedError,
        "{where} did not authorize {user}: check mqtt.username and mqtt.password, and the permissions on the broker",
    ),
    0x88: (BrokerBusyError, "{where} is unavailable: check its log if this persists"),
    0x89: (BrokerBusyError, "{where} is too busy: check its load if this persists"),
    0x8A: (NotAuthorizedError, "{where} has banned {user} or the client ID {client_id}: lift the ban on the broker"),
    0x90: (
        ConnectError,
        "{where} rejected the topic of the will, {will}: choose another mqtt.base_topic, or allow it on the broker",
    ),
    0x95: (
        ConnectError,
        "{where} rejected the CONNECT packet as too large: raise the broker's limit (Mosquitto: max_packet_size)",
    ),
    0x97: (
        BrokerBusyError,
        "{where} accepts no more clients (quota exceeded): raise its client limit, or stop other clients",
    ),
    0x9A: (MissingFeatureError, NEEDS_RETAIN),
    0x9B: (MissingFeatureError, NEEDS_QOS_1),
    0x9C: (
        ConnectError,
        "{where} asks clients to use another server temporarily{server}: set mqtt.host and mqtt.port to that server",
    ),
    0x9D: (ConnectError, "{where} has moved{server}: set mqtt.host and mqtt.port to the new server"),
    0x9F: (
        BrokerBusyError,
        "{where} receives too many connections: check which clients keep reconnecting, or raise its limit",
    ),
}


def connect_failed(options: ConnectionOptions, cause: BaseException | None) -> ConnectError:
    """Return the error of a connect that failed with ``cause`` before the broker could respond."""
    where = broker_name(options)
    match cause:
        case TimeoutError():
            return BrokerTimeoutError(
                f"{where} did not respond within {options.timeout:g} s: check that the broker is running, that"
                f" mqtt.host and mqtt.port are correct, and that no firewall blocks the connection{_port_hint(options)}"
            )
        case socket.gaierror() | UnicodeError():
            return UnknownHostError(
                f"cannot resolve the host name {options.host!r}: check mqtt.host, and this machine's name resolution"
            )
        case ssl.SSLCertVerificationError():
            return _invalid_certificate(options, cause)
        case ssl.SSLError():
            return _tls_failed(options, cause)
        case ConnectionRefusedError():
            return UnreachableBrokerError(
                f"nothing is listening at {options.host}:{options.port}: check that the broker is running there, and"
                " check mqtt.host and mqtt.port"
            )
    return UnreachableBrokerError(
        f"cannot reach {where} ({_reason(cause)}): check mqtt.host, mqtt.port and the network{_port_hint(options)}"
    )


def no_websocket(options: ConnectionOptions) -> NoWebsocketError:
    """Return the error of a connection that was not upgraded to a websocket."""
    tls = "" if options.tls else ", and mqtt.tls if that port requires TLS"
    return NoWebsocketError(
        f"{broker_name(options)} did not open a websocket at {options.path}: check mqtt.path (often /mqtt or /), and"
        f" that mqtt.port is the broker's websocket port{tls}; or set mqtt.transport to tcp"
    )


def connect_rejected(
    options: ConnectionOptions, protocol: Protocol, code: int, reason: str, server: str | None = None
) -> ConnectError:
    """Return the error for the reason code of a CONNACK; ``server`` is its Server Reference."""
    kind, template = _REJECTIONS.get(code, (ConnectError, "{where} rejected the connection ({reason}): check its log"))
    return kind(
        template.format(
            where=broker_name(options),
            protocol=protocol,
            other="3.1.1" if protocol == "5" else "5",
            client_id=repr(options.client_id),
            user=_user(options),
            will=repr(options.will.topic if options.will else ""),
            server=f" ({server!r})" if server else "",
            reason=reason.lower(),
        )
    )


def missing_feature(*, retain_available: bool) -> MissingFeatureError:
    """Return the error of a broker that accepts the connection but lacks retained messages, or else QoS 1."""
    return MissingFeatureError(NEEDS_QOS_1 if retain_available else NEEDS_RETAIN)


def is_foreign_protocol(first_bytes: bytes) -> bool:
    """Return whether the first bytes of a response belong to another protocol; empty is not foreign."""
    return first_bytes[:1] not in {b"", _CONNACK}


def closed_before_connack(
    options: ConnectionOptions, foreign_bytes: bytes, cause: BaseException | None
) -> ConnectError:
    """Return the error of a connection that ended without a CONNACK.

    ``foreign_bytes`` are the first bytes of a response in another protocol, ``cause`` is the exception that ended it.
    """
    where = broker_name(options)
    if foreign_bytes.startswith(_HTTP):
        return NotMqttError(
            f"{where} responds in HTTP: set mqtt.transport to websockets if it is a websocket port, or mqtt.port to the"
            " broker's MQTT port (often 1883)"
        )
    if foreign_bytes.startswith(_TLS_ALERT):
        return TlsError(f"{where} requires TLS: set mqtt.tls.enabled to true, or mqtt.port to a port without TLS")
    if foreign_bytes:
        return NotMqttError(f"{where} does not speak MQTT: set mqtt.port to the broker's MQTT port (often 1883)")
    if isinstance(cause, ssl.SSLError):
        return _tls_failed(options, cause)
    if options.tls:
        hint = "check mqtt.tls.cert_file if the broker requires a client certificate, and check the broker's log"
    elif options.transport == "websockets":
        hint = "check mqtt.path, that mqtt.port is an MQTT port, and the broker's log"
    else:
        hint = (
            "check that mqtt.port is the broker's MQTT port, check mqtt.tls if that port requires TLS, or set"
            " mqtt.transport to websockets if it is a websocket port"
        )
    return ConnackTimeoutError(f"{where} closed the connection without responding: {hint}")


def connack_timeout(options: ConnectionOptions) -> ConnackTimeoutError:
    """Return the error of a connection on which the broker did not answer the CONNECT in time."""
    return ConnackTimeoutError(
        f"{broker_name(options)} accepted the connection but did not respond within {options.timeout:g} s: check that"
        " the broker is healthy, and that mqtt.port is its MQTT port"
    )


def invalid_tls_files(error: OSError) -> TlsError:
    """Return the error of TLS files that cannot be read or are invalid."""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "unknown format").lower().replace("_", " ")
        return TlsError(
            f"cannot use the files of mqtt.tls ({reason}): they must be in PEM format, and the key must have no"
            " password and belong to the certificate"
        )
    return TlsError(f"cannot read a file of mqtt.tls ({_reason(error)}): check its path and its permissions")


def _invalid_certificate(options: ConnectionOptions, cause: ssl.SSLCertVerificationError) -> TlsError:
    remedies = {
        _NOT_YET_VALID: "set the clock of this machine",
        _EXPIRED: "renew it on the broker, or set the clock of this machine",
        **dict.fromkeys(_NAME_MISMATCH, "set mqtt.host or mqtt.tls.server_name to a name in the certificate"),
        **dict.fromkeys(_UNKNOWN_AUTHORITY, "set mqtt.tls.ca_file to the authority that signed it"),
    }
    return TlsError(
        f"the certificate of {broker_name(options)} is not trusted ({cause.verify_message.rstrip('.')}):"
        f" {remedies.get(cause.verify_code, 'replace it on the broker')}"
    )


def _tls_failed(options: ConnectionOptions, cause: ssl.SSLError) -> TlsError:
    where = broker_name(options)
    # OpenSSL's names of the peer's alerts, such as TLSV13_ALERT_CERTIFICATE_REQUIRED.
    alert = (cause.reason or "").partition("_ALERT_")[2]
    reason = (alert or cause.reason or "connection closed").lower().replace("_", " ")
    if alert == "CERTIFICATE_REQUIRED":
        return TlsError(f"{where} requires a client certificate: set mqtt.tls.cert_file and mqtt.tls.key_file")
    if alert in _CERTIFICATE_ALERTS and options.tls and options.tls.cert_file:
        return TlsError(
            f"{where} rejected the certificate in mqtt.tls.cert_file ({reason}): renew it, or have it signed by an"
            " authority that the broker trusts"
        )
    if alert == "UNRECOGNIZED_NAME":
        return TlsError(f"{where} does not recognize this name: set mqtt.host or mqtt.tls.server_name to its name")
    return TlsError(
        f"TLS with {where} failed ({reason}): check that mqtt.port is the broker's TLS port (often 8883), and check"
        " mqtt.tls.cert_file if the broker requires a client certificate"
    )


def broker_name(options: ConnectionOptions) -> str:
    """Return the broker's name in an error message."""
    return f"the broker at {options.host}:{options.port}"


def _user(options: ConnectionOptions) -> str:
    return "a client without a user name" if options.username is None else f"the user {options.username!r}"


def _port_hint(options: ConnectionOptions) -> str:
    kinds = ["TLS"] * (options.tls is not None) + ["websockets"] * (options.transport == "websockets")
    return f", and that mqtt.port is the broker's port for {' and '.join(kinds)}" if kinds else ""


def _reason(cause: BaseException | None) -> str:
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__
