"""The simulated API: serves a world over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import orjson
from aiohttp import web

from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.demo.faults import Faults, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from pydantic import SecretStr

    from coc2mqtt.demo.changes import Kind
    from coc2mqtt.demo.world import World

Json = dict[str, Any]

_ERRORS_LAST = "public max-age=600"  # without the comma, as recorded
# The resources of a clan that a bridge polls for its wars, and for everything.
WARS = ("currentwar",)
EVERYTHING = (*WARS, "currentwar/leaguegroup", "capitalraidseasons")
_SHUTDOWN_TIMEOUT_S = 0.2  # for requests in progress


class DemoServer:
    """A Clash of Clans API that serves ``world``; use it as ``async with DemoServer(world) as server``.

    ``port`` 0 chooses a free one. ``max_age`` is the value of the caching header in seconds; the server itself does not
    cache. With a ``token``, every request must contain it. ``requests`` counts all requests by decoded path, such as
    ``/v1/clans/#2PP``. ``faults`` makes requests fail.
    """

    def __init__(
        self,
        world: World,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_age: int = 0,
        token: SecretStr | None = None,
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.faults = Faults()
        self._new_path = asyncio.Event()
        self._world = world
        self._host = host
        self._port = port
        self._max_age = f"max-age={max_age}"
        self._token = token
        self._bodies: dict[tuple[Kind, str, str], tuple[int, bytes]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """The base URL for clients; RuntimeError while the server is not running."""
        if self._runner is None:
            raise RuntimeError("the server is not running: use it inside 'async with DemoServer(...) as server:'")
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def wait_watched(self, *, resources: Collection[str] = WARS) -> None:
        """Wait until every clan and player to watch have been requested, and these resources of each clan."""
        clans = {f"/v1/clans/{tag}" for tag in self._world.clan_tags}
        paths = clans | {f"/v1/players/{tag}" for tag in self._world.player_tags}
        paths |= {f"{path}/{resource}" for path in clans for resource in resources}
        while not paths <= self.requests.keys():
            self._new_path.clear()
            await self._new_path.wait()

    async def _serve(self, request: web.Request) -> web.Response:
        self.requests[request.path] += 1
        if self.requests[request.path] == 1:
            self._new_path.set()
        return await self.faults.answer(request, self._respond)

    async def _respond(self, request: web.Request) -> web.Response:
        if self._world.in_maintenance:
            return json_response(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "inMaintenance",
                "API is currently in maintenance, please come back later",
            )
        if self._token is not None and not self._is_authorized(request, self._token):
            return json_response(HTTPStatus.FORBIDDEN, "accessDenied", "Invalid authorization")
        if request.path == "/v1/locations":
            # cocapi requests it when it is opened.
            return web.json_response({"items": [], "paging": {"cursors": {}}})
        return self._route(request.path.split("/")[1:], request.query)

    def _is_authorized(self, request: web.Request, token: SecretStr) -> bool:
        return request.headers.get("Authorization") == f"Bearer {token.get_secret_value()}"

    def _route(self, path: list[str], query: Mapping[str, str]) -> web.Response:
        match path:
            case ["v1", "clans", tag, *rest]:
                return self._route_clan(tag, "/".join(rest), query.get("limit", ""))
            case ["v1", "clanwarleagues", "wars", tag]:
                return self._show("league_war", tag, self._world.league_war)
            case ["v1", "goldpass", "seasons", "current"]:
                return web.json_response(self._world.gold_pass(), headers={"Cache-Control": self._max_age})
            case ["v1", "leaguegroup", group, season]:
                return self._show_group(group, season, query.get("playerTag", ""))
            case ["v1", "players", tag, *rest]:
                return self._route_player(tag, "/".join(rest))
        return _not_found(_ERRORS_LAST)

    def _route_player(self, tag: str, resource: str) -> web.Response:
        kinds: dict[str, tuple[Kind, Callable[[str], Json | None]]] = {
            "": ("player", self._world.player),
            "leaguehistory": ("ranked", self._world.league_history),
            "battlelog": ("ranked", self._world.battle_log),
        }
        if resource not in kinds:
            return _not_found(_ERRORS_LAST)
        return self._show(kinds[resource][0], tag, kinds[resource][1], variant=resource)

    def _show_group(self, group: str, season: str, player: str) -> web.Response:
        if not season.isdecimal():
            return _unknown(group)
        body = self._world.ranked_group(group, int(season), player)
        return _unknown(group) if body is None else self._found(orjson.dumps(body))

    def _route_clan(self, tag: str, resource: str, limit: str) -> web.Response:
        if resource in ("currentwar", "warlog") and self._world.is_war_log_private(tag):
            # The response for a private war log has no message, unlike other rejections.
            return json_response(HTTPStatus.FORBIDDEN, "accessDenied", Cache_Control=self._max_age)
        if resource == "capitalraidseasons":
            seasons = partial(self._world.raid_seasons, limit=int(limit) if limit.isdecimal() else None)
            return self._show("raid", tag, seasons, variant=limit)
        kinds: dict[str, tuple[Kind, Callable[[str], Json | None]]] = {
            "": ("clan", self._world.clan),
            "currentwar": ("war", self._world.current_war),
            "warlog": ("war_log", self._world.war_log),
            "currentwar/leaguegroup": ("cwl", self._world.league_group),
        }
        return (
            self._show(kinds[resource][0], tag, kinds[resource][1]) if resource in kinds else _not_found(_ERRORS_LAST)
        )

    def _show(self, kind: Kind, tag: str, find: Callable[[str], Json | None], *, variant: str = "") -> web.Response:
        """Return the body that ``find`` returns; ``variant`` distinguishes several bodies of one resource."""
        version, key = self._world.version(kind, tag), (kind, tag, variant)
        known = self._bodies.get(key)
        if known is not None and known[0] == version:
            return self._found(known[1])
        body = find(tag)
        if body is None and kind == "cwl":
            # A clan without a league may have one at the next request.
            return _not_found(self._max_age)
        if body is None:
            return _unknown(tag)
        encoded = orjson.dumps(body)
        # The number of the wars of all leagues is unlimited.
        if kind != "league_war":
            self._bodies[key] = (version, encoded)
        return self._found(encoded)

    def _found(self, body: bytes) -> web.Response:
        return web.Response(
            body=body,
            content_type="application/json",
            charset="utf-8",
            headers={"Cache-Control": self._max_age},
        )


def _not_found(caching: str) -> web.Response:
    return json_response(HTTPStatus.NOT_FOUND, "notFound", Cache_Control=caching)


def _unknown(tag: str) -> web.Response:
    try:
        is_tag = normalize_tag(tag) == tag
    except InvalidTagError:
        is_tag = False
    if not is_tag:
        return json_response(
            HTTPStatus.BAD_REQUEST, "badRequest", "Unknown value for parameter tag", Cache_Control=_ERRORS_LAST
        )
    message = f"Not found with tag {tag.removeprefix('#')}"
    return json_response(HTTPStatus.NOT_FOUND, "notFound", message, Cache_Control=_ERRORS_LAST)
