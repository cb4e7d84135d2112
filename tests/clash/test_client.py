from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from pydantic import SecretStr

from coc2mqtt.clash import ApiResponse, ClashClient, InvalidResponseError, InvalidTagError, WrongTokenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]

TOKENS = [SecretStr("first"), SecretStr("second")]


def client(base_url: str, tokens: list[SecretStr] = TOKENS, **options: float | str) -> ClashClient:
    return ClashClient(tokens, base_url=base_url, **{"requests_per_second": 1000.0, **options})  # type: ignore[arg-type]  # mixed options


class Recorder:
    """A server that records the requests and always sends the same successful response."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.connections: set[object] = set()

    async def __call__(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.connections.add(request.transport)
        return web.Response(body=b' {"tag": "#2PP"}\n', headers={"Cache-Control": "max-age=91"})


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


async def test_response_has_the_body_as_received_and_its_max_age(serve: Serve, recorder: Recorder) -> None:
    async with client(await serve(recorder)) as api:
        response = await api.clan("#2PP")
    assert response == ApiResponse(status=200, body=b' {"tag": "#2PP"}\n', max_age=91.0)
    assert response.data == {"tag": "#2PP"}


async def test_tags_are_normalized_and_encoded_in_the_path(serve: Serve, recorder: Recorder) -> None:
    async with client(await serve(recorder)) as api:
        await api.clan(" 2pp ")
        await api.current_war("%232PP")
        await api.player("#9oopucpv")
    assert [(request.method, request.raw_path) for request in recorder.requests] == [
        ("GET", "/v1/clans/%232PP"),
        ("GET", "/v1/clans/%232PP/currentwar"),
        ("GET", "/v1/players/%23900PUCPV"),
    ]


async def test_trailing_slash_of_the_base_url_is_ignored(serve: Serve, recorder: Recorder) -> None:
    async with client(await serve(recorder) + "/") as api:
        await api.clan("#2PP")
    assert recorder.requests[0].raw_path == "/v1/clans/%232PP"


@pytest.mark.parametrize("endpoint", ["clan", "current_war", "player"])
async def test_invalid_tag_is_rejected_before_a_request(serve: Serve, recorder: Recorder, endpoint: str) -> None:
    async with client(await serve(recorder)) as api:
        with pytest.raises(InvalidTagError):
            await getattr(api, endpoint)("#/../players")
    assert recorder.requests == []


async def test_tokens_are_used_in_turn_in_the_authorization_header(serve: Serve, recorder: Recorder) -> None:
    async with client(await serve(recorder), user_agent="coc2mqtt/test") as api:
        for _ in range(4):
            await api.clan("#2PP")
    seen = [request.headers["Authorization"] for request in recorder.requests]
    assert seen == ["Bearer first", "Bearer second"] * 2
    assert {request.headers["User-Agent"] for request in recorder.requests} == {"coc2mqtt/test"}


async def test_rejected_token_is_skipped_while_another_one_works(serve: Serve) -> None:
    seen: list[str] = []

    async def reject_first(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"].removeprefix("Bearer "))
        if seen[-1] == "first":
            return web.json_response({"reason": "accessDenied", "message": "Invalid authorization"}, status=403)
        return web.json_response({})

    async with client(await serve(reject_first)) as api:
        for _ in range(4):
            await api.clan("#2PP")
    assert seen == ["first", "second", "second", "second", "second"]


async def test_rejection_of_all_tokens_is_raised_at_once(serve: Serve) -> None:
    requests = 0

    async def reject(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.json_response({"reason": "accessDenied", "message": "Invalid authorization"}, status=403)

    async with client(await serve(reject)) as api:
        for _ in range(3):
            with pytest.raises(WrongTokenError):
                await api.clan("#2PP")
    assert requests == 4, "one with each token, then only with the last one"


async def test_white_space_around_a_token_is_removed(serve: Serve, recorder: Recorder) -> None:
    async with client(await serve(recorder), [SecretStr(" from-a-file\n")]) as api:
        await api.clan("#2PP")
    assert recorder.requests[0].headers["Authorization"] == "Bearer from-a-file"


async def test_sequential_requests_share_one_connection(serve: Serve, recorder: Recorder) -> None:
    async with client(await serve(recorder)) as api:
        for _ in range(10):
            await api.clan("#2PP")
    assert len(recorder.requests) == 10
    assert len(recorder.connections) == 1


async def test_error_response_keeps_the_connection_open(serve: Serve) -> None:
    connections = set()

    async def reject(request: web.Request) -> web.Response:
        connections.add(request.transport)
        return web.json_response({"reason": "notFound"}, status=404)

    async with client(await serve(reject)) as api:
        results = [await asyncio.gather(api.clan("#2PP"), return_exceptions=True) for _ in range(5)]
    assert len(results) == 5
    assert len(connections) == 1


async def test_requests_keep_the_rate_of_their_token(serve: Serve) -> None:
    times: list[float] = []

    async def record(_: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return web.json_response({})

    async with client(await serve(record), TOKENS[:1], requests_per_second=50) as api:
        await asyncio.gather(*(api.clan("#2PP") for _ in range(6)))
    assert times[-1] - times[0] > 5 / 50 * 0.9


async def test_requests_are_concurrent(serve: Serve) -> None:
    barrier = asyncio.Barrier(20)

    async def wait(_: web.Request) -> web.Response:
        await barrier.wait()
        return web.json_response({})

    async with client(await serve(wait)) as api:
        responses = await asyncio.gather(*(api.clan("#2PP") for _ in range(20)))
    assert [response.data for response in responses] == [{}] * 20


async def test_compressed_response_is_decompressed(serve: Serve) -> None:
    async def compress(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})

    async with client(await serve(compress)) as api:
        assert (await api.clan("#2PP")).data == {"a": 1}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
async def test_response_that_is_too_long_is_rejected(serve: Serve, compressed: bool) -> None:
    body = b'{"a": "' + b"x" * 300_000 + b'"}'

    async def flood(_: web.Request) -> web.Response:
        if compressed:
            return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        return web.Response(body=body)

    base_url = await serve(flood)
    async with client(base_url, max_body_bytes=len(body)) as api:
        assert len((await api.clan("#2PP")).body) == len(body)
    async with client(base_url, max_body_bytes=len(body) - 1) as api:
        with pytest.raises(InvalidResponseError, match=r"longer than 300008 bytes: check api\.base_url"):
            await api.clan("#2PP")


async def test_client_is_open_from_entering_until_closing(serve: Serve, recorder: Recorder) -> None:
    api = client(await serve(recorder))
    assert not api.is_open
    async with api:
        assert api.is_open
        with pytest.raises(RuntimeError, match="open already"):
            await api.__aenter__()
        await api.clan("#2PP")
        await api.close()
        assert not api.is_open
        await api.close()
    async with api:
        await api.clan("#2PP")
    assert len(recorder.requests) == 2


@pytest.mark.parametrize("endpoint", ["clan", "current_war", "player"])
async def test_request_without_an_open_client_raises_with_the_remedy(endpoint: str) -> None:
    with pytest.raises(RuntimeError, match="async with ClashClient"):
        await getattr(ClashClient(TOKENS), endpoint)("#2PP")


def test_client_without_tokens_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"create a key at https://developer\.clashofclans\.com"):
        ClashClient([])


@pytest.mark.parametrize("token", ["", " \n", "two parts", "a\r\nX-Header: b", "tökén"])
def test_malformed_token_is_rejected_by_its_number(token: str) -> None:
    with pytest.raises(ValueError, match=r"token 2 of 2 in api\.tokens") as raised:
        ClashClient([SecretStr("good-token"), SecretStr(token)])
    assert "good-token" not in str(raised.value)
    assert not token.strip() or token not in str(raised.value)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.clashofclans.com/v1",
        "ftp://api.clashofclans.com",
        "http://",
        "https://me:pw@host/v1",
        "https://host/v1?a=b",
    ],
)
def test_invalid_base_url_is_rejected(base_url: str) -> None:
    with pytest.raises(
        ValueError, match=r"api\.base_url must be an http or https URL without a user and a query, such as"
    ):
        ClashClient(TOKENS, base_url=base_url)


async def test_client_works_after_a_request_was_cancelled(serve: Serve) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        if request.path.startswith("/v1/players"):
            arrived.set()
            await release.wait()
        return web.json_response({})

    async with client(await serve(hang)) as api:
        task = asyncio.create_task(api.player("#2PP"))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert (await api.clan("#2PP")).data == {}


@pytest.mark.parametrize(
    ("headers", "max_age"),
    [
        ({"Cache-Control": "max-age=86400"}, 900.0),
        ({"Cache-Control": "max-age=120", "Age": "50"}, 70.0),
        ({"Cache-Control": "max-age=120"}, 120.0),
        ({"Age": "50"}, 0.0),
    ],
)
async def test_max_age_is_at_most_15_minutes(serve: Serve, headers: dict[str, str], max_age: float) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response({}, headers=headers)

    async with client(await serve(respond)) as api:
        assert (await api.clan("#2PP")).max_age == max_age
