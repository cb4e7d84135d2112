"""The clients of the API and of the broker, from the settings."""

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
    """Return how the broker is reached: the configured one, or the embedded one on its port.

    Warns, once for each call, of TLS that protects nothing, and of a password that seems to be quoted.
    """
    mqtt = settings.mqtt
    will = RetainedMessage(Topics(mqtt.base_topic).bridge("state"), OFFLINE)
    client_id = f"coc2mqtt-{settings.instance}"
    if mqtt.host is None:
        # The embedded broker speaks 3.1.1 alone and would let a version 5 connect wait.
        port = mqtt.port if embedded_port is None else embedded_port
        return ConnectionOptions("127.0.0.1", port, client_id, protocol="3.1.1", keepalive=mqtt.keepalive, will=will)
    tls = mqtt.tls
    if tls.enabled and not tls.verify:
        _log.warning(
            "the broker's certificate is not verified, so whoever is in between can pose as the broker and read the"
            " password: set mqtt.tls.ca_file to the authority that signed it, and mqtt.tls.verify to true"
        )
    if mqtt.password_looks_quoted:
        _log.warning(
            "mqtt.password has quotes or blanks around it", hint="remove them if they are not part of the password"
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
    """Return the client of the API, not yet open."""
    api = settings.api
    return ClashClient(api.tokens, base_url=str(api.base_url), requests_per_second=api.requests_per_second)
