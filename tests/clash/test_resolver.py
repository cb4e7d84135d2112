"""Names are resolved by the operating system, whose configuration may become good while the program runs."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from coc2mqtt.clash import ClashClient, UnreachableError

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
