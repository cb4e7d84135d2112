"""The client of ``EventStream`` and the watchers, which accepts every tag that cocapi accepts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clash.client import ClashClient
from coc2mqtt.clash.errors import BadRequestError, NotFoundError
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.events.stream.dict_client import DictClient, DictClientAdapter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from coc2mqtt.clash.client import ClashApi
    from coc2mqtt.clash.response import ApiResponse

_log = structlog.get_logger()

_REQUIRED_METHODS = ("clan_tag", "clan_current_war", "players")


class LibraryClient:
    """A ClashApi that uses a ClashClient or a DictClient, and accepts invalid tags.

    A request for an invalid tag raises NotFoundError, like one for an unknown tag. The constructor raises TypeError if
    ``api`` is neither kind of client.
    """

    def __init__(self, api: ClashClient | DictClient) -> None:
        self._api = _adapt(api)

    @property
    def is_open(self) -> bool:
        """Whether the client can send requests."""
        return self._api.is_open

    @property
    def requests_per_second(self) -> float:
        """The client's rate limit; infinity if it has none."""
        return self._api.requests_per_second

    def check_open(self) -> None:
        """Raise RuntimeError if the client is not open."""
        if not self._api.is_open:
            is_dict_client = isinstance(self._api, DictClientAdapter)
            problem = "the client is not open: it is not in async mode" if is_dict_client else "the client is not open"
            name = "CocApi" if is_dict_client else "ClashClient"
            raise RuntimeError(f"{problem}: use the stream inside 'async with {name}(...) as api:'")

    async def clan(self, tag: str) -> ApiResponse:
        """Fetch a clan."""
        return await _request(self._api.clan, tag)

    async def current_war(self, tag: str) -> ApiResponse:
        """Fetch a clan's current war."""
        return await _request(self._api.current_war, tag)

    async def war_log(self, tag: str) -> ApiResponse:
        """Fetch a clan's past wars."""
        return await _request(self._api.war_log, tag)

    async def league_group(self, tag: str) -> ApiResponse:
        """Fetch the clan war league group of a clan."""
        return await _request(self._api.league_group, tag)

    async def league_war(self, war_tag: str) -> ApiResponse:
        """Fetch a war of a clan war league."""
        return await _request(self._api.league_war, war_tag)

    async def raid_seasons(self, tag: str, limit: int = 1) -> ApiResponse:
        """Fetch the last raid weekends of a clan."""
        return await _request(partial(self._api.raid_seasons, limit=limit), tag)

    async def gold_pass(self) -> ApiResponse:
        """Fetch the current gold pass season."""
        return await self._api.gold_pass()

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:
        """Fetch a league group of ranked battles, with the battles of one of its players."""
        return await _request(partial(self._api.ranked_group, group_tag, season), player_tag)

    async def league_history(self, tag: str) -> ApiResponse:
        """Fetch the past seasons of a player's ranked battles."""
        return await _request(self._api.league_history, tag)

    async def battle_log(self, tag: str) -> ApiResponse:
        """Fetch the last battles of a player."""
        return await _request(self._api.battle_log, tag)

    async def player(self, tag: str) -> ApiResponse:
        """Fetch a player."""
        return await _request(self._api.player, tag)


def normalize_if_valid(tag: str) -> str:
    """Return a tag in normalised form; an invalid tag is returned unchanged, for clients that know more tags."""
    try:
        return normalize_tag(tag)
    except InvalidTagError:
        return tag


def normalize_tags(tags: Iterable[str]) -> list[str]:
    """Return each tag as ``normalize_if_valid`` does, and log a warning for each invalid one."""
    if isinstance(tags, str):
        raise TypeError(f"tags must be a list such as [{tags!r}], not a single string")
    normalized = []
    for raw in tags:
        normalized.append(tag := normalize_if_valid(raw))
        if not _is_valid(tag):
            _log.warning(
                "invalid tag",
                tag=tag,
                hint="a tag is '#' and three or more of the characters 0289PYLQGRJCUV; the API knows no other",
            )
    return normalized


def _adapt(api: ClashClient | DictClient) -> ClashApi:
    if isinstance(api, ClashClient):
        return api
    if missing := [method for method in _REQUIRED_METHODS if not callable(getattr(api, method, None))]:
        raise TypeError(
            f"{type(api).__name__} cannot be used as a client, it has no method {missing[0]}: "
            "pass a ClashClient, or a client with the methods of cocapi's CocApi"
        )
    if getattr(getattr(api, "config", None), "enable_caching", False) is True:
        _log.warning(
            "the client caches responses",
            hint="changes are detected late; disable its cache (cocapi: ApiConfig(enable_caching=False))",
        )
    return DictClientAdapter(api)


async def _request(method: Callable[[str], Awaitable[ApiResponse]], tag: str) -> ApiResponse:
    try:
        return await method(tag)
    except (InvalidTagError, BadRequestError) as error:
        if _is_valid(tag):
            raise
        raise NotFoundError(f"{tag} is not a valid Clash of Clans tag: check the spelling") from error


def _is_valid(tag: str) -> bool:
    try:
        return normalize_tag(tag) == tag
    except InvalidTagError:
        return False
