"""Faults between the API and its client.

A fault is a function in front of the simulated API. It receives the request and the next handler, which is another
fault or the API itself. Faults can be combined: latency and an error response make a late error response.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TypeAlias

import orjson
from aiohttp import web

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]
Fault: TypeAlias = Callable[[web.Request, Handler], Awaitable[web.Response]]

_NO_LINGER = struct.pack("ii", 1, 0)


def json_response(status: int, reason: str, message: str | None = None, **headers: str) -> web.Response:
    """Return an error response in the API's format; underscores in header names become hyphens."""
    body = {"reason": reason} if message is None else {"reason": reason, "message": message}
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def refusal(status: int, reason: str, message: str | None = None) -> Fault:
    """Respond with this status and an error in the API's format."""
    return _instead(partial(json_response, status, reason, message))


def wrong_token() -> Fault:
    """Respond as to an invalid or revoked token."""
    return refusal(HTTPStatus.FORBIDDEN, "accessDenied", "Invalid authorization")


def wrong_address(address: str = "203.0.113.7") -> Fault:
    """Respond as to a token that does not allow ``address``, the reported address of the client."""
    return refusal(
        HTTPStatus.FORBIDDEN,
        "accessDenied.invalidIp",
        f"Invalid authorization: API key does not allow access from IP {address}",
    )


def throttled(retry_after: int | None = None) -> Fault:
    """Respond with 429; ``retry_after`` is in seconds, None omits the header."""
    headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return _instead(partial(json_response, HTTPStatus.TOO_MANY_REQUESTS, "requestThrottled", **headers))


def html_page(status: int = HTTPStatus.BAD_GATEWAY) -> Fault:
    """Respond with an HTML page, as proxies in front of the API do."""
    phrase = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{phrase}</title></head><body><h1>{phrase}</h1></body></html>"
    return _instead(partial(web.Response, status=status, text=page, content_type="text/html"))


def not_json() -> Fault:
    """Respond with 200 and the API's content type, but without JSON."""
    return _instead(partial(web.Response, text="upstream says hello", content_type="application/json"))


def empty_member_list() -> Fault:
    """Empty the ``memberList`` of clan responses, but not ``members``; other responses are unchanged."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        response = await handler(request)
        body = orjson.loads(response.body) if isinstance(response.body, bytes) else {}
        if "memberList" in body:
            response.body = orjson.dumps({**body, "memberList": []})
        return response

    return fault


def truncated() -> Fault:
    """Send half of the response and close the connection."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        response = await handler(request)
        body = response.body if isinstance(response.body, bytes) else b""
        head = web.StreamResponse(status=response.status, headers=response.headers)
        head.content_length = len(body)
        await head.prepare(request)
        await head.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return response

    return fault


def reset() -> Fault:
    """Reset the connection instead of responding."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        if request.transport is not None:
            # Without lingering, closing sends RST and not FIN.
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            request.transport.abort()
        return await handler(request)

    return fault


def latency(seconds: float) -> Fault:
    """Delay the response."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        await asyncio.sleep(seconds)
        return await handler(request)

    return fault


def hang() -> Fault:
    """Never respond, until the client gives up or the server stops."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        await asyncio.Event().wait()
        return await handler(request)

    return fault


@dataclass(eq=False)
class _Active:
    fault: Fault
    times: int | None
    path: str


class Faults:
    """The active faults; the first one is the outermost."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def add(self, fault: Fault, *, times: int | None = None, path: str = "") -> None:
        """Apply ``fault`` to the next ``times`` requests (None: all until ``clear``) whose path contains ``path``.

        Paths are decoded, such as ``/v1/clans/#2PP/currentwar``; ``path`` can be a tag or a part such as
        ``/currentwar``.
        """
        self._active.append(_Active(fault, times, path))

    def clear(self) -> None:
        """Remove all faults."""
        self._active.clear()

    async def answer(self, request: web.Request, handler: Handler) -> web.Response:
        """Respond with ``handler`` through the faults that match the request."""
        hit = [active for active in self._active if active.path in request.path]
        for active in reversed(hit):
            if active.times is not None:
                active.times -= 1
            handler = _before(active.fault, handler)
        self._active = [active for active in self._active if active.times != 0]
        return await handler(request)


def _before(fault: Fault, handler: Handler) -> Handler:
    return lambda request: fault(request, handler)


def _instead(make: Callable[[], web.Response]) -> Fault:
    async def fault(_: web.Request, __: Handler) -> web.Response:
        return make()

    return fault
