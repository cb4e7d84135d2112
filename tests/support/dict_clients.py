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
    """Return the dict that cocapi's asynchronous client returns for a response with this status."""
    return {
        "result": "error",
        "message": _MESSAGES.get(status, "Server error - try again later"),
        "http_status": status,
        "error_type": "http",
    }


def network_error(error_type: str) -> Json:
    return {"result": "error", "message": "Connection error - check your internet connection", "error_type": error_type}


class WorldClient:
    """Returns the data of a scripted world; ``failure`` replaces every response, ``requests`` lists the requests."""

    async_mode = True

    def __init__(self, world: World) -> None:
        self._world = world
        self.failure: object = None
        self.requests: list[tuple[str, str]] = []

    async def clan_tag(self, tag: str, params: Json | None = None) -> object:  # noqa: ARG002 - as in cocapi
        return self._respond("clan", tag, self._world.clan)

    async def clan_current_war(self, tag: str) -> object:
        if self._world.is_war_log_private(tag):
            return self._respond("war", tag, lambda _: http_error(403))
        return self._respond("war", tag, self._world.current_war)

    async def clan_war_log(self, tag: str, params: Json | None = None) -> object:  # noqa: ARG002 - as in cocapi
        return self._respond("war_log", tag, self._world.war_log)

    async def players(self, tag: str, params: Json | None = None) -> object:  # noqa: ARG002 - as in cocapi
        return self._respond("player", tag, self._world.player)

    def _respond(self, kind: str, tag: str, look_up: Callable[[str], Json | None]) -> object:
        self.requests.append((kind, tag))
        if self.failure is not None:
            return self.failure
        if self._world.in_maintenance:
            return http_error(503)
        body = look_up(tag)
        return http_error(404) if body is None else copy.deepcopy(body)


class FixedResultClient:
    """Returns or raises the same result for every request; ``clan`` replaces it for clans."""

    def __init__(self, result: object, *, clan: object = None) -> None:
        self._result = result
        self._clan = clan

    async def clan_tag(self, _: str) -> object:
        return self._return_or_raise(self._result if self._clan is None else self._clan)

    async def clan_current_war(self, _: str) -> object:
        return self._return_or_raise(self._result)

    async def players(self, _: str) -> object:
        return self._return_or_raise(self._result)

    def _return_or_raise(self, result: object) -> object:
        if isinstance(result, BaseException):
            raise result
        return result
