"""A cache of the wars of clan war leagues, which the pollers of one engine share."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.errors import NotFoundError
from coc2mqtt.clash.response import ApiResponse
from coc2mqtt.events.compare.staleness import Observation
from coc2mqtt.events.compare.validate import find_unreadable_texts, validate_depth, validate_league_war, validate_size
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from coc2mqtt.events.polling.poll_context import PollContext
    from coc2mqtt.events.resource import Resource

Json = dict[str, Any]

# No response about a clan war league is cached for longer.
MAX_LEAGUE_CACHE_AGE_S = 600.0
# Room for the wars of hundreds of groups. Without room, clans of one group make requests of their own.
_MAX_BYTES = 64 * 1024 * 1024
# Expired wars are freed this often.
_CLEANUP_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class LeagueWarResponse:
    """The body of a response about a war, None if the API does not know the war, and when it was received."""

    body: bytes | None
    seen: Observation

    def decode(self, context: PollContext, resource: Resource) -> Json:
        """Return the validated war; raises NotFoundError and InvalidResponseError.

        The malformed fields of the war are counted for ``resource``.
        """
        if self.body is None:
            raise NotFoundError("no war has this tag")
        validate_size(self.body)
        # The decoded war takes many times the memory, so it is not cached.
        response = ApiResponse(HTTPStatus.OK, self.body, 0.0)
        war = response.data
        validate_depth(war)
        found = validate_league_war(war)
        if response.repaired:
            found += find_unreadable_texts(war)
        context.malformed_fields.record(resource, found)
        return war


@dataclass(slots=True)
class _Request:
    """A request in progress: the polls that need the same war wait for it and share its response."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    war: LeagueWarResponse | None = None


class LeagueWarCache:
    """The last response about each war, as long as the API returns the same one.

    Clans of one group, and clans that play against each other, need the same wars. Concurrent requests for one war are
    made once. ``requests`` counts the requests that were made.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self.requests = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._wars: dict[str, LeagueWarResponse] = {}
        self._in_progress: dict[str, _Request] = {}
        self._cleaned_up_at = 0.0

    def __len__(self) -> int:
        return len(self._wars)

    async def get(self, war_tag: str, context: PollContext) -> LeagueWarResponse:
        """Return a war from the cache or from the API.

        Raises InvalidTagError, and ClashError except NotFoundError: an unknown war is a response as well.
        """
        known = self._wars.get(war_tag)
        if known is not None and context.uptime() < _expiry(known):
            return known
        request = self._in_progress.setdefault(war_tag, _Request())
        request.users += 1
        try:
            async with request.lock:
                if request.war is None:
                    request.war = await self._fetch(war_tag, context)
                return request.war
        finally:
            request.users -= 1
            if not request.users:
                del self._in_progress[war_tag]

    def free_expired(self, now: float) -> None:
        """Free the wars that the API may return differently by now (seconds of uptime)."""
        if now - self._cleaned_up_at >= _CLEANUP_INTERVAL_S:
            self._cleaned_up_at = now
            for war_tag in [war_tag for war_tag, war in self._wars.items() if _expiry(war) <= now]:
                self._remove(war_tag)

    async def _fetch(self, war_tag: str, context: PollContext) -> LeagueWarResponse:
        self.requests += 1
        try:
            response = await context.api.league_war(war_tag)
        except NotFoundError as error:
            war = LeagueWarResponse(None, observe_league(context, b"", error.max_age))
        else:
            war = LeagueWarResponse(response.body, observe_league(context, response.body, response.max_age))
        self._remove(war_tag)
        if war.seen.max_age > 0:
            self._wars[war_tag] = war
            self._bytes += _size(war)
        while self._bytes > self._max_bytes:
            self._remove(next(iter(self._wars)))
        return war

    def _remove(self, war_tag: str) -> None:
        war = self._wars.pop(war_tag, None)
        if war is not None:
            self._bytes -= _size(war)


def observe_league(context: PollContext, body: bytes, max_age: float) -> Observation:
    """Return the observation of a response about a clan war league that was just received."""
    max_age = min(max_age, MAX_LEAGUE_CACHE_AGE_S)
    period = max(context.cache_periods.get(Kind.CWL, 0.0), max_age)
    context.cache_periods[Kind.CWL] = period
    digest = hashlib.blake2b(body, digest_size=16).digest()
    return Observation(context.now(), context.uptime(), digest, max_age, period)


def _expiry(war: LeagueWarResponse) -> float:
    return war.seen.uptime + war.seen.max_age


def _size(war: LeagueWarResponse) -> int:
    return len(war.body or b"")
