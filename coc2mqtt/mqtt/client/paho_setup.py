"""Building aiomqtt's client and its TLS context, and reading the limits of a CONNACK."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from coc2mqtt.mqtt.client.connect_errors import invalid_tls_files

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, TlsOptions

# aiomqtt and paho log a line for each message, and tracebacks for a lost connection.
_SILENT = logging.getLogger(f"{__name__}.silent")
_SILENT.setLevel(logging.CRITICAL + 1)

# Announced to an MQTT 5 broker in the CONNECT. Requests are small; larger packets are not delivered to this client.
_MAX_INCOMING_PACKET_BYTES = 256 * 1024
_MAX_INCOMING_INFLIGHT = 200

_VERSIONS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Return an SSL context; reads the files, which blocks. Raises TlsError."""
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file is not None:
            # An empty password, so that an encrypted key does not prompt for one on a service's terminal.
            context.load_cert_chain(options.cert_file, options.key_file, password="")
    except OSError as error:
        raise invalid_tls_files(error) from None
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.server_name is not None:
        _set_server_name(context, options.server_name)
    return context


def _set_server_name(context: ssl.SSLContext, server_name: str) -> None:
    """Request and verify this server name instead of the host, which is the only name that paho passes."""
    wrap_socket = context.wrap_socket

    def wrap(*arguments: Any, **options: Any) -> ssl.SSLSocket:
        return wrap_socket(*arguments, **options | {"server_hostname": server_name})

    context.wrap_socket = wrap  # type: ignore[method-assign]


def new_client(options: ConnectionOptions, protocol: Protocol, context: ssl.SSLContext | None) -> aiomqtt.Client:
    """Return aiomqtt's client for one connection."""
    will = options.will
    return aiomqtt.Client(
        options.host,
        options.port,
        username=options.username,
        password=None if options.password is None else options.password.get_secret_value(),
        identifier=options.client_id,
        protocol=_VERSIONS[protocol],
        # No session is resumed, in either version: a command sent while the bridge was offline must not be executed
        # hours later, and outgoing messages are kept in the journal, not on the broker.
        clean_start=True if protocol == "5" else MQTT_CLEAN_START_FIRST_ONLY,
        clean_session=None if protocol == "5" else True,
        keepalive=options.keepalive,
        timeout=options.timeout,
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
        tls_context=context,
        transport=options.transport,
        websocket_path=options.path,
        properties=_connect_properties() if protocol == "5" else None,
        max_inflight_messages=0,  # paho's window cannot follow the broker's Receive Maximum
        logger=_SILENT,
    )


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's has no types
    properties.MaximumPacketSize = _MAX_INCOMING_PACKET_BYTES
    properties.ReceiveMaximum = _MAX_INCOMING_INFLIGHT
    return properties


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """The limits in an MQTT 5 CONNACK; the defaults are those of the protocol.

    ``max_packet_size`` is in bytes. ``server_keepalive`` is in seconds, 0 if the broker does not set it.
    """

    max_packet_size: int = 268_435_455
    receive_maximum: int = 0xFFFF
    server_keepalive: int = 0
    max_qos: int = 2
    retain_available: bool = True
    wildcards_available: bool = True


def broker_limits(properties: Properties | None) -> BrokerLimits:
    """Return the limits in the properties of a CONNACK."""
    default = BrokerLimits()
    return BrokerLimits(
        # 0 is invalid for these two; a broker that sends it could never receive anything.
        max_packet_size=getattr(properties, "MaximumPacketSize", 0) or default.max_packet_size,
        receive_maximum=getattr(properties, "ReceiveMaximum", 0) or default.receive_maximum,
        server_keepalive=getattr(properties, "ServerKeepAlive", default.server_keepalive),
        max_qos=getattr(properties, "MaximumQoS", default.max_qos),
        retain_available=bool(getattr(properties, "RetainAvailable", default.retain_available)),
        wildcards_available=bool(getattr(properties, "WildcardSubscriptionAvailable", default.wildcards_available)),
    )


def mask_every_frame(websocket: Any) -> None:
    """Mask pong and close frames too, as RFC 6455 (5.1) requires; paho does not, and servers then disconnect."""
    create_frame = websocket._create_frame  # noqa: SLF001 - paho has no public access
    websocket._create_frame = lambda opcode, data, *_: create_frame(opcode, data)  # noqa: SLF001
