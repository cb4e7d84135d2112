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
