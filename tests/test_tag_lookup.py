"""Looking up tags with the real client and a scripted API."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from coc2mqtt.clash.client import ClashApi, ClashClient
from coc2mqtt.clash.errors import NotFoundError, UnreachableError
from coc2mqtt.clash.response import ApiResponse
from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.control.request import CommandError
from coc2mqtt.tag_lookup import TagLookup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

TOKEN = "a-token-that-must-not-be-shown"


@asynccontextmanager
async def api_with(status: int, body: Any) -> AsyncIterator[tuple[ClashClient, list[str]]]:
    """Yield a client of an API that always responds like this, and the paths that were requested."""
    paths: list[str] = []

    async def respond(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, body=body if isinstance(body, bytes) else orjson.dumps(body))

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    async with (
        TestServer(app) as server,
        ClashClient([SecretStr(TOKEN)], base_url=str(server.make_url("/v1")), attempts=1) as client,
    ):
        yield client, paths


@pytest.mark.parametrize(("kind", "path"), [(Kind.CLAN, "/v1/clans/#2PP"), (Kind.PLAYER, "/v1/players/#2PP")])
@pytest.mark.parametrize(("name", "expected"), [("Raven Watch", "Raven Watch"), (None, None), (7, None)])
async def test_known_tag_returns_its_name(kind: Kind, path: str, name: Any, expected: str | None) -> None:
    async with api_with(200, {"tag": "#2PP", "name": name, "isWarLogPublic": False}) as (client, paths):
        assert await TagLookup(client)(kind, "#2PP") == expected
    assert paths == [path]


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (404, {"reason": "notFound"}, "No clan has the tag #2PP: check the tag, and that it is not a pl"),
        (503, {"reason": "inMaintenance"}, "#2PP was not added, because Clash of Clans is in maintenance: try ag"),
        (403, {"reason": "accessDenied.invalidIp", "message": "Invalid authorization: API key does not allow access"
         " from IP 203.0.113.9"}, "#2PP was not added, because the API rejects the token of the bridge: try again"),
        (403, {"reason": "accessDenied"}, "#2PP was not added, because the API rejects the token of the bridge: try"),
        (429, {"reason": "requestThrottled"}, "#2PP was not added, because the rate limit of the API is exceeded:"),
        (500, {"reason": "unknownException"}, "#2PP was not added, because the response of the API cannot be used"),
        (200, b"<html>", "#2PP was not added, because the response of the API cannot be used: try again later"),
    ],
)  # fmt: skip
async def test_error_is_a_sentence_without_secrets(status: int, body: Any, sentence: str) -> None:
    async with api_with(status, body) as (client, _):
        with pytest.raises(CommandError) as raised:
            await TagLookup(client)(Kind.CLAN, "#2PP")
    assert str(raised.value).startswith(sentence)
    assert (status == 404) or str(raised.value).endswith('or add it unchecked with "force": true')
    assert TOKEN not in str(raised.value)


async def test_unreachable_api_is_a_sentence() -> None:
    async with ClashClient([SecretStr(TOKEN)], base_url="http://127.0.0.1:9/v1", attempts=1) as client:
        with pytest.raises(CommandError, match="#2PP was not added, because the API cannot be reached"):
            await TagLookup(client)(Kind.CLAN, "#2PP")


class ScriptedApi:
    """Calls ``respond`` for each request."""

    def __init__(self, respond: Callable[[str], Awaitable[ApiResponse]]) -> None:
        self._respond = respond
        self.asked: list[str] = []

    @property
    def api(self) -> ClashApi:
        return cast("ClashApi", self)

    async def clan(self, tag: str) -> ApiResponse:
        self.asked.append(tag)
        return await self._respond(tag)


async def found(_: str) -> ApiResponse:
    await asyncio.sleep(1)
    return ApiResponse(200, b'{"name":"Raven Watch"}', 60.0)


async def never(_: str) -> ApiResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def look_up_all(api: ScriptedApi, tags: list[str]) -> tuple[list[Any], float]:
    """Look up all tags at once; return the results and how long that took."""
    look_up, started = TagLookup(api.api), asyncio.get_running_loop().time()
    results = await asyncio.gather(*(look_up(Kind.CLAN, tag) for tag in tags), return_exceptions=True)
    return results, asyncio.get_running_loop().time() - started


TAGS = [f"#{number}" for number in range(100)]


@pytest.mark.looptime
async def test_at_most_four_tags_are_looked_up_at_a_time() -> None:
    results, took = await look_up_all(ScriptedApi(found), TAGS)
    assert results == ["Raven Watch"] * 100
    assert took == pytest.approx(25.0)


@pytest.mark.looptime
async def test_api_that_does_not_respond_delays_all_tags_by_ten_seconds() -> None:
    api = ScriptedApi(never)
    results, took = await look_up_all(api, TAGS)
    assert all("the API did not respond in time" in str(result) for result in results)
    assert took == pytest.approx(10.0)
    assert len(api.asked) == 4


@pytest.mark.looptime
async def test_lookup_after_a_failure_asks_the_api_again() -> None:
    outcomes = iter([UnreachableError("no"), None])

    async def respond(tag: str) -> ApiResponse:
        error = next(outcomes)
        if error is not None:
            raise error
        return await found(tag)

    look_up = TagLookup(ScriptedApi(respond).api)
    with pytest.raises(CommandError):
        await look_up(Kind.CLAN, "#2PP")
    await asyncio.sleep(0.1)
    assert await look_up(Kind.CLAN, "#2PP") == "Raven Watch"


@pytest.mark.looptime
async def test_unknown_tag_does_not_affect_others() -> None:
    async def respond(tag: str) -> ApiResponse:
        if tag == "#0":
            raise NotFoundError("no such clan", status=404)
        return await found(tag)

    results, _ = await look_up_all(ScriptedApi(respond), TAGS)
    assert isinstance(results[0], CommandError)
    assert results[1:] == ["Raven Watch"] * 99


@pytest.mark.looptime
async def test_cancelled_lookup_frees_its_slot() -> None:
    api = ScriptedApi(never)
    look_up = TagLookup(api.api)
    cancelled = [asyncio.create_task(look_up(Kind.CLAN, tag)) for tag in TAGS]
    await asyncio.sleep(1)
    for task in cancelled:
        task.cancel()
    await asyncio.wait(cancelled)
    assert all(task.cancelled() for task in cancelled)
    api._respond = found
    assert await look_up(Kind.CLAN, "#2PP") == "Raven Watch"
