"""TLS to the broker."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from coc2mqtt.mqtt.client.connect_errors import tls_files_failure

if TYPE_CHECKING:
    from coc2mqtt.mqtt.client.options import TlsOptions


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Read the files, which blocks; raises TlsError."""
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file is not None:
            # An encrypted key must not ask for its password on the terminal of a service.
            context.load_cert_chain(options.cert_file, options.key_file, password="")
    except OSError as error:
        raise tls_files_failure(error) from None
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.server_name is not None:
        _rename(context, options.server_name)
    return context


def _rename(context: ssl.SSLContext, server_name: str) -> None:
    """Have a name asked for and verified other than the host's, which is the only one that paho knows."""
    wrap_socket = context.wrap_socket

    def wrap(*arguments: Any, **options: Any) -> ssl.SSLSocket:
        return wrap_socket(*arguments, **options | {"server_hostname": server_name})

    context.wrap_socket = wrap  # type: ignore[method-assign]
