"""The proxy that the environment names for the API."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.request import getproxies, proxy_bypass

from yarl import URL


class ProxyError(ValueError):
    """The environment names a proxy that cannot be used."""


def proxy_for(url: URL) -> URL | None:
    """Return the proxy to be used for a URL, with its user and password, None where there is none.

    It comes from ``HTTPS_PROXY`` or ``HTTP_PROXY``, by the scheme of the URL, else from ``ALL_PROXY``; names in lower
    case win. ``NO_PROXY`` names hosts to be reached directly. This machine itself is never reached through a proxy.
    Raises ProxyError, whose text has no password.
    """
    host = url.host or ""
    if _is_local(host) or proxy_bypass(host):
        return None
    named = getproxies()
    text = named.get(url.scheme) or named.get("all")
    if not text:
        return None
    variable = f"{url.scheme if named.get(url.scheme) else 'all'}_proxy".upper()
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
        usable = proxy.scheme in ("http", "https") and bool(proxy.host) and proxy.port is not None
        login = f"{proxy.user or ''}:{proxy.password or ''}"
        login.encode("latin-1")  # as HTTP's basic authentication has it
    except ValueError:
        usable = False
    if not usable:
        raise ProxyError(
            f"{variable} is not the address of an HTTP proxy: write it such as http://proxy.example.org:3128, or "
            "remove it"
        )
    return proxy


def _is_local(host: str) -> bool:
    if host.rstrip(".").casefold() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
