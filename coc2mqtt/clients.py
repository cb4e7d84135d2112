"""Builds the API client and the broker connection options from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clash.client import ClashClient
from coc2mqtt.mqtt.client.connection import ConnectionOptions, RetainedMessage, TlsOptions
from coc2mqtt.mqtt.reports import OFFLINE
from coc2mqtt.mqtt.topics import Topics

if TYPE_CHECKING:
    from coc2mqtt.config.settings import Settings

_log = structlog.get_logger()


def connection_options(settings: Settings, *, embedded_port: int | None = None) -> ConnectionOptions:
    """Return the options for the configured broker, or for the embedded broker on its port.

    Each call logs a warning if TLS does not verify the broker's certificate, or if the password looks quoted.
    """
    mqtt = settings.mqtt
    will = RetainedMessage(Topics(mqtt.base_topic).bridge("state"), OFFLINE)
    client_id = f"coc2mqtt-{settings.instance}"
    if mqtt.host is None:
        # The embedded broker only supports MQTT 3.1.1. It does not respond to a CONNECT of MQTT 5.
        port = mqtt.port if embedded_port is None else embedded_port
        return ConnectionOptions("127.0.0.1", port, client_id, protocol="3.1.1", keepalive=mqtt.keepalive, will=will)
    tls = mqtt.tls
    if tls.enabled and not tls.verify:
        _log.warning(
            "broker certificate is not verified",
            hint="anyone between the bridge and the broker can read the password: set mqtt.tls.ca_file to the"
            " certificate authority that signed it, and mqtt.tls.verify to true",
        )
    if mqtt.password_looks_quoted:
        _log.warning(
            "mqtt.password is enclosed in quotes or spaces", hint="remove them if they are not part of the password"
        )
    return ConnectionOptions(
        mqtt.host,
        mqtt.port,
        client_id,
        username=mqtt.username,
        password=mqtt.password,
        protocol=mqtt.protocol,
        transport=mqtt.transport,
        path=mqtt.path,
        keepalive=mqtt.keepalive,
        tls=TlsOptions(**tls.model_dump(exclude={"enabled"})) if tls.enabled else None,
        will=will,
    )


def api_client(settings: Settings) -> ClashClient:
    """Return a client of the API, not yet open."""
    api = settings.api
    return ClashClient(api.tokens, base_url=str(api.base_url), requests_per_second=api.requests_per_second)
