"""Retries of the client, in simulated time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import structlog
from aiohttp import web
from pydantic import SecretStr

from coc2mqtt.clash import (
    BadRequestError,
    ClashClient,
    ClashError,
    DeniedError,
    InvalidResponseError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    TruncatedResponseError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]
    ServeRaw = Callable[[bytes], Awaitable[str]]

pytestmark = pytest.mark.looptime


class ScriptedApi:
    """Sends one response after the other and repeats the last one; records the time and the token of each request."""

    def __init__(self, *responses: tuple[int, bytes, dict[str, str]]) -> None:
        self._responses = list(responses)
        self.times: list[float] = []
        self.tokens: list[str] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.times.append(asyncio.get_running_loop().time())
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        status, body, headers = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        return web.Response(status=status, body=body, headers=headers)

    @property
    def delays(self) -> list[float]:
        """The seconds between the requests."""
        return [later - earlier for earlier, later in pairwise(self.times)]


OK = (200, b"{}", dict[str, str]())
BAD_GATEWAY = (502, b"<html>", dict[str, str]())
THROTTLED = (429, b"", dict[str, str]())


def throttled(seconds: float) -> tuple[int, bytes, dict[str, str]]:
    return 429, b"", {"Retry-After": str(seconds)}


def client(base_url: str, tokens: int = 1, attempts: int = 3, requests_per_second: float = 1000.0) -> ClashClient:
    return ClashClient(
        [SecretStr(f"t{number}") for number in range(tokens)],
        base_url=base_url,
        attempts=attempts,
        requests_per_second=requests_per_second,
    )


async def test_temporary_failure_is_retried_until_it_succeeds(serve: Serve) -> None:
    server = ScriptedApi(BAD_GATEWAY, BAD_GATEWAY, OK)
    async with client(await serve(server)) as api:
        assert (await api.clan("#2PP")).data == {}
    assert len(server.times) == 3


@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_last_error_is_raised_after_all_attempts(serve: Serve, attempts: int) -> None:
    server = ScriptedApi(BAD_GATEWAY)
    async with client(await serve(server), attempts=attempts) as api:
        with pytest.raises(ServerError):
            await api.clan("#2PP")
    assert len(server.times) == attempts


async def test_retry_delay_doubles_up_to_5_seconds_with_jitter_of_1(serve: Serve) -> None:
    server = ScriptedApi(BAD_GATEWAY)
    async with client(await serve(server), attempts=7) as api:
        with pytest.raises(ServerError):
            await api.clan("#2PP")
    for delay, least in zip(server.delays, [0.5, 1, 2, 4, 5, 5], strict=True):
        assert least - 1e-3 <= delay <= min(least + 1, 5) + 1e-2


async def test_retry_delays_differ_between_requests(serve: Serve) -> None:
    server = ScriptedApi(BAD_GATEWAY)
    async with client(await serve(server), attempts=2) as api:
        for _ in range(10):
            with pytest.raises(ServerError):
                await api.clan("#2PP")
    assert max(server.delays[::2]) - min(server.delays[::2]) > 0.01


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b'{"reason":"inMaintenance"}', MaintenanceError),
        (403, b'{"reason":"accessDenied"}', PrivateWarLogError),
        (403, b"", DeniedError),
        (404, b"", NotFoundError),
        (400, b"", BadRequestError),
        (302, b"", InvalidResponseError),
        (200, b"<html>", InvalidResponseError),
    ],
)
async def test_permanent_failure_is_not_retried(
    serve: Serve, status: int, body: bytes, error: type[ClashError]
) -> None:
    server = ScriptedApi((status, body, {}), OK)
    async with client(await serve(server)) as api:
        with pytest.raises(error):
            await api.current_war("#2PP")
    assert len(server.times) == 1


async def test_truncated_response_is_retried(serve: Serve) -> None:
    requests = 0

    async def truncate_first(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        if requests > 1:
            return web.json_response({"a": 1})
        response = web.StreamResponse(headers={"Content-Length": "99"})
        await response.prepare(request)
        await response.write(b'{"a": ')
        assert request.transport is not None
        request.transport.close()
        return response

    async with client(await serve(truncate_first)) as api:
        assert (await api.clan("#2PP")).data == {"a": 1}
    assert requests == 2


async def test_response_that_is_always_truncated_is_invalid(serve_raw: ServeRaw) -> None:
    async with client(await serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")) as api:
        with pytest.raises(InvalidResponseError) as raised:
            await api.clan("#2PP")
    assert isinstance(raised.value, TruncatedResponseError)
    assert raised.value.kind == "bad_answer"


async def test_dropped_connections_are_retried(serve: Serve) -> None:
    drops = 2

    async def drop(request: web.Request) -> web.Response:
        nonlocal drops
        if drops:
            drops -= 1
            assert request.transport is not None
            request.transport.close()
        return web.json_response({})

    async with client(await serve(drop)) as api:
        assert (await api.clan("#2PP")).data == {}
    assert drops == 0


async def test_refused_connection_is_retried(unused_tcp_port: int) -> None:
    start = asyncio.get_running_loop().time()
    async with client(f"http://127.0.0.1:{unused_tcp_port}/v1", attempts=2) as api:
        with pytest.raises(UnreachableError):
            await api.clan("#2PP")
    assert asyncio.get_running_loop().time() - start >= 0.5 - 1e-3


async def test_retries_keep_the_rate_limit(serve: Serve) -> None:
    server = ScriptedApi(BAD_GATEWAY, BAD_GATEWAY, OK)
    async with client(await serve(server), requests_per_second=0.1) as api:
        await api.clan("#2PP")
    assert server.delays == pytest.approx([10, 10], abs=1e-2)


async def test_throttled_token_waits_as_long_as_the_api_asks(serve: Serve) -> None:
    server = ScriptedApi(throttled(0.2), OK)
    async with client(await serve(server)) as api:
        await api.clan("#2PP")
    assert 0.18 < server.delays[0] < 0.4


async def test_throttled_token_is_paused_while_another_one_works(serve: Serve) -> None:
    server = ScriptedApi((429, b'{"reason":"requestThrottled"}', {}), OK)
    async with client(await serve(server), tokens=2) as api:
        for _ in range(5):
            await api.clan("#2PP")
    assert server.tokens == ["t0"] + ["t1"] * 5


async def test_throttling_of_every_token_is_raised(serve: Serve) -> None:
    server = ScriptedApi(throttled(60))
    async with client(await serve(server), tokens=2, attempts=2) as api:
        with pytest.raises(ThrottledError) as raised:
            await api.clan("#2PP")
    assert server.tokens == ["t0", "t1"]
    assert raised.value.retry_after == 60


async def test_request_can_be_cancelled_between_two_attempts(serve: Serve) -> None:
    server = ScriptedApi(throttled(5), OK)
    async with client(await serve(server)) as api:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await api.clan("#2PP")
    assert len(server.times) == 1


async def test_token_throttled_for_long_fails_requests_at_once(serve: Serve) -> None:
    server = ScriptedApi(throttled(3600), OK)
    async with client(await serve(server)) as api:
        start = asyncio.get_running_loop().time()
        with pytest.raises(ThrottledError):
            await api.clan("#2PP")
        with pytest.raises(ThrottledError, match="every token"):
            await api.clan("#2PP")
        assert asyncio.get_running_loop().time() - start < 1
        await asyncio.sleep(121)  # a nonsensical header costs at most two minutes
        assert (await api.clan("#2PP")).data == {}
    assert len(server.times) == 2


async def test_waiting_requests_fail_at_once_if_throttling_continues(serve: Serve) -> None:
    server = ScriptedApi(THROTTLED)
    async with client(await serve(server), attempts=1) as api:
        start = asyncio.get_running_loop().time()
        results = await asyncio.gather(*(api.clan("#2PP") for _ in range(300)), return_exceptions=True)
        assert {type(result) for result in results} == {ThrottledError}
        assert 9 < asyncio.get_running_loop().time() - start < 12, "as long as three pauses"


async def test_waiting_requests_outlast_a_short_pause(serve: Serve) -> None:
    server = ScriptedApi(THROTTLED, OK, THROTTLED, OK)
    async with client(await serve(server)) as api:
        responses = await asyncio.gather(*(api.clan("#2PP") for _ in range(20)))
    assert len(responses) == 20


async def test_retries_are_not_logged(serve: Serve) -> None:
    with structlog.testing.capture_logs() as lines:
        async with client(await serve(ScriptedApi(BAD_GATEWAY, OK))) as api:
            await api.clan("#2PP")
    assert lines == []
