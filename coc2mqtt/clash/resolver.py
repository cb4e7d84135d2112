"""Name resolution by the operating system."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class SystemResolver(AbstractResolver):
    """Asks the operating system for each name, in a thread of its own.

    The system heeds a ``/etc/resolv.conf`` that changes; aiodns reads it only once. A lookup may hang for half a
    minute: its thread is a daemon, so that the program can stop meanwhile, which asyncio's executor would not let it.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raises OSError."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def look_up() -> None:
            try:
                result, error = _look_up(host, port, family), None
            except (OSError, UnicodeError) as failure:
                result, error = [], failure if isinstance(failure, OSError) else OSError(None, str(failure))
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(_settle, found, result, error)

        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        return await found

    async def close(self) -> None:
        """Nothing is kept open."""


def _settle(found: asyncio.Future[list[ResolveResult]], result: list[ResolveResult], error: OSError | None) -> None:
    if found.done():
        return
    if error is None:
        found.set_result(result)
    else:
        found.set_exception(error)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host, host=_host(address), port=int(address[1]), family=kind, proto=proto, flags=_NUMERIC
        )
        for kind, _, proto, _, address in infos
    ]


def _host(address: Any) -> str:
    if len(address) == 4 and address[3]:  # noqa: PLR2004 - IPv6, link-local: it needs its scope
        return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return str(address[0])
