"""The client with recorded responses of the real API, served with their status and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from coc2mqtt.clash import (
    ApiResponse,
    ClashClient,
    ClashError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ThrottledError,
)
from coc2mqtt.clash.response import parse_max_age
from tests.support.paths import SHARED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]

FIXTURES = SHARED / "fixtures"

pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the recordings are not at ../shared/fixtures")

GOOD = [
    ("clan", "mockapi/clans/clans/CLAN.json", 60),
    ("clan", "cocpy/clans/clans/CLAN.json", 91),
    ("current_war", "mockapi/clans/currentwar/NOTINWAR.json", 120),
    ("current_war", "mockapi/clans/currentwar/PREPARATION.json", 120),
    ("current_war", "mockapi/clans/currentwar/INWAR.json", 120),
    ("current_war", "mockapi/clans/currentwar/ENDED.json", 120),
    ("player", "mockapi/players/player/FOUND.json", 60),
    ("player", "cocpy/players/player/FOUND.json", 60),
]
ERRORS = [
    ("current_war", "mockapi/clans/currentwar/ACCESSDENIED.json", PrivateWarLogError, 120),
    ("player", "mockapi/players/player/NOTFOUND.json", NotFoundError, 600),
]
# Described in fixtures/SOURCES.md: these have no recordings.
UNRECORDED = [
    (
        503,
        '{"reason":"inMaintenance","message":"API is currently in maintenance, please come back later"}',
        MaintenanceError,
    ),
    (429, '{"reason":"requestThrottled"}', ThrottledError),
    (
        403,
        (
            '{"reason":"accessDenied.invalidIp",'
            '"message":"Invalid authorization: API key does not allow access from IP 203.0.113.7"}'
        ),
        IpNotAllowedError,
    ),
]


def recording(file: str) -> dict[str, Any]:
    wrapped: dict[str, Any] = orjson.loads((FIXTURES / file).read_bytes())
    return wrapped


async def fetch(serve: Serve, endpoint: str, status: int, body: bytes, headers: dict[str, str]) -> ApiResponse:
    async def replay(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    async with ClashClient([SecretStr("token")], base_url=await serve(replay), attempts=1) as api:
        response: ApiResponse = await getattr(api, endpoint)("#2PP")
        return response


@pytest.mark.parametrize(("endpoint", "file", "max_age"), GOOD, ids=[file for _, file, _ in GOOD])
async def test_recorded_response_is_returned_unchanged(serve: Serve, endpoint: str, file: str, max_age: float) -> None:
    recorded = recording(file)
    body = orjson.dumps(recorded["body"])
    response = await fetch(serve, endpoint, recorded["response_code"], body, recorded["headers"])
    assert response == ApiResponse(200, body, max_age)
    assert response.data == recorded["body"]


@pytest.mark.parametrize(("endpoint", "file", "error", "max_age"), ERRORS, ids=[file for _, file, *_ in ERRORS])
async def test_recorded_error_raises_its_typed_error(
    serve: Serve, endpoint: str, file: str, error: type[ClashError], max_age: float
) -> None:
    recorded = recording(file)
    with pytest.raises(error) as raised:
        await fetch(serve, endpoint, recorded["response_code"], orjson.dumps(recorded["body"]), recorded["headers"])
    assert type(raised.value) is error
    assert (raised.value.status, raised.value.max_age) == (recorded["response_code"], max_age)


@pytest.mark.parametrize("endpoint", ["clan", "current_war", "player"])
@pytest.mark.parametrize(("status", "body", "error"), UNRECORDED, ids=[str(status) for status, *_ in UNRECORDED])
async def test_unrecorded_error_raises_its_typed_error(
    serve: Serve, endpoint: str, status: int, body: str, error: type[ClashError]
) -> None:
    with pytest.raises(error) as raised:
        await fetch(serve, endpoint, status, body.encode(), {"Content-Type": "application/json"})
    assert type(raised.value) is error
    assert raised.value.status == status


@pytest.mark.parametrize("file", sorted(str(path.relative_to(FIXTURES)) for path in FIXTURES.glob("[mc]*/**/*.json")))
def test_every_recorded_cache_control_is_parsed(file: str) -> None:
    assert parse_max_age(recording(file)["headers"]["cache-control"]) > 0
