"""Typed errors for requests that got no complete response."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ClientSSLError,
)

from coc2mqtt.clash.errors import (
    CertificateError,
    ClashError,
    InvalidResponseError,
    TruncatedResponseError,
    UnreachableError,
)

if TYPE_CHECKING:
    from yarl import URL

# Verification errors of OpenSSL (X509_V_ERR_…).
_NOT_YET_VALID, _EXPIRED = 9, 10
_NAME_MISMATCH = {62, 63, 64}
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}


def transport_error(error: Exception, url: URL, *, proxy: URL | None, timeout: float) -> ClashError:  # noqa: PLR0911 - one return for each cause
    """Return the typed error for an aiohttp error.

    The message does not contain the proxy's user or password. It may quote the server, so the caller must redact it.
    """
    host = url.host
    via = "" if proxy is None else f" through the proxy {_address(proxy)}"
    match error:
        case TimeoutError():
            return UnreachableError(f"no response from the API at {host} within {timeout:g} s{via}: check the network")
        case ClientPayloadError():
            return TruncatedResponseError(
                f"the connection to {host} was lost in the middle of a response: check the network"
            )
        case ClientHttpProxyError() if proxy is not None:
            return _proxy_rejection(proxy, error.status)
        case ClientResponseError():
            return InvalidResponseError(
                f"the response from {host} is not valid HTTP ({_shorten(error.message)}){via}: check api.base_url, "
                "and any proxy in between"
            )
        case ClientConnectorCertificateError():
            return _certificate_error(error.certificate_error, host, via)
        case ClientProxyConnectionError() if proxy is not None:
            return UnreachableError(
                f"the proxy {_address(proxy)} cannot be reached ({_shorten(error.strerror)}): check "
                f"{f'{url.scheme}_proxy'.upper()}, or set NO_PROXY"
            )
        case ClientConnectorDNSError():
            return UnreachableError(
                f"the host name {host} cannot be resolved ({_shorten(error.strerror)}): check the network, this "
                "machine's DNS server, and api.base_url"
            )
        case ClientConnectorSSLError() | ClientSSLError():
            return UnreachableError(
                f"TLS with {host} failed ({_shorten(error.strerror)}){via}: check api.base_url, and any proxy in "
                "between"
            )
        case ClientConnectorError():
            return UnreachableError(
                f"the API at {host} cannot be reached ({_shorten(error.strerror)}){via}: check the network and "
                "api.base_url"
            )
    return UnreachableError(
        f"the API at {host} cannot be reached ({_shorten(str(error))}){via}: check the network and api.base_url"
    )


def _proxy_rejection(proxy: URL, status: int) -> UnreachableError:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return UnreachableError(
            f"the proxy {_address(proxy)} rejected the user or the password: set them in HTTPS_PROXY, such as "
            "http://user:password@proxy:3128"
        )
    return UnreachableError(
        f"the proxy {_address(proxy)} refused to connect to the API (status {status}): check its log and which hosts "
        "it allows"
    )


def _certificate_error(cause: Exception, host: str | None, via: str) -> CertificateError:
    code = cause.verify_code if isinstance(cause, ssl.SSLCertVerificationError) else 0
    reason = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
    trust = (
        "if a proxy or a virus scanner decrypts TLS, or you use your own authority, set SSL_CERT_FILE to a file with "
        "the authority's certificate (PEM)"
    )
    remedies = {
        _NOT_YET_VALID: "set the clock of this machine",
        _EXPIRED: "set the clock of this machine, or renew the certificate",
        **dict.fromkeys(
            _NAME_MISMATCH,
            "another server responds under this name: check api.base_url, and log in to the network if it requires "
            "that",
        ),
        **dict.fromkeys(_UNKNOWN_AUTHORITY, trust),
    }
    remedy = remedies.get(code, f"check the clock of this machine; {trust}")
    return CertificateError(f"the certificate of {host} is not accepted ({_shorten(reason)}){via}: {remedy}")


def _address(proxy: URL) -> str:
    return f"{proxy.host}:{proxy.port}"


def _shorten(reason: object) -> str:
    words = " ".join(str(reason or "no reason given").split()).rstrip(".")
    return words[:160]
