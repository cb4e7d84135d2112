"""The client of a program that uses the library, with every tag that cocapi accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clash.client import ClashClient
from coc2mqtt.clash.errors import BadRequestError, NotFoundError
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.events.stream.dict_client import DictClient, DictClientAdapter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from coc2mqtt.clash.protocol import ClashApi
    from coc2mqtt.clash.response import ApiResponse

_log = structlog.get_logger()

_DICT_METHODS = ("clan_tag", "clan_current_war", "players")


class LibraryClient:
    """A ClashApi on top of a ClashClient or a DictClient, whose tags need not be valid.

    A tag that cannot exist raises NotFoundError, as an unknown one does. TypeError if ``api`` is neither client.
    """

    def __init__(self, api: ClashClient | DictClient) -> None:
        self._api = _adapted(api)

    @property
    def is_open(self) -> bool:
        """Whether requests can be made."""
        return self._api.is_open

    @property
    def requests_per_second(self) -> float:
        """The client's rate limit; infinity if it has none."""
        return self._api.requests_per_second

    def check_open(self) -> None:
        """Raise RuntimeError if the client is not open."""
        if not self._api.is_open:
            dicts = isinstance(self._api, DictClientAdapter)
            trouble = "the client is not open: it is not in async mode" if dicts else "the client is not open"
            raise RuntimeError(
                f"{trouble}: use the stream inside 'async with {'CocApi' if dicts else 'ClashClient'}(...) as api:'"
            )

    async def clan(self, tag: str) -> ApiResponse:
        """Fetch a clan."""
        return await _ask(self._api.clan, tag)

    async def current_war(self, tag: str) -> ApiResponse:
        """Fetch a clan's current war."""
        return await _ask(self._api.current_war, tag)

    async def war_log(self, tag: str) -> ApiResponse:
        """Fetch a clan's past wars."""
        return await _ask(self._api.war_log, tag)

    async def player(self, tag: str) -> ApiResponse:
        """Fetch a player."""
        return await _ask(self._api.player, tag)


def library_tag(raw: str) -> str:
    """Return the normalised tag; text that cannot be a tag is kept as it is, for clients that know more tags."""
    try:
        return normalize_tag(raw)
    except InvalidTagError:
        return raw


def library_tags(raw: Iterable[str]) -> list[str]:
    """Return the tags as ``library_tag`` does, with a warning in the log for each that cannot exist."""
    if isinstance(raw, str):
        raise TypeError(f"tags must be a list such as [{raw!r}], not a single string")
    tags = []
    for one in raw:
        tags.append(tag := library_tag(one))
        if not _is_valid(tag):
            _log.warning(
                "invalid tag: the API knows no such resource",
                tag=tag,
                hint="a tag is '#' and three or more of the characters 0289PYLQGRJCUV",
            )
    return tags


def _adapted(api: ClashClient | DictClient) -> ClashApi:
    if isinstance(api, ClashClient):
        return api
    if missing := [method for method in _DICT_METHODS if not callable(getattr(api, method, None))]:
        raise TypeError(
            f"{type(api).__name__} cannot be used as a client, it has no method {missing[0]}: "
            "pass a ClashClient, or a client with the methods of cocapi's CocApi"
        )
    if getattr(getattr(api, "config", None), "enable_caching", False) is True:
        _log.warning(
            "the client caches responses: changes are seen late",
            hint="disable its cache (cocapi: ApiConfig(enable_caching=False))",
        )
    return DictClientAdapter(api)


async def _ask(request: Callable[[str], Awaitable[ApiResponse]], tag: str) -> ApiResponse:
    try:
        return await request(tag)
    except (InvalidTagError, BadRequestError) as error:
        if _is_valid(tag):
            raise
        raise NotFoundError(f"{tag} is not a tag of Clash of Clans: check the spelling") from error


def _is_valid(tag: str) -> bool:
    try:
        return normalize_tag(tag) == tag
    except InvalidTagError:
        return False
