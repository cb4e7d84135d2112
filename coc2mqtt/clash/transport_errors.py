"""A failure: why a request got no response, and the error that it means."""

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

# OpenSSL's numbers (X509_V_ERR_...).
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = {62, 63, 64}
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}


def failure_of(error: Exception, url: URL, *, proxy: URL | None, timeout: float) -> ClashError:  # noqa: PLR0911 - one return for each cause
    """Return the typed error that an error of aiohttp means.

    The text names neither user nor password of the proxy. What it quotes of the server is for the caller to redact.
    """
    host = url.host
    via = "" if proxy is None else f" through the proxy {_name(proxy)}"
    match error:
        case TimeoutError():
            return UnreachableError(f"the API at {host} gave no answer within {timeout:g} s{via}: check the network")
        case ClientPayloadError():
            return TruncatedResponseError(
                f"the connection to {host} ended in the middle of an answer: check the network"
            )
        case ClientHttpProxyError() if proxy is not None:
            return _refused_by(proxy, error.status)
        case ClientResponseError():
            return InvalidResponseError(
                f"the response of {host} is not valid HTTP ({_reason(error.message)}){via}: check api.base_url, and "
                "any proxy in between"
            )
        case ClientConnectorCertificateError():
            return _certificate(error.certificate_error, host, via)
        case ClientProxyConnectionError() if proxy is not None:
            return UnreachableError(
                f"the proxy {_name(proxy)} cannot be reached ({_reason(error.strerror)}): check {_variable(url)}, or "
                "set NO_PROXY"
            )
        case ClientConnectorDNSError():
            return UnreachableError(
                f"the name {host} cannot be resolved ({_reason(error.strerror)}): check the network, the name server "
                "of this machine, and api.base_url"
            )
        case ClientConnectorSSLError() | ClientSSLError():
            return UnreachableError(
                f"TLS with {host} failed ({_reason(error.strerror)}){via}: check api.base_url, and any proxy in between"
            )
        case ClientConnectorError():
            return UnreachableError(
                f"the API at {host} cannot be reached ({_reason(error.strerror)}){via}: check the network and "
                "api.base_url"
            )
    return UnreachableError(
        f"the API at {host} cannot be reached ({_reason(str(error))}){via}: check the network and api.base_url"
    )


def _refused_by(proxy: URL, status: int) -> UnreachableError:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return UnreachableError(
            f"the proxy {_name(proxy)} wants another user or password: set them in HTTPS_PROXY, such as "
            "http://user:password@proxy:3128"
        )
    return UnreachableError(
        f"the proxy {_name(proxy)} does not connect to the API (status {status}): see its log, and what it allows"
    )


def _certificate(cause: Exception, host: str | None, via: str) -> CertificateError:
    code = cause.verify_code if isinstance(cause, ssl.SSLCertVerificationError) else 0
    found = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
    authority = (
        "if a proxy or a virus scanner on the way opens TLS, or the authority is your own, let SSL_CERT_FILE name a "
        "file with its certificate (PEM)"
    )
    remedies = {
        _NOT_YET_VALID: "set the clock of this machine",
        _EXPIRED: "set the clock of this machine, or renew the certificate",
        **dict.fromkeys(
            _OTHER_NAME,
            "something else answers for this name: check api.base_url, and log in where a network asks for it",
        ),
        **dict.fromkeys(_UNKNOWN_AUTHORITY, authority),
    }
    remedy = remedies.get(code, f"check the clock of this machine; {authority}")
    return CertificateError(f"the certificate of {host} is not accepted ({_reason(found)}){via}: {remedy}")


def _variable(url: URL) -> str:
    return f"{url.scheme}_proxy".upper()


def _name(proxy: URL) -> str:
    return f"{proxy.host}:{proxy.port}"


def _reason(text: object) -> str:
    words = " ".join(str(text or "no reason given").split()).rstrip(".")
    return words[:160]
