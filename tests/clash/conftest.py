from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import stamina
from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def no_backoff() -> Iterator[None]:
    """Time between attempts is none; how many there are stays as it is."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Start an HTTP server that answers every request by a handler; gives the API's base URL."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler) -> str:
            async def answer(request: web.Request) -> web.StreamResponse:
                return await handler(request)

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            server = await stack.enter_async_context(TestServer(app))
            return str(server.make_url("/v1"))

        yield start


@pytest.fixture
async def serve_raw() -> AsyncIterator[Callable[[bytes], Awaitable[str]]]:
    """Start a server that sends these bytes after a request and hangs up; gives the API's base URL."""
    async with AsyncExitStack() as stack:

        async def start(answer: bytes) -> str:
            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                writer.close()
                await writer.wait_closed()

            server = await stack.enter_async_context(await asyncio.start_server(talk, "127.0.0.1", 0))
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

        yield start
