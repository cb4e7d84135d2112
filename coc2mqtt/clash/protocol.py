"""The interface of a client for the Clash of Clans API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse


class ClashApi(Protocol):
    """A client that returns an ApiResponse for each resource, or raises a ClashError."""

    @property
    def is_open(self) -> bool:
        """Whether requests can be made."""

    @property
    def requests_per_second(self) -> float:
        """The highest rate of requests; infinity without a limit."""

    async def clan(self, tag: str) -> ApiResponse:
        """Fetch a clan with its ``memberList``."""

    async def current_war(self, tag: str) -> ApiResponse:
        """Fetch a clan's current war; raises PrivateWarLogError if the clan hides it."""

    async def war_log(self, tag: str) -> ApiResponse:
        """Fetch a clan's past wars, the newest first; raises PrivateWarLogError if the clan hides them."""

    async def player(self, tag: str) -> ApiResponse:
        """Fetch a player."""
