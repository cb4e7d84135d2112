"""The requests of one poll of a clan war league: the group, and the wars that are needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.errors import (
    BadRequestError,
    InvalidResponseError,
    NotFoundError,
    ServerError,
    TruncatedResponseError,
)
from coc2mqtt.clash.response import ApiResponse
from coc2mqtt.clash.tags import InvalidTagError
from coc2mqtt.events.compare.cwl_group import leagues_to_poll, plan_requests
from coc2mqtt.events.compare.validate import (
    find_unreadable_texts,
    validate_depth,
    validate_league_group,
    validate_size,
)
from coc2mqtt.events.polling.league_wars import observe_league
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from coc2mqtt.events.compare.cwl_league import League
    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.polling.league_wars import LeagueWarResponse
    from coc2mqtt.events.polling.poll_context import PollContext

Json = dict[str, Any]

# The key of the group among the observations; the others are war tags.
GROUP = "group"
# Errors that will not be gone in a minute; any other error may be.
_PERMANENT_ERRORS = (NotFoundError, InvalidResponseError, BadRequestError, InvalidTagError)


class NothingNewError(Exception):
    """The API does not show the group at the moment, and there was nothing else to fetch: this is not a failure."""


@dataclass(frozen=True)
class LeagueResponse(ApiResponse):
    """All responses of one poll. ``body`` are their digests, so that unchanged responses are not decoded."""

    decode: Callable[[], Json] = field(default=dict, repr=False)

    @cached_property
    def data(self) -> Json:
        """The decoded group and wars."""
        return self.decode()

    @property
    def repaired(self) -> bool:
        """Whether a text is unreadable: these were counted with the malformed fields of each response."""
        return False


class LeagueRequests:
    """The requests of one poll of the clan ``resource.tag``.

    ``last_group`` is the last observation of the group: the snapshot's group is used again while the API would return
    the same one. ``accepted_digest`` is the digest of the response in the snapshot. With ``standings`` all wars of the
    group are fetched. Afterwards ``observations`` are those of the group and of each war by tag, and ``is_complete`` is
    false if some requests were left for the next poll.
    """

    __slots__ = (
        "_accepted_digest",
        "_body",
        "_context",
        "_digest",
        "_last_group",
        "_league",
        "_missing",
        "_resource",
        "_standings",
        "_wars",
        "is_complete",
        "is_group_new",
        "observations",
    )

    def __init__(
        self,
        context: PollContext,
        resource: Resource,
        *,
        standings: bool,
        last_group: Observation | None,
        accepted_digest: bytes | None,
    ) -> None:
        self._context = context
        self._resource = resource
        self._standings = standings
        self._last_group = last_group
        self._accepted_digest = accepted_digest
        self._digest = accepted_digest or b""
        self._body: Json | None = None
        self._wars: dict[str, LeagueWarResponse] = {}
        self._missing: set[str] = set()
        self._league: Json | None = None
        self.observations: dict[str, Observation] = {}
        self.is_group_new = False
        self.is_complete = True

    async def fetch(self, needed: Collection[str] | None, own: Collection[str]) -> LeagueResponse:
        """Fetch the group and the wars.

        ``needed`` are the wars to fetch if the group is unchanged, None if the snapshot has to tell; ``own`` are those
        of the clan. Raises ClashError after a failure, and NothingNewError.
        """
        requests = self._context.league_wars.requests
        is_known = await self._fetch_group()
        if self.is_group_new or needed is None:
            await self._fetch_unknown_wars()
        else:
            for war_tag in needed:
                await self._fetch_war(war_tag, is_own=war_tag in own)
        if not is_known and self._context.league_wars.requests == requests:
            raise NothingNewError
        self.observations |= {war_tag: war.seen for war_tag, war in self._wars.items()}
        parts = [self._digest, *(war_tag.encode() + war.seen.digest for war_tag, war in self._wars.items())]
        parts += [war_tag.encode() for war_tag in sorted(self._missing)]
        parts.append(repr(self._league).encode())
        return LeagueResponse(HTTPStatus.OK, b"".join(parts), self._freshness(), self._decode)

    def _freshness(self) -> float:
        """Return for how many seconds no response changes."""
        if not self.is_complete or GROUP not in self.observations:
            return 0.0
        now = self._context.uptime()
        return max(0.0, min(seen.uptime + seen.max_age for seen in self.observations.values()) - now)

    def _decode(self) -> Json:
        """Return the group, unless it is the snapshot's, and the valid wars."""
        wars: Json = {}
        for war_tag, war in self._wars.items():
            try:
                wars[war_tag] = war.decode(self._context, self._resource)
            except (NotFoundError, InvalidResponseError):
                self._missing.add(war_tag)
        return {
            "group": self._body,
            "is_group_new": self.is_group_new,
            "digest": self._digest.hex(),
            "wars": wars,
            "missing": sorted(self._missing),
            "league": self._league,
        }

    async def _fetch_group(self) -> bool:
        """Fetch the group unless the API would return the same one; return false if the API timed out.

        It does while it searches for a group.
        """
        last = self._last_group
        if last is not None and self._context.uptime() < last.uptime + last.max_age:
            self.observations[GROUP] = last
            return True
        response = None
        try:
            response = await self._context.api.league_group(self._resource.tag)
        except NotFoundError as error:
            seen = observe_league(self._context, b"", error.max_age)
        except ServerError as error:
            if error.status != HTTPStatus.GATEWAY_TIMEOUT:
                raise
            return False
        else:
            seen = observe_league(self._context, response.body, response.max_age)
        self.observations[GROUP] = seen
        if seen.digest != self._accepted_digest:
            self._digest, self.is_group_new = seen.digest, True
            self._body = None if response is None else self._validated_group(response)
        return True

    def _validated_group(self, response: ApiResponse) -> Json:
        validate_size(response.body)
        group = response.data
        validate_depth(group)
        found = validate_league_group(group, self._resource.tag)
        if response.repaired:
            found += find_unreadable_texts(group)
        self._context.malformed_fields.record(self._resource, found)
        return group

    async def _fetch_unknown_wars(self) -> None:
        """Fetch the wars that are needed according to the snapshot and the group."""
        store = self._context.store
        old = await store.snapshot(self._resource)
        first_sight = old is None or old.data is None
        if first_sight and not self.is_group_new:
            self.observations.pop(GROUP, None)
            raise NothingNewError
        memo = {} if old is None or old.data is None else old.memo
        group = self._body if self.is_group_new or old is None or old.data is None else old.data["group"]
        clan = await store.snapshot(Resource(Kind.CLAN, self._resource.tag))
        if clan is not None and clan.data is not None and clan.data.get("warLeague"):
            self._league = {key: clan.data["warLeague"].get(key) for key in ("id", "name")}
        for league in leagues_to_poll(memo, group, self._resource.tag, first_sight=first_sight):
            if league is not None:
                await self._fetch_wars_of(league)

    async def _fetch_wars_of(self, league: League) -> None:
        tag = self._resource.tag
        plan = plan_requests(league, tag, standings=self._standings)
        self.is_complete = self.is_complete and plan.is_complete
        own = {war_tag for war_tag, _ in league.own_wars(tag)}
        for war_tag in plan.refresh:
            await self._fetch_war(war_tag, is_own=war_tag in own)
        for tags in plan.search:
            for war_tag in tags:
                await self._fetch_war(war_tag, is_own=not self._standings)
                if not self._standings and self._is_own(war_tag):
                    break

    async def _fetch_war(self, war_tag: str, *, is_own: bool) -> None:
        """Fetch a war. A temporary failure is raised if the war may be one that the clan's events are about."""
        try:
            self._wars[war_tag] = await self._context.league_wars.get(war_tag, self._context)
        except TruncatedResponseError:
            raise
        except _PERMANENT_ERRORS:
            self._missing.add(war_tag)
        except ServerError:
            if is_own:
                raise
            self._missing.add(war_tag)

    def _is_own(self, war_tag: str) -> bool:
        if war_tag not in self._wars:
            return False
        try:
            war = self._wars[war_tag].decode(self._context, self._resource)
        except (NotFoundError, InvalidResponseError):
            return False
        return self._resource.tag in (war["clan"]["tag"], war["opponent"]["tag"])
