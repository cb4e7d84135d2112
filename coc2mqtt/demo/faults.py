"""Faults: what can go wrong between the API and its client.

A fault is a function that stands before the scripted API: it is given the request and the handler behind it, which
is the next fault or the API itself. So faults can be combined: latency before a refusal is a late refusal.
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
    """Return an error answer in the API's form; an underscore in a header's name stands for a hyphen."""
    body = {"reason": reason} if message is None else {"reason": reason, "message": message}
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def refusal(status: int, reason: str, message: str | None = None) -> Fault:
    """Answer with this status and the API's JSON for an error."""
    return _instead(partial(json_response, status, reason, message))


def wrong_token() -> Fault:
    """Answer as to a token that is wrong or was revoked."""
    return refusal(HTTPStatus.FORBIDDEN, "accessDenied", "Invalid authorization")


def wrong_address(address: str = "203.0.113.7") -> Fault:
    """Answer as to a token that is bound to another address than ``address``, where the request is said to be from."""
    return refusal(
        HTTPStatus.FORBIDDEN,
        "accessDenied.invalidIp",
        f"Invalid authorization: API key does not allow access from IP {address}",
    )


def throttled(retry_after: int | None = None) -> Fault:
    """Answer that there were too many requests; ``retry_after`` is in seconds, None leaves the header out."""
    headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return _instead(partial(json_response, HTTPStatus.TOO_MANY_REQUESTS, "requestThrottled", **headers))


def html_page(status: int = HTTPStatus.BAD_GATEWAY) -> Fault:
    """Answer with a page of HTML, as proxies before the API do."""
    phrase = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{phrase}</title></head><body><h1>{phrase}</h1></body></html>"
    return _instead(partial(web.Response, status=status, text=page, content_type="text/html"))


def not_json() -> Fault:
    """Answer 200, with the API's content type, and no JSON."""
    return _instead(partial(web.Response, text="upstream says hello", content_type="application/json"))


def empty_member_list() -> Fault:
    """Give a clan's answer with an empty ``memberList``; its ``members`` and other answers stay as they are."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        response = await handler(request)
        body = orjson.loads(response.body) if isinstance(response.body, bytes) else {}
        if "memberList" in body:
            response.body = orjson.dumps({**body, "memberList": []})
        return response

    return fault


def truncated() -> Fault:
    """Give half of the answer and close the connection."""

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
    """Reset the connection instead of an answer."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        if request.transport is not None:
            # Without lingering, closing sends RST and not FIN.
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            request.transport.abort()
        return await handler(request)

    return fault


def latency(seconds: float) -> Fault:
    """Answer late."""

    async def fault(request: web.Request, handler: Handler) -> web.Response:
        await asyncio.sleep(seconds)
        return await handler(request)

    return fault


def hang() -> Fault:
    """Never answer, until the client gives up or the server ends."""

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
    """The faults that are active, the first one outermost."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def add(self, fault: Fault, *, times: int | None = None, path: str = "") -> None:
        """Let ``fault`` befall the next ``times`` requests (None: all until ``clear``) whose path holds ``path``.

        Paths are decoded, such as ``/v1/clans/#2PP/currentwar``: a tag or a part such as ``/currentwar`` will do.
        """
        self._active.append(_Active(fault, times, path))

    def clear(self) -> None:
        """Let all requests be answered as they should be."""
        self._active.clear()

    async def answer(self, request: web.Request, handler: Handler) -> web.Response:
        """Answer by ``handler``, through the faults that concern the request."""
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
