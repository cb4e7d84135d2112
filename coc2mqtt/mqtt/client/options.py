"""The options of a connection to the broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

# Commands reject larger payloads. MQTT 3.1.1 cannot announce a limit to the broker.
MAX_PAYLOAD_BYTES = 64 * 1024

Protocol = Literal["5", "3.1.1"]
Transport = Literal["tcp", "websockets"]


class RetainedMessage(NamedTuple):
    """A message that is published with the retain flag and QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS options; all files are in PEM format.

    Without ``ca_file``, the system's certificate authorities are trusted. ``cert_file`` and ``key_file`` are the client
    certificate, for brokers that require one; ``cert_file`` may contain the key. Without ``verify``, any certificate is
    accepted. ``server_name`` is the name that the broker's certificate must contain, also sent as SNI; the default is
    the host.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify: bool = True
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """The options of a connection; times are in seconds.

    ``protocol`` ``auto`` is 5, or 3.1.1 if the broker does not support 5. ``timeout`` limits each step of the connect
    and each wait for a SUBACK. The broker publishes ``will`` if the connection ends without a DISCONNECT. ``keepalive``
    is sent to the broker, which disconnects a silent client after 1.5 times this interval; this client closes the
    connection if the broker is silent, or leaves a message unacknowledged, for one interval. ``path`` is for
    websockets only. An incoming payload above ``max_payload`` bytes is truncated to this size and one byte.
    """

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: SecretStr | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    transport: Transport = "tcp"
    path: str = "/mqtt"
    keepalive: int = 30
    timeout: float = 5.0
    tls: TlsOptions | None = None
    will: RetainedMessage | None = None
    max_payload: int = MAX_PAYLOAD_BYTES
