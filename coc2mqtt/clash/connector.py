"""Connections to the API: name resolution by the operating system, TLS, and the proxy from the environment."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from ipaddress import ip_address
from typing import Any
from urllib.request import getproxies, proxy_bypass

from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

_MAX_CONNECTIONS = 100
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class ProxyError(ValueError):
    """The environment names a proxy that cannot be used."""


async def create_connector(base_url: str) -> TCPConnector:
    """Create the connector for an API; certificates are checked with the authorities in ``SSL_CERT_FILE``."""
    # aiohttp's own context is created at import, so it would not read a changed SSL_CERT_FILE. Reading it blocks.
    tls = await asyncio.to_thread(ssl.create_default_context) if base_url.startswith("https") else True
    return TCPConnector(limit=_MAX_CONNECTIONS, resolver=SystemResolver(), ssl=tls)


def proxy_for(url: URL) -> URL | None:
    """Return the proxy for a URL, with its user and password, or None for a direct connection.

    Reads ``HTTPS_PROXY`` or ``HTTP_PROXY``, depending on the URL's scheme, else ``ALL_PROXY``; lower-case names take
    precedence. Hosts in ``NO_PROXY`` and this machine itself are never reached through a proxy. Raises ProxyError,
    whose message has no password.
    """
    host = url.host or ""
    if _is_local(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text:
        return None
    variable = f"{url.scheme if proxies.get(url.scheme) else 'all'}_proxy".upper()
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
        usable = proxy.scheme in ("http", "https") and bool(proxy.host) and proxy.port is not None
        login = f"{proxy.user or ''}:{proxy.password or ''}"
        login.encode("latin-1")  # the encoding of HTTP basic authentication
    except ValueError:
        usable = False
    if not usable:
        raise ProxyError(
            f"{variable} is not the address of an HTTP proxy: write it like http://proxy.example.org:3128, or remove it"
        )
    return proxy


class SystemResolver(AbstractResolver):
    """Resolves each name with the operating system, in a new daemon thread.

    Unlike aiodns, which reads ``/etc/resolv.conf`` only once, the system notices changes. A lookup may hang for half a
    minute. Its thread is a daemon so that the program can stop meanwhile; asyncio's executor would wait for it.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raises OSError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def look_up() -> None:
            try:
                result, error = _look_up(host, port, family), None
            except (OSError, UnicodeError) as failure:
                result, error = [], failure if isinstance(failure, OSError) else OSError(None, str(failure))
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(_complete, future, result, error)

        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        return await future

    async def close(self) -> None:
        """Do nothing: no resources are held."""


def _complete(future: asyncio.Future[list[ResolveResult]], result: list[ResolveResult], error: OSError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=_numeric_host(address),
            port=int(address[1]),
            family=family,
            proto=protocol,
            flags=_NUMERIC,
        )
        for family, _, protocol, _, address in infos
    ]


def _numeric_host(address: Any) -> str:
    if len(address) == 4 and address[3]:  # noqa: PLR2004 - a link-local IPv6 address, which needs its scope
        return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return str(address[0])


def _is_local(host: str) -> bool:
    if host.rstrip(".").casefold() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
