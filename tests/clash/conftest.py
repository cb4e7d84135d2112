from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Return a function that starts an HTTP server with a handler for all requests and returns its base URL."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler) -> str:
            async def handle(request: web.Request) -> web.StreamResponse:
                return await handler(request)

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handle)
            server = await stack.enter_async_context(TestServer(app))
            return str(server.make_url("/v1"))

        yield start


@pytest.fixture
async def serve_raw() -> AsyncIterator[Callable[[bytes], Awaitable[str]]]:
    """Return a function that starts a server which sends some bytes, hangs up, and returns its base URL."""
    async with AsyncExitStack() as stack:

        async def start(response: bytes) -> str:
            async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(response)
                writer.close()
                await writer.wait_closed()

            server = await stack.enter_async_context(await asyncio.start_server(respond, "127.0.0.1", 0))
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

        yield start
