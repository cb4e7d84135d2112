"""The TLS context of a connection."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from coc2mqtt.mqtt.client.connect_errors import invalid_tls_files

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.options import TlsOptions


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
