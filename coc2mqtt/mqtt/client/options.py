"""How the broker is reached, and what it is told at the connect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

Protocol = Literal["5", "3.1.1"]
Transport = Literal["tcp", "websockets"]


class RetainedMessage(NamedTuple):
    """A message that the broker keeps for its topic; published with QoS 1."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS to the broker, with files in PEM format.

    Without ``ca_file`` the system's authorities are trusted. ``cert_file`` and ``key_file`` are our own, for brokers
    that ask for one; the key may stand in ``cert_file``. Without ``verify`` any certificate is accepted.
    ``server_name`` is the name that the broker's certificate must hold, and that it is asked for (SNI); else the host.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify: bool = True
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Everything that a connection needs; times are seconds.

    ``protocol`` ``auto`` is 5 and, where the broker does not speak it, 3.1.1. ``timeout`` bounds each step of the
    connect and each answer to a SUBSCRIBE. The broker publishes ``will`` when the connection ends without a goodbye.
    ``keepalive`` is told to the broker, which gives a silent client up after one and a half of it; a silent broker, and
    one that leaves a message unacknowledged, is given up after one. ``path`` is for websockets alone.
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
