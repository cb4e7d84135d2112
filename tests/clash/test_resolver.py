"""Names are resolved by the operating system, whose configuration may become good while the program runs."""

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


async def test_name_is_resolved_as_soon_as_the_system_can(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, headers={"Connection": "close"})

    port = URL(await serve(answer)).port
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
            with pytest.raises(UnreachableError, match=f"the name {HOST} cannot be resolved .*Temporary failure"):
                await api.clan("#2PP")
        ready = True
        assert (await api.clan("#2PP")).data == {}


def test_lookup_that_hangs_does_not_keep_the_program_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    end, started, ended = threading.Event(), threading.Event(), threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        started.set()
        end.wait(20)
        ended.set()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def ask() -> None:
        async with ClashClient([SecretStr("token")], base_url=f"http://{HOST}/v1", attempts=1, timeout=0.05) as api:
            with pytest.raises(UnreachableError, match="no answer within"):
                await api.clan("#2PP")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        asyncio.run(ask())
        assert started.is_set()
        assert not ended.is_set(), "nobody waits for it"
    finally:
        end.set()
    assert ended.wait(5)


async def test_ipv6_addresses_are_resolved() -> None:
    resolver = SystemResolver()
    (found, *_) = await resolver.resolve("::1", 80, socket.AF_INET6)
    assert (found["host"], found["port"], found["family"]) == ("::1", 80, socket.AF_INET6)
    await resolver.close()
