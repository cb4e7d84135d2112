"""The simulated API: serves a world over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import orjson
from aiohttp import web

from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.demo.faults import Faults, json_response

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pydantic import SecretStr

    from coc2mqtt.demo.changes import Kind
    from coc2mqtt.demo.world import World

Json = dict[str, Any]

_ERRORS_LAST = "public max-age=600"  # without the comma, as recorded
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
        self._bodies: dict[tuple[Kind, str], tuple[int, bytes]] = {}
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

    async def wait_watched(self) -> None:
        """Wait until every clan to watch, its war and every player to watch have been requested."""
        clans = {f"/v1/clans/{tag}" for tag in self._world.clan_tags}
        paths = (
            clans | {f"{path}/currentwar" for path in clans} | {f"/v1/players/{tag}" for tag in self._world.player_tags}
        )
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
        return self._route(request.path.split("/")[1:])

    def _is_authorized(self, request: web.Request, token: SecretStr) -> bool:
        return request.headers.get("Authorization") == f"Bearer {token.get_secret_value()}"

    def _route(self, path: list[str]) -> web.Response:
        match path:
            case ["v1", "clans", tag]:
                return self._show("clan", tag, self._world.clan)
            case ["v1", "clans", tag, "currentwar" | "warlog"] if self._world.is_war_log_private(tag):
                # The response for a private war log has no message, unlike other rejections.
                return json_response(HTTPStatus.FORBIDDEN, "accessDenied", Cache_Control=self._max_age)
            case ["v1", "clans", tag, "currentwar"]:
                return self._show("war", tag, self._world.current_war)
            case ["v1", "clans", tag, "warlog"]:
                return self._show("war_log", tag, self._world.war_log)
            case ["v1", "players", tag]:
                return self._show("player", tag, self._world.player)
            case _:
                return json_response(HTTPStatus.NOT_FOUND, "notFound", Cache_Control=_ERRORS_LAST)

    def _show(self, kind: Kind, tag: str, find: Callable[[str], Json | None]) -> web.Response:
        version = self._world.version(kind, tag)
        known = self._bodies.get((kind, tag))
        if known is None or known[0] != version:
            body = find(tag)
            if body is None:
                return _unknown(tag)
            known = self._bodies[kind, tag] = (version, orjson.dumps(body))
        return web.Response(
            body=known[1],
            content_type="application/json",
            charset="utf-8",
            headers={"Cache-Control": self._max_age},
        )


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
