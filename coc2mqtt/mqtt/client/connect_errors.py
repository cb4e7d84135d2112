"""Why no connection came about: from what the operating system, TLS or the broker says to the error."""

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

NEEDS_RETAIN = "the broker does not keep retained messages, which coc2mqtt needs: allow them on the broker"
NEEDS_QOS_1 = (
    "the broker takes no messages of QoS 1, which coc2mqtt needs so that nothing is lost: allow them on the broker"
)

# OpenSSL's numbers (X509_V_ERR_...).
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = {62, 63, 64}
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_ALERTS_OVER_A_CERTIFICATE = {
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
# What a web server, or a port with TLS, says to who does not speak its protocol.
_HTTP = b"HTTP"
_TLS_ALERT = b"\x15\x03"

# The numbers are reason codes of MQTT 5 (section 2.4); the few of a 3.1.1 CONNACK come in as the same ones.
_REFUSALS: dict[int, tuple[type[ConnectError], str]] = {
    0x84: (UnsupportedProtocolError, "{where} does not speak MQTT {protocol}: set mqtt.protocol to {other} or to auto"),
    0x85: (
        ClientIdRejectedError,
        "{where} does not accept the client id {client_id}: choose another instance name, or allow it there",
    ),
    0x86: (WrongCredentialsError, "{where} does not accept {user}: check mqtt.username and mqtt.password"),
    0x87: (
        NotAuthorizedError,
        "{where} does not let {user} in: check mqtt.username and mqtt.password, and what the broker allows this user",
    ),
    0x88: (BrokerBusyError, "{where} is not available just now: see its log if this stays"),
    0x89: (BrokerBusyError, "{where} is too busy just now: see its load if this stays"),
    0x8A: (NotAuthorizedError, "{where} has banned {user}, or the client id {client_id}: have the ban lifted there"),
    0x90: (ConnectError, "{where} does not accept the topic {will}: choose another mqtt.base_topic, or allow it there"),
    0x95: (
        ConnectError,
        "{where} finds a mere CONNECT too large: raise the broker's limit (Mosquitto: max_packet_size)",
    ),
    0x97: (
        BrokerBusyError,
        "{where} lets no more clients in (quota exceeded): raise its limit for clients, or stop others",
    ),
    0x9A: (MissingFeatureError, NEEDS_RETAIN),
    0x9B: (MissingFeatureError, NEEDS_QOS_1),
    0x9C: (ConnectError, "{where} wants another server to be used for now{server}: set mqtt.host and mqtt.port to it"),
    0x9D: (ConnectError, "{where} has moved{server}: set mqtt.host and mqtt.port to the new server"),
    0x9F: (BrokerBusyError, "{where} gets connections too often: see who else connects, or raise its limit for them"),
}


def connect_failure(options: ConnectionOptions, cause: BaseException | None) -> ConnectError:
    """Return the error of a connect that ended before the broker could answer, from what stopped it."""
    where = name_of(options)
    match cause:
        case TimeoutError():
            return BrokerTimeoutError(
                f"{where} does not answer within {options.timeout:g} s: check that the broker is running, that"
                f" mqtt.host and mqtt.port are right, and that no firewall is in between{_port_hint(options)}"
            )
        case socket.gaierror() | UnicodeError():
            return UnknownHostError(
                f"the host name {options.host!r} cannot be resolved: check mqtt.host, and whether this machine can"
                " resolve names"
            )
        case ssl.SSLCertVerificationError():
            return _certificate_failure(options, cause)
        case ssl.SSLError():
            return _tls_failure(options, cause)
        case ConnectionRefusedError():
            return UnreachableBrokerError(
                f"nothing accepts connections on {where}: check that the broker is running there, and mqtt.host and"
                " mqtt.port"
            )
    return UnreachableBrokerError(
        f"{where} cannot be reached ({_said(cause)}): check mqtt.host, mqtt.port and the network{_port_hint(options)}"
    )


def no_websocket(options: ConnectionOptions) -> NoWebsocketError:
    """Return the error of a connection that did not become a websocket."""
    tls = "" if options.tls else ", and mqtt.tls if that port speaks TLS"
    return NoWebsocketError(
        f"{name_of(options)} opens no websocket at {options.path}: check mqtt.path (often /mqtt or /), and that"
        f" mqtt.port is the broker's port for websockets{tls}; or set mqtt.transport to tcp"
    )


def connect_refusal(
    options: ConnectionOptions, protocol: Protocol, code: int, reason: str, server: str | None = None
) -> ConnectError:
    """Return the error that the reason code of a CONNACK means; ``server`` is its Server Reference."""
    kind, sentence = _REFUSALS.get(code, (ConnectError, "{where} refuses the connection ({reason}): see its log"))
    return kind(
        sentence.format(
            where=name_of(options),
            protocol=protocol,
            other="3.1.1" if protocol == "5" else "5",
            client_id=repr(options.client_id),
            user=_user(options),
            will=repr(options.will.topic if options.will else ""),
            server=f" ({server!r})" if server else "",
            reason=reason.lower(),
        )
    )


def incapacity(*, retains: bool) -> MissingFeatureError:
    """Return the error of a broker that lets us in but cannot do what is needed: retain, or else QoS 1."""
    return MissingFeatureError(NEEDS_QOS_1 if retains else NEEDS_RETAIN)


def is_foreign(said: bytes) -> bool:
    """Tell whether the first bytes that came are neither a CONNACK nor nothing, but another protocol's."""
    return said[:1] not in {b"", _CONNACK}


def early_end(options: ConnectionOptions, foreign: bytes, cause: BaseException | None) -> ConnectError:
    """Return the error of a connection that ended without a CONNACK, from foreign bytes and from what broke."""
    where = name_of(options)
    if foreign.startswith(_HTTP):
        return NotMqttError(
            f"{where} answers in HTTP: set mqtt.transport to websockets if that port is for them, or mqtt.port to the"
            " broker's MQTT port (often 1883)"
        )
    if foreign.startswith(_TLS_ALERT):
        return TlsError(f"{where} speaks TLS: set mqtt.tls.enabled to true, or mqtt.port to a port without it")
    if foreign:
        return NotMqttError(
            f"{where} answers with something that is no MQTT: set mqtt.port to the broker's MQTT port (often 1883)"
        )
    if isinstance(cause, ssl.SSLError):
        return _tls_failure(options, cause)
    if options.tls:
        hint = "check mqtt.tls.cert_file if the broker asks for a certificate, and the broker's log"
    elif options.transport == "websockets":
        hint = "check mqtt.path, that this is a port for MQTT, and the broker's log"
    else:
        hint = (
            "check that mqtt.port is the broker's MQTT port, mqtt.tls if that port speaks TLS, or set mqtt.transport to"
            " websockets if that port is for them"
        )
    return ConnackTimeoutError(f"{where} closed the connection without an answer: {hint}")


def silence(options: ConnectionOptions) -> ConnackTimeoutError:
    """Return the error of a connection on which the broker did not answer the CONNECT in time."""
    return ConnackTimeoutError(
        f"{name_of(options)} accepts the connection but does not answer within {options.timeout:g} s: check that the"
        " broker is well, and that mqtt.port is its MQTT port"
    )


def tls_files_failure(error: OSError) -> TlsError:
    """Return the error of TLS files that cannot be used."""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "unknown format").lower().replace("_", " ")
        return TlsError(
            f"the files of mqtt.tls cannot be used ({reason}): they must be in PEM format, the key without a password"
            " and belonging to the certificate"
        )
    return TlsError(f"a file of mqtt.tls cannot be read ({_said(error)}): check its path and its permissions")


def _certificate_failure(options: ConnectionOptions, cause: ssl.SSLCertVerificationError) -> TlsError:
    remedies = {
        _NOT_YET_VALID: "set the clock of this machine",
        _EXPIRED: "renew it on the broker, or set the clock of this machine",
        **dict.fromkeys(_OTHER_NAME, "set mqtt.host, or else mqtt.tls.server_name, to a name that it holds"),
        **dict.fromkeys(_UNKNOWN_AUTHORITY, "set mqtt.tls.ca_file to the authority that signed it"),
    }
    return TlsError(
        f"the certificate of {name_of(options)} is not accepted ({cause.verify_message.rstrip('.')}):"
        f" {remedies.get(cause.verify_code, 'replace it on the broker')}"
    )


def _tls_failure(options: ConnectionOptions, cause: ssl.SSLError) -> TlsError:
    where = name_of(options)
    # OpenSSL names what the other side complains of such as TLSV13_ALERT_CERTIFICATE_REQUIRED.
    alert = (cause.reason or "").partition("_ALERT_")[2]
    reason = (alert or cause.reason or "broken off").lower().replace("_", " ")
    if alert == "CERTIFICATE_REQUIRED":
        return TlsError(f"{where} asks for a certificate of this client: set mqtt.tls.cert_file and mqtt.tls.key_file")
    if alert in _ALERTS_OVER_A_CERTIFICATE and options.tls and options.tls.cert_file:
        return TlsError(
            f"{where} does not accept the certificate in mqtt.tls.cert_file ({reason}): renew it, or have it signed by"
            " an authority that the broker trusts"
        )
    if alert == "UNRECOGNIZED_NAME":
        return TlsError(f"{where} does not go by that name: set mqtt.host, or else mqtt.tls.server_name, to its name")
    return TlsError(
        f"TLS with {where} failed ({reason}): check that mqtt.port is the broker's TLS port (often 8883), and"
        " mqtt.tls.cert_file if the broker asks for a certificate"
    )


def name_of(options: ConnectionOptions) -> str:
    """Return how a sentence names the broker."""
    return f"the broker at {options.host}:{options.port}"


def _user(options: ConnectionOptions) -> str:
    return "a client without a user name" if options.username is None else f"the user {options.username!r}"


def _port_hint(options: ConnectionOptions) -> str:
    kinds = ["TLS"] * (options.tls is not None) + ["websockets"] * (options.transport == "websockets")
    return f", and that mqtt.port is the broker's port for {' and '.join(kinds)}" if kinds else ""


def _said(cause: BaseException | None) -> str:
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__
