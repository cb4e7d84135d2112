"""Clients with the methods of cocapi's ``CocApi``, which return dicts."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import World

Json = dict[str, Any]

_MESSAGES = {
    400: "Bad request - check your parameters",
    403: "Forbidden - invalid API token or access denied",
    404: "Not found - check clan/player tag",
    429: "Rate limited - too many requests",
}


def http_error(status: int) -> Json:
    """What cocapi's asynchronous client returns for a response of this status."""
    return {
        "result": "error",
        "message": _MESSAGES.get(status, "Server error - try again later"),
        "http_status": status,
        "error_type": "http",
    }


def network_error(error_type: str) -> Json:
    return {"result": "error", "message": "Connection error - check your internet connection", "error_type": error_type}


class WorldClient:
    """Shows a scripted world; ``broken`` is returned instead of every response, ``asked`` lists the requests."""

    async_mode = True

    def __init__(self, world: World) -> None:
        self._world = world
        self.broken: object = None
        self.asked: list[tuple[str, str]] = []

    async def clan_tag(self, tag: str, params: Json | None = None) -> object:  # noqa: ARG002 - as in cocapi
        return self._answer("clan", tag, self._world.clan)

    async def clan_current_war(self, tag: str) -> object:
        if self._world.is_war_log_private(tag):
            return self._answer("war", tag, lambda _: http_error(403))
        return self._answer("war", tag, self._world.current_war)

    async def clan_war_log(self, tag: str, params: Json | None = None) -> object:  # noqa: ARG002 - as in cocapi
        return self._answer("war_log", tag, self._world.war_log)

    async def players(self, tag: str, params: Json | None = None) -> object:  # noqa: ARG002 - as in cocapi
        return self._answer("player", tag, self._world.player)

    def _answer(self, kind: str, tag: str, look_up: Callable[[str], Json | None]) -> object:
        self.asked.append((kind, tag))
        if self.broken is not None:
            return self.broken
        if self._world.in_maintenance:
            return http_error(503)
        body = look_up(tag)
        return http_error(404) if body is None else copy.deepcopy(body)


class OneAnswer:
    """Returns the same result for every request, or raises it."""

    def __init__(self, result: object, *, clan: object = None) -> None:
        self._result = result
        self._clan = clan

    async def clan_tag(self, _: str) -> object:
        return self._give(self._result if self._clan is None else self._clan)

    async def clan_current_war(self, _: str) -> object:
        return self._give(self._result)

    async def players(self, _: str) -> object:
        return self._give(self._result)

    def _give(self, result: object) -> object:
        if isinstance(result, BaseException):
            raise result
        return result
