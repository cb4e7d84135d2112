"""The proxy for requests to the API, from the environment."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.request import getproxies, proxy_bypass

from yarl import URL


class ProxyError(ValueError):
    """The environment names a proxy that cannot be used."""


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


def _is_local(host: str) -> bool:
    if host.rstrip(".").casefold() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
