"""Name resolution by the operating system, whose configuration may change while the program runs."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from coc2mqtt.clash import ClashClient, UnreachableError
from coc2mqtt.clash.resolver import SystemResolver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]

HOST = "api.example.test"


async def test_name_is_resolved_once_the_system_can(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response({}, headers={"Connection": "close"})

    port = URL(await serve(respond)).port
    resolve, ready = socket.getaddrinfo, False

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != HOST:
            return resolve(host, *arguments, **options)
        if not ready:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with ClashClient([SecretStr("token")], base_url=f"http://{HOST}:{port}/v1", attempts=1) as api:
        for _ in range(2):
            with pytest.raises(UnreachableError, match=f"the host name {HOST} cannot be resolved .*Temporary failure"):
                await api.clan("#2PP")
        ready = True
        assert (await api.clan("#2PP")).data == {}


def test_hanging_lookup_does_not_keep_the_program_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    release, started, finished = threading.Event(), threading.Event(), threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        started.set()
        release.wait(20)
        finished.set()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def fetch() -> None:
        async with ClashClient([SecretStr("token")], base_url=f"http://{HOST}/v1", attempts=1, timeout=0.05) as api:
            with pytest.raises(UnreachableError, match="no response"):
                await api.clan("#2PP")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        asyncio.run(fetch())
        assert started.is_set()
        assert not finished.is_set(), "the program did not wait for it"
    finally:
        release.set()
    assert finished.wait(5)


async def test_ipv6_addresses_are_resolved() -> None:
    resolver = SystemResolver()
    (address, *_) = await resolver.resolve("::1", 80, socket.AF_INET6)
    assert (address["host"], address["port"], address["family"]) == ("::1", 80, socket.AF_INET6)
    await resolver.close()
