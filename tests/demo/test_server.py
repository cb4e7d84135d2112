"""The simulated API over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from coc2mqtt.demo import DemoServer, World, faults
from coc2mqtt.demo.server import EVERYTHING
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Json = dict[str, Any]
MAINTENANCE = {"reason": "inMaintenance", "message": "API is currently in maintenance, please come back later"}


class Client:
    """Requests a path, with ``#`` as ``%23``, and reads the whole response."""

    def __init__(self, session: aiohttp.ClientSession, server: DemoServer) -> None:
        self._session = session
        self._server = server

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        url = URL(self._server.base_url + path.replace("#", "%23"), encoded=True)
        async with self._session.get(url, headers=headers) as response:
            await response.read()
            return response


@pytest.fixture
async def server(world: World) -> AsyncIterator[DemoServer]:
    async with DemoServer(world, max_age=60) as server:
        yield server


@pytest.fixture
async def client(server: DemoServer) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, server)


async def test_responses_have_the_worlds_bodies_and_recorded_headers(world: World, client: Client) -> None:
    clan, player = world.clan_tags[0], world.player_tags[0]
    world.start_league(clan)
    world.start_raids(clan)
    war = (world.league_group(clan) or {})["rounds"][0]["warTags"][0]
    for path, body in (
        (f"/clans/{clan}/currentwar/leaguegroup", world.league_group(clan)),
        (f"/clanwarleagues/wars/{war}", world.league_war(war)),
        (f"/clans/{clan}/capitalraidseasons", world.raid_seasons(clan)),
        (f"/clans/{clan}", world.clan(clan)),
        (f"/clans/{clan}/currentwar", world.current_war(clan)),
        (f"/clans/{clan}/warlog", world.war_log(clan)),
        (f"/clans/{clan}/warlog?limit=1", world.war_log(clan)),
        (f"/players/{player}", world.player(player)),
        ("/players/#JY9J2Y99", world.player("#JY9J2Y99")),
    ):
        response = await client.get(path)
        assert response.status == 200
        assert await response.json() == body
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.headers["Cache-Control"] == "max-age=60"


async def test_raid_weekends_are_limited(world: World, client: Client) -> None:
    clan = world.clan_tags[0]
    for _ in range(2):
        world.start_raids(clan)
        world.end_raids(clan)
    world.start_raids(clan)
    states = []
    for limit in ("?limit=1", "?limit=2", "", "?limit=1"):
        body = await (await client.get(f"/clans/{clan}/capitalraidseasons{limit}")).json()
        states.append([item["state"] for item in body["items"]])
    assert states == [["ongoing"], ["ongoing", "ended"], ["ongoing", "ended", "ended"], ["ongoing"]]


async def test_clan_without_league_and_raids(world: World, client: Client) -> None:
    clan = world.clan_tags[0]
    response = await client.get(f"/clans/{clan}/currentwar/leaguegroup")
    assert (response.status, await response.json()) == (404, {"reason": "notFound"})
    assert response.headers["Cache-Control"] == "max-age=60"
    response = await client.get(f"/clans/{clan}/capitalraidseasons?limit=1")
    assert (response.status, await response.json()) == (200, {"items": [], "paging": {"cursors": {}}})
    world.sign_up(clan)
    response = await client.get(f"/clans/{clan}/currentwar/leaguegroup")
    assert (response.status, await response.json()) == (200, {"state": "notInWar"})


async def test_locations_are_served_for_cocapi(client: Client) -> None:
    response = await client.get("/locations")
    assert (response.status, (await response.json())["items"]) == (200, [])


async def test_change_is_in_the_next_response(world: World, client: Client) -> None:
    clan, player = world.clan_tags[0], world.player_tags[0]
    world.declare_war(clan)
    world.start_league(clan)
    world.start_league_battle(clan)
    world.start_raids(clan)
    league_war = (world.league_group(clan) or {})["rounds"][0]["warTags"][0]
    paths = (
        *(f"/clans/{clan}", f"/clans/{clan}/currentwar", f"/clans/{clan}/warlog", f"/players/{player}"),
        *(f"/clans/{clan}/currentwar/leaguegroup", f"/clanwarleagues/wars/{league_war}"),
        f"/clans/{clan}/capitalraidseasons",
    )
    for path in paths:
        await client.get(path)
    world.join(clan)
    world.replace_war(clan)
    world.rename_player(player)
    for change in (world.league_attack, world.draw_round, world.raid_attack):
        change(clan)
    answers = [await (await client.get(path)).json() for path in paths]
    assert answers == [
        *(world.clan(clan), world.current_war(clan), world.war_log(clan), world.player(player)),
        *(world.league_group(clan), world.league_war(league_war), world.raid_seasons(clan)),
    ]


async def test_opponent_shows_the_war_but_no_clan(world: World, client: Client) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    opponent = (world.current_war(clan) or {})["opponent"]["tag"]
    states = []
    changes: list[Callable[[], object]] = [
        lambda: world.start_battle(clan),
        lambda: world.attack(clan),
        lambda: world.shift_war(clan, timedelta(hours=1)),
        lambda: world.replace_war(clan),
        lambda: world.start_battle(clan),
    ]
    for change in changes:
        change()
        body = await (await client.get(f"/clans/{opponent}/currentwar")).json()
        assert body == world.current_war(opponent)
        states.append((body["state"], body["endTime"], body["opponent"]["attacks"] + body["clan"]["attacks"]))
    begun, attacked, shifted, *replaced = states
    assert begun[0] == attacked[0] == shifted[0] == "inWar"
    assert (begun[2], attacked[2]) == (0, 1)
    assert shifted[1] != attacked[1]
    assert replaced == [("warEnded", *shifted[1:])] * 2
    assert (await client.get(f"/clans/{opponent}")).status == 404
    assert (await client.get(f"/clans/{opponent}/warlog")).status == 404


async def test_player_who_left_is_not_found(world: World, client: Client) -> None:
    clan = world.clan_tags[0]
    member = world.join(clan)[-1].details["member_tag"]
    assert (await client.get(f"/players/{member}")).status == 200
    world.leave(clan, member)
    assert (await client.get(f"/players/{member}")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/clans/#2PPP", "/clans/#2PPP/currentwar", "/clans/#2PPP/warlog", "/clans/#2PPP/capitalraidseasons"),
        *("/clanwarleagues/wars/#2PPP", "/players/#2PPP"),
    ],
)
async def test_unknown_tag_returns_404(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 404
    assert await response.json() == {"reason": "notFound", "message": "Not found with tag 2PPP"}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "public max-age=600"


@pytest.mark.parametrize("path", ["/clans/#ABC", "/clans/2PPP", "/players/#2ppp", "/clans/#0/currentwar"])
async def test_invalid_tag_returns_400(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 400
    assert (await response.json())["reason"] == "badRequest"


@pytest.mark.parametrize("path", ["/clans", "/clans/#2PP/members", "/goldpass/seasons/next", ""])
async def test_unknown_endpoint_returns_404(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 404
    assert await response.json() == {"reason": "notFound"}


@pytest.mark.parametrize("endpoint", ["currentwar", "warlog"])
async def test_private_war_log_returns_403_without_message(world: World, client: Client, endpoint: str) -> None:
    path = f"/clans/{world.clan_tags[1]}/{endpoint}"
    response = await client.get(path)
    assert response.status == 403
    assert await response.json() == {"reason": "accessDenied"}
    assert response.headers["Cache-Control"] == "max-age=60"
    world.set_war_log_public(world.clan_tags[1], public=True)
    assert (await client.get(path)).status == 200


async def test_maintenance_answers_every_request(world: World, client: Client) -> None:
    clan = world.clan_tags[0]
    paths = (f"/clans/{clan}", f"/clans/{clan}/currentwar", f"/players/{world.player_tags[0]}", "/players/#2PPP")
    world.start_maintenance()
    for path in paths:
        response = await client.get(path)
        assert response.status == 503
        assert await response.json() == MAINTENANCE
    world.end_maintenance()
    assert [(await client.get(path)).status for path in paths] == [200, 200, 200, 404]


async def test_configured_token_is_required(world: World) -> None:
    path = f"/clans/{world.clan_tags[0]}"
    async with (
        DemoServer(world, token=SecretStr("right")) as server,
        aiohttp.ClientSession() as session,
    ):
        client = Client(session, server)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "right"}):
            response = await client.get(path, **headers)
            assert response.status == 403
            assert await response.json() == {"reason": "accessDenied", "message": "Invalid authorization"}
        assert (await client.get(path, Authorization="Bearer right")).status == 200


async def test_requests_are_counted_by_path(world: World, server: DemoServer, client: Client) -> None:
    clan = world.clan_tags[0]
    for path in (f"/clans/{clan}", f"/clans/{clan}", f"/clans/{clan}/currentwar", "/players/#2PPP"):
        await client.get(path)
    assert server.requests == {f"/v1/clans/{clan}": 2, f"/v1/clans/{clan}/currentwar": 1, "/v1/players/#2PPP": 1}


async def test_server_stops_at_the_end_of_its_block(world: World) -> None:
    async with DemoServer(world) as server, aiohttp.ClientSession() as session:
        url = server.base_url
        assert url.endswith("/v1")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.base_url


async def test_port_in_use_raises_an_error(world: World, server: DemoServer) -> None:
    port = URL(server.base_url).port
    assert port is not None
    with pytest.raises(OSError, match="in use"):
        async with DemoServer(world, port=port):
            pytest.fail("two servers on one port")


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (faults.refusal(500, "unknownException"), 500, {"reason": "unknownException"}),
        (faults.refusal(503, "inMaintenance", MAINTENANCE["message"]), 503, MAINTENANCE),
        (faults.throttled(), 429, {"reason": "requestThrottled"}),
        (faults.wrong_token(), 403, {"reason": "accessDenied", "message": "Invalid authorization"}),
        (
            faults.wrong_address("198.51.100.4"),
            403,
            {
                "reason": "accessDenied.invalidIp",
                "message": "Invalid authorization: API key does not allow access from IP 198.51.100.4",
            },
        ),
    ],
)
async def test_error_response_has_status_and_reason(
    server: DemoServer, client: Client, fault: faults.Fault, status: int, body: Json
) -> None:
    server.faults.add(fault)
    response = await client.get("/clans/#2PP")
    assert (response.status, await response.json()) == (status, body)
    assert "Retry-After" not in response.headers


async def test_throttling_sends_retry_after(server: DemoServer, client: Client) -> None:
    server.faults.add(faults.throttled(retry_after=7))
    response = await client.get("/clans/#2PP")
    assert (response.status, response.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize("status", [502, 503])
async def test_proxy_responds_with_html(server: DemoServer, client: Client, status: int) -> None:
    server.faults.add(faults.html_page(status))
    response = await client.get("/clans/#2PP")
    assert (response.status, response.content_type) == (status, "text/html")
    assert (await response.text()).startswith("<html>")


async def test_response_can_be_invalid_json(server: DemoServer, client: Client) -> None:
    server.faults.add(faults.not_json())
    response = await client.get("/clans/#2PP")
    assert (response.status, response.content_type) == (200, "application/json")
    with pytest.raises(ValueError, match="Expecting value"):
        await response.json()


async def test_member_list_can_be_empty_with_unchanged_count(world: World, server: DemoServer, client: Client) -> None:
    clan = world.clan_tags[0]
    server.faults.add(faults.empty_member_list(), times=1)
    body = await (await client.get(f"/clans/{clan}")).json()
    assert body == {**(world.clan(clan) or {}), "memberList": []}
    assert await (await client.get(f"/clans/{clan}")).json() == world.clan(clan)


async def test_response_can_be_truncated(world: World, server: DemoServer, client: Client) -> None:
    server.faults.add(faults.truncated(), times=1)
    path = f"/clans/{world.clan_tags[0]}"
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get(path)
    assert (await client.get(path)).status == 200


async def test_connection_can_be_reset(server: DemoServer) -> None:
    server.faults.add(faults.reset(), times=1)
    host, port = URL(server.base_url).host, URL(server.base_url).port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /v1/clans/%232PP HTTP/1.1\r\nHost: demo\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


async def test_server_stops_despite_a_hanging_response(world: World) -> None:
    async with asyncio.timeout(LONG_ENOUGH), aiohttp.ClientSession() as session, DemoServer(world) as server:
        server.faults.add(faults.hang())
        client = Client(session, server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get("/clans/#2PP")
        server.faults.clear()
        arrived = asyncio.Event()

        async def arrive(request: web.Request, handler: faults.Handler) -> web.Response:
            arrived.set()
            return await handler(request)

        server.faults.add(arrive)
        server.faults.add(faults.hang())
        forsaken = asyncio.create_task(client.get("/clans/#2PP"))
        await arrived.wait()
    with pytest.raises(aiohttp.ClientError):
        await forsaken


async def test_latency_delays_the_next_fault(server: DemoServer, client: Client) -> None:
    server.faults.add(faults.latency(0.05))
    server.faults.add(faults.throttled())
    loop = asyncio.get_running_loop()
    begin = loop.time()
    assert (await client.get("/clans/#2PP")).status == 429
    assert loop.time() - begin >= 0.05


async def test_fault_applies_to_matching_requests_and_count(world: World, server: DemoServer, client: Client) -> None:
    one, two = world.clan_tags
    server.faults.add(faults.throttled(), times=2, path=one)
    server.faults.add(faults.html_page(), path="/currentwar")
    statuses = [
        (await client.get(path)).status
        for path in (
            f"/clans/{two}",
            f"/clans/{one}",
            f"/clans/{one}/currentwar",
            f"/clans/{one}",
            f"/clans/{one}/currentwar",
        )
    ]
    assert statuses == [200, 429, 429, 200, 502]
    server.faults.clear()
    assert (await client.get(f"/clans/{one}/currentwar")).status == 200


async def test_wait_watched_returns_after_a_request_for_each_watched_resource(
    world: World, server: DemoServer, client: Client
) -> None:
    waiting = asyncio.create_task(server.wait_watched(resources=EVERYTHING))
    clans = [f"/clans/{tag}" for tag in world.clan_tags]
    *others, last = [
        *clans,
        *(f"/players/{tag}" for tag in world.player_tags),
        *(f"{clan}/{resource}" for clan in clans for resource in EVERYTHING),
    ]
    for path in others:
        await client.get(path)
    assert not waiting.done()
    await client.get(last)
    async with asyncio.timeout(LONG_ENOUGH):
        await waiting
