from __future__ import annotations

import asyncio
import base64
import traceback
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from coc2mqtt.clash import (
    BadRequestError,
    ClashClient,
    ClashError,
    DeniedError,
    InvalidResponseError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    TruncatedResponseError,
    UnreachableError,
    WrongTokenError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]
    ServeRaw = Callable[[bytes], Awaitable[str]]

SECRET = "eyJ0eXAi-very-secret"
ACCESS_DENIED = b'{"reason":"accessDenied"}'
INVALID_AUTHORIZATION = b'{"reason":"accessDenied","message":"Invalid authorization"}'
IP_NOT_ALLOWED = (
    b'{"reason":"accessDenied.invalidIp","message":"Invalid authorization: API key does not allow access from IP %s"}'
)
MAINTENANCE = b'{"reason":"inMaintenance","message":"API is currently in maintenance, please come back later"}'
PAGE = b"<html><head><title>502 Bad Gateway</title></head></html>"


class Case(NamedTuple):
    name: str
    status: int
    body: bytes
    error: type[ClashError]
    message: str
    endpoint: str = "clan"


CASES = [
    Case("private war log", 403, ACCESS_DENIED, PrivateWarLogError, "clan #2PP has a private war log", "current_war"),
    Case("clan denied", 403, ACCESS_DENIED, DeniedError, "check the key"),
    Case("wrong token", 403, INVALID_AUTHORIZATION, WrongTokenError, "create a new key"),
    Case("wrong token for a war", 403, INVALID_AUTHORIZATION, WrongTokenError, "create a new key", "current_war"),
    Case("wrong address", 403, IP_NOT_ALLOWED % b"203.0.113.7", IpNotAllowedError, "create a key for 203.0.113.7"),
    Case("war denied with a page", 403, PAGE, DeniedError, "check the key", "current_war"),
    Case("war denied with another reason", 403, b'{"reason":"x"}', DeniedError, "check the key", "current_war"),
    Case(
        "war denied with a message", 403, b'{"reason":"accessDenied","message":"No"}', DeniedError, "No", "current_war"
    ),
    Case("clan denied with a message", 403, b'{"message":"Go\\n away"}', DeniedError, 'saying "Go away"'),
    Case("unauthorized", 401, b"", DeniedError, "check the key"),
    Case("clan not found", 404, b'{"reason":"notFound"}', NotFoundError, "clan #2PP was not found: check the tag"),
    Case("player not found", 404, b"", NotFoundError, "player #2PP was not found", "player"),
    Case("404 of a web server", 404, b"\n<!doctype html>", InvalidResponseError, "HTML page with status 404"),
    Case("throttled", 429, b'{"reason":"requestThrottled"}', ThrottledError, "lower api.requests_per_second"),
    Case("maintenance", 503, MAINTENANCE, MaintenanceError, "in maintenance"),
    Case("maintenance as a page", 503, b"<h1>Maintenance break</h1>", MaintenanceError, "in maintenance"),
    Case("503 of a proxy", 503, b"<h1>Service Unavailable</h1>", ServerError, "status 503"),
    Case("503 without a body", 503, b"", ServerError, "status 503"),
    Case("maintenance page with 502", 502, b"<h1>Maintenance</h1>", ServerError, "status 502"),
    *(Case(f"server error {s}", s, PAGE, ServerError, f"status {s}") for s in (500, 501, 502, 504, *range(520, 527))),
    Case("bad request", 400, b'{"message":"Unknown value"}', BadRequestError, 'saying "Unknown value": check'),
    Case("405", 405, b"[1]", BadRequestError, "status 405"),
    Case("malformed error body", 410, b'{"message":{"a":1}}', BadRequestError, "status 410"),
    Case("no content", 204, b"", InvalidResponseError, "status 204"),
    Case("redirect", 302, b"", InvalidResponseError, "redirects are not followed"),
    Case("page instead of JSON", 200, PAGE, InvalidResponseError, "not a JSON object"),
    Case("no body", 200, b"", InvalidResponseError, "not a JSON object"),
    Case("list", 200, b"[]", InvalidResponseError, "not a JSON object"),
    Case("half a body", 200, b'{"tag": "#2P', InvalidResponseError, "not a JSON object"),
]


def client(base_url: str, **options: float) -> ClashClient:
    return ClashClient([SecretStr(SECRET)], base_url=base_url, requests_per_second=1000.0, **{"attempts": 1, **options})  # type: ignore[arg-type]  # all are numbers


async def failure(api: ClashClient, endpoint: str = "clan") -> ClashError:
    with pytest.raises(ClashError) as raised:
        await getattr(api, endpoint)("#2PP")
    shown = "".join(traceback.format_exception(raised.value)) + repr(
        [raised.value, raised.value.__cause__, vars(raised.value)]
    )
    assert SECRET not in shown
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_unsuccessful_response_raises_a_typed_error_with_a_remedy(serve: Serve, case: Case) -> None:
    headers = {"Cache-Control": "public max-age=600", "Location": "http://127.0.0.1:1/"}

    async def respond(_: web.Request) -> web.Response:
        return web.Response(status=case.status, body=case.body, headers=headers)

    async with client(await serve(respond)) as api:
        error = await failure(api, case.endpoint)
    assert type(error) is case.error
    assert case.message in str(error)
    assert error.status == case.status
    has_max_age = case.error is PrivateWarLogError or (case.error is NotFoundError and case.body)
    assert error.max_age == (600 if has_max_age else 0)


async def test_html_page_is_an_invalid_response(serve: Serve) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(body=b"{}", content_type="text/html")

    async with client(await serve(respond)) as api:
        error = await failure(api)
    assert type(error) is InvalidResponseError
    assert "an HTML page" in str(error)


@pytest.mark.parametrize(
    ("shown", "address"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b"203.0.113.7.", "203.0.113.7"),
        (b"2001:DB8::7", "2001:db8::7"),
        (b"999.1.1.1", None),
        (b"unknown", None),
    ],
)
async def test_ip_not_allowed_error_contains_the_reported_address(
    serve: Serve, shown: bytes, address: str | None
) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(status=403, body=IP_NOT_ALLOWED % shown)

    async with client(await serve(respond)) as api:
        error = await failure(api, "current_war")
    assert isinstance(error, IpNotAllowedError)
    assert error.address == address
    assert f"create a key for {address or 'the IP address that the API sees'}" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_token_echoed_by_the_server_is_redacted(serve: Serve, status: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"reason": "x", "message": request.headers["Authorization"]}, status=status)

    async with client(await serve(echo)) as api:
        await failure(api)
        assert SECRET not in repr(api) + repr(vars(api))


@pytest.mark.parametrize(
    "echo",
    [
        "Bearer %s",
        "x" * 190 + " %s",  # quoted only partly
        "token=%s&other=1",
        '{"Authorization": "Bearer %s"}',
    ],
)
async def test_every_known_token_in_a_response_is_redacted(serve: Serve, echo: str) -> None:
    tokens = ["first-token-of-a-test", "another/token+of-a-test="]

    async def respond(_: web.Request) -> web.Response:
        message = " ".join([echo % tokens[0], quote(tokens[1], safe=""), base64.b64encode(b"me:").decode(), tokens[1]])
        return web.json_response({"message": message}, status=400)

    secrets = [SecretStr(token) for token in tokens]
    async with ClashClient(secrets, base_url=await serve(respond), requests_per_second=1000, attempts=1) as api:
        error = await failure(api)
    assert "***" in str(error)
    for token in tokens:
        assert token[:8] not in str(error)


async def test_rejected_token_is_logged_by_its_number(serve: Serve) -> None:
    async def deny_second(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == "Bearer second":
            return web.Response(status=403, body=INVALID_AUTHORIZATION)
        return web.json_response({})

    tokens = [SecretStr("first"), SecretStr("second")]
    async with ClashClient(tokens, base_url=await serve(deny_second), requests_per_second=1000) as api:
        with capture_logs() as lines:
            for _ in range(3):
                await api.clan("#2PP")
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "the API rejected token 2 of 2 as wrong or revoked" in lines[0]["reason"]


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 60.0), ("later", None), (None, None)]
)
async def test_throttled_error_has_the_seconds_of_retry_after(
    serve: Serve, header: str | None, seconds: float | None
) -> None:
    async def throttle(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={} if header is None else {"Retry-After": header})

    async with ClashClient(
        [SecretStr(SECRET)], base_url=await serve(throttle), attempts=1, wall_clock=lambda: 40.0
    ) as api:
        error = await failure(api)
    assert isinstance(error, ThrottledError)
    assert error.retry_after == seconds


async def test_response_timeout_is_unreachable(serve: Serve) -> None:
    release = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await release.wait()
        return web.json_response({})

    async with client(await serve(hang), timeout=0.1) as api:
        error = await failure(api)
    release.set()
    assert type(error) is UnreachableError
    assert "within 0.1 s: check the network" in str(error)


async def test_timeout_in_the_middle_of_a_response_is_unreachable(serve: Serve) -> None:
    release = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"a": ')
        await release.wait()
        return response

    async with client(await serve(stall), timeout=0.1) as api:
        error = await failure(api)
        release.set()
    assert type(error) is UnreachableError


async def test_refused_connection_is_unreachable(unused_tcp_port: int) -> None:
    async with client(f"http://127.0.0.1:{unused_tcp_port}/v1") as api:
        error = await failure(api)
    assert type(error) is UnreachableError
    assert (error.status, error.retryable) == (None, True)
    assert "check the network and api.base_url" in str(error)


async def test_unknown_host_is_unreachable() -> None:
    async with client("http://nowhere.invalid/v1", timeout=0.5) as api:
        assert type(await failure(api)) is UnreachableError


async def test_server_without_tls_is_unreachable(serve: Serve) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response({})

    async with client((await serve(respond)).replace("http:", "https:")) as api:
        assert type(await failure(api)) is UnreachableError


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (b"", UnreachableError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", UnreachableError),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"tag": "#2PP"}', TruncatedResponseError),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"tag": "#2PP"}', TruncatedResponseError),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\n<html>", TruncatedResponseError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\nnot packed", TruncatedResponseError),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", InvalidResponseError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", InvalidResponseError),
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk", "half a page", "not packed", "not HTTP", "lengths"],
)
async def test_broken_response_raises_a_typed_error(
    serve_raw: ServeRaw, response: bytes, expected: type[ClashError]
) -> None:
    async with client(await serve_raw(response)) as api:
        assert type(await failure(api)) is expected


async def test_response_that_ends_with_the_connection_is_valid(serve_raw: ServeRaw) -> None:
    async with client(await serve_raw(b'HTTP/1.1 200 OK\r\n\r\n{"tag": "#2PP"}')) as api:
        assert (await api.clan("#2PP")).data == {"tag": "#2PP"}


async def test_response_with_long_headers_is_accepted(serve_raw: ServeRaw) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Trace: %b\r\nContent-Length: 2\r\n\r\n{}" % (b"a" * 60_000)
    async with client(await serve_raw(head)) as api:
        assert (await api.clan("#2PP")).data == {}


async def test_response_with_a_too_long_header_is_invalid(serve_raw: ServeRaw) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Trace: %b\r\nContent-Length: 2\r\n\r\n{}" % (b"a" * 70_000)
    async with client(await serve_raw(head)) as api:
        error = await failure(api)
    assert type(error) is InvalidResponseError
    assert "is not valid HTTP (Got more than 65536 bytes" in str(error)


async def test_response_with_repeated_content_length_is_invalid(serve_raw: ServeRaw) -> None:
    async with client(await serve_raw(b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 2\r\n" * 2 + b"\r\n{}")) as api:
        error = await failure(api)
    assert type(error) is InvalidResponseError
    assert "Content-Length" in str(error)
    assert "any proxy in between" in str(error)


async def test_byte_order_mark_before_the_json_is_ignored(serve_raw: ServeRaw) -> None:
    async with client(await serve_raw(b'HTTP/1.1 200 OK\r\n\r\n\xef\xbb\xbf{"tag": "#2PP"}')) as api:
        response = await api.clan("#2PP")
    assert response.data == {"tag": "#2PP"}
    assert response.body.startswith(b"{")
