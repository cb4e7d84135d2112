"""From what the operating system, TLS or the broker says to the typed error and its sentence."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from coc2mqtt.mqtt.errors import (
    BrokerSilentError,
    BrokerTimeoutError,
    ClientIdRejectedError,
    ConnectError,
    ConnectionLostError,
    MissingAcknowledgementError,
    NotAuthorizedError,
    SessionTakenOverError,
    SilentBrokerError,
    TlsError,
    UnknownHostError,
    UnreachableBrokerError,
    UnsupportedProtocolError,
    WrongCredentialsError,
)

if TYPE_CHECKING:
    from coc2mqtt.mqtt.options import ConnectionOptions, Protocol

# The numbers below are reason codes of MQTT 5 (section 2.4); the few of a 3.1.1 CONNACK come in as the same ones.
_NEEDS_RETAIN = "the broker does not keep retained messages, which coc2mqtt needs: allow them on the broker"


def connect_failure(options: ConnectionOptions, cause: BaseException | None) -> ConnectError:
    """Return the error of a connect that ended before the broker could answer, from what stopped it."""
    where = _where(options)
    match cause:
        case TimeoutError():
            return BrokerTimeoutError(
                f"{where} does not answer within {options.timeout:g} s: check that the broker is running, that"
                f" mqtt.host and mqtt.port are right, and that no firewall is in between{_tls_hint(options)}"
            )
        case socket.gaierror() | UnicodeError():
            return UnknownHostError(
                f"the host name {options.host!r} cannot be resolved: check mqtt.host, and whether this machine can"
                " resolve names"
            )
        case ssl.SSLCertVerificationError():
            return TlsError(
                f"the certificate of {where} is not accepted ({cause.verify_message.rstrip('.')}): set mqtt.tls.ca_file"
                " to the authority that signed it, and mqtt.host to a name that the certificate holds"
            )
        case ssl.SSLError():
            reason = (cause.reason or "broken off").lower().replace("_", " ")
            return TlsError(
                f"TLS with {where} failed ({reason}): check that mqtt.port is the broker's TLS port (often 8883), and"
                " mqtt.tls.cert_file if the broker asks for a certificate"
            )
        case ConnectionRefusedError():
            return UnreachableBrokerError(
                f"nothing accepts connections on {where}: check that the broker is running there, and mqtt.host and"
                " mqtt.port"
            )
    return UnreachableBrokerError(
        f"{where} cannot be reached ({_said(cause)}): check mqtt.host, mqtt.port and the network{_tls_hint(options)}"
    )


def connect_refusal(options: ConnectionOptions, protocol: Protocol, code: int, reason: str) -> ConnectError:
    """Return the error that the reason code of a CONNACK means."""
    where = _where(options)
    match code:
        case 0x84:
            return UnsupportedProtocolError(
                f"{where} does not speak MQTT {protocol}: set mqtt.protocol to {'3.1.1' if protocol == '5' else '5'}"
                " or to auto"
            )
        case 0x85:
            return ClientIdRejectedError(
                f"{where} does not accept the client id {options.client_id!r}: choose another instance name, or allow"
                " this client id on the broker"
            )
        case 0x86:
            return WrongCredentialsError(
                f"{where} does not accept {_user(options)}: check mqtt.username and mqtt.password"
            )
        case 0x87:
            return NotAuthorizedError(
                f"{where} does not let {_user(options)} in: check mqtt.username and mqtt.password, and what the broker"
                " allows this user"
            )
        case 0x9A:
            return ConnectError(_NEEDS_RETAIN)
    return ConnectError(f"{where} refuses the connection ({reason.lower()}): see the broker's log")


def silent_close(options: ConnectionOptions) -> SilentBrokerError:
    """Return the error of a connection that the broker closed instead of answering the CONNECT."""
    hint = (
        "check mqtt.tls.cert_file if the broker asks for a certificate, and the broker's log"
        if options.tls
        else "check that mqtt.port is the broker's MQTT port, and mqtt.tls if that port speaks TLS"
    )
    return SilentBrokerError(f"{_where(options)} closed the connection without an answer: {hint}")


def silence(options: ConnectionOptions) -> SilentBrokerError:
    """Return the error of a connection on which the broker did not answer the CONNECT in time."""
    return SilentBrokerError(
        f"{_where(options)} accepts the connection but does not answer within {options.timeout:g} s: check that the"
        " broker is well, and that mqtt.port is its MQTT port"
    )


def loss(options: ConnectionOptions, code: int | None) -> ConnectionLostError:
    """Return the error of a connection that broke off, from the reason code of a DISCONNECT (None: there was none)."""
    where = _where(options)
    match code:
        case 0x8E:
            return SessionTakenOverError(
                f"another client connected to {where} with the client id {options.client_id!r}: stop it, or give each"
                " bridge an instance name of its own"
            )
        case 0x8B:
            return ConnectionLostError(f"{where} is shutting down")
        case 0x8D:
            return ConnectionLostError(
                f"{where} heard nothing from this client for too long: check the network, and whether this machine is"
                " overloaded"
            )
        case 0x95:
            return ConnectionLostError(
                f"{where} closed the connection over a message that is too large for it: raise the broker's limit"
            )
        case 0x9A:
            return ConnectionLostError(_NEEDS_RETAIN)
    # Mosquitto 2.0 says nothing at a take-over, and MQTT 3.1.1 has no way to say it.
    return ConnectionLostError(
        f"the connection to {where} broke off: check the broker and the network, and that no other client uses the"
        f" client id {options.client_id!r}"
    )


def standstill(options: ConnectionOptions, seconds: float) -> BrokerSilentError:
    """Return the error of a connection on which nothing is heard any more."""
    return BrokerSilentError(
        f"{_where(options)} has not answered for {seconds:g} s: check that it is well, and the network"
    )


def blockage(options: ConnectionOptions, seconds: float) -> MissingAcknowledgementError:
    """Return the error of a connection on which a message is not acknowledged, though the broker answers."""
    return MissingAcknowledgementError(
        f"{_where(options)} answers, but did not acknowledge a message within {seconds:g} s, so it is sent again over a"
        " new connection: see the broker's log and its load"
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


def _where(options: ConnectionOptions) -> str:
    return f"the broker at {options.host}:{options.port}"


def _user(options: ConnectionOptions) -> str:
    return "a client without a user name" if options.username is None else f"the user {options.username!r}"


def _tls_hint(options: ConnectionOptions) -> str:
    return ", and that mqtt.port is the broker's TLS port" if options.tls else ""


def _said(cause: BaseException | None) -> str:
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__
