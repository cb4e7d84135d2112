"""The poller of a clan's clan war leagues."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from coc2mqtt.clash.errors import NotFoundError
from coc2mqtt.clash.response import parse_unix_time
from coc2mqtt.events.compare.cwl_diff import Sighting, WarSighting, compare_league
from coc2mqtt.events.compare.cwl_group import (
    group_key,
    group_looks_older,
    is_unfinished,
    plan_requests,
    read_league,
)
from coc2mqtt.events.compare.staleness import StaleSuspicion
from coc2mqtt.events.compare.validate import validate_league_group
from coc2mqtt.events.compare.war import WarState, next_war_poll
from coc2mqtt.events.polling.cwl_requests import GROUP, LeagueRequests, NothingNewError
from coc2mqtt.events.polling.league_wars import MAX_LEAGUE_CACHE_AGE_S
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.polling.poller import MAX_BACKOFF_S, Poller
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from coc2mqtt.clash.errors import ClashError
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.cwl_league import League
    from coc2mqtt.events.compare.diff import CompareResult
    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.polling.poll_context import PollContext
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

_TIME_FIELDS = ("state", "startTime", "endTime")
# The next round is drawn up to twelve seconds after a battle has started. The group is then polled every minute, for a
# quarter of an hour, as soon as its cache entry expires.
_DRAW_DELAY_S = 15.0
_RETRY_INTERVAL_S = 60.0
_MAX_RETRY_TIME_S = 900.0
# The remaining requests of a poll that had too many.
_NEXT_REQUESTS_S = 30.0


class _OwnWar(NamedTuple):
    """A war of the clan without a final result, and the fields of it that decide when to poll it."""

    tag: str
    times: Json


class CwlPoller(Poller):
    """Polls the league group of a clan, and those of its wars whose results are not final.

    With ``standings``, all wars of the group are polled. Each response is polled again when its cache entry has
    expired, and is checked for being stale by itself. Not to be in a league is not a failure, and neither is a timeout
    of the API, which is how it may respond while it searches for a group. A war that the API does not return is left
    out. A missing clan is reported by the clan's own poller.
    """

    kind: ClassVar = Kind.CWL
    endpoint: ClassVar = "leaguegroup"
    suspects_repetition: ClassVar = False
    max_cache_age_s: ClassVar = MAX_LEAGUE_CACHE_AGE_S
    __slots__ = (
        "_draw_at",
        "_group_digest",
        "_is_complete",
        "_needed",
        "_observations",
        "_own_wars",
        "_standings",
        "_suspicions",
    )

    def __init__(self, context: PollContext, tag: str, *, interval: float, standings: bool = False) -> None:
        super().__init__(context, tag, interval=interval)
        self._standings = standings
        self._own_wars: tuple[_OwnWar, ...] = ()
        # When the next round is expected (Unix time).
        self._draw_at: float | None = None
        self._suspicions: dict[str, StaleSuspicion] = {}
        self._forget_responses()

    def _forget_responses(self) -> None:
        """Fetch the group again in the next poll, and find out from the snapshot which wars are needed."""
        self._group_digest: bytes | None = None
        self._needed: tuple[str, ...] | None = None
        self._observations: dict[str, Observation] = {}
        self._is_complete = True

    async def poll(self) -> PollResult:
        """Poll once. Errors of the store are raised; errors of the API are handled."""
        try:
            result = await super().poll()
        except NothingNewError:
            return PollResult([], 0.0, committed=False, latest=_RETRY_INTERVAL_S)
        except BaseException:
            self._forget_responses()
            raise
        if result.error is not None:
            self._forget_responses()
        return result

    @property
    def polled_at(self) -> float | None:
        """The Unix time in seconds of the last response about the clan's battles, of the oldest one if there are two.

        A poll may use a response to the poll of another clan, or one whose cache entry has not expired.
        """
        battles = [war.tag for war in self._own_wars if war.times["state"] == WarState.IN_WAR.value]
        responses = (self._observations[war_tag].at for war_tag in battles if war_tag in self._observations)
        return min(responses, default=super().polled_at)

    async def check_endpoint(self) -> None:
        """Fetch the group only to see whether the response is valid; raises ClashError if it is not."""
        try:
            response = await self._context.api.league_group(self._tag)
        except NotFoundError:
            return
        validate_league_group(response.data, self._tag)

    async def _fetch(self) -> ApiResponse:
        self._context.league_wars.free_expired(self._context.uptime())
        requests = LeagueRequests(
            self._context,
            self.resource,
            standings=self._standings,
            last_group=self._observations.get(GROUP),
            accepted_digest=self._group_digest,
        )
        response = await requests.fetch(self._needed, {war.tag for war in self._own_wars})
        self._observations, self._is_complete = requests.observations, requests.is_complete
        return response

    def _validate(self, data: Json) -> list[MalformedField]:  # noqa: ARG002 - each response was validated by itself
        return []

    def _looks_stale(self, old: Snapshot, data: Json, seen: Observation) -> bool:  # noqa: ARG002 - see _accepts
        return False

    def _baseline(self, data: Json, seen: Observation) -> CompareResult:
        self._group_digest = bytes.fromhex(data["digest"])
        return self._plan(compare_league(None, self._sighting(data, data["group"]), tag=self._tag, at=seen.at))

    async def _compare(self, old: Snapshot, data: Json, seen: Observation) -> CompareResult:
        group = (old.data or {})["group"]
        if data["is_group_new"]:
            if self._accepts_group(old, data["group"], seen):
                group, self._group_digest = data["group"], bytes.fromhex(data["digest"])
        elif GROUP in self._observations and self._observations[GROUP].digest == self._group_digest:
            self._suspicions.pop(GROUP, None)
        sighting = self._sighting(data, group)
        league = read_league(old.memo)
        wars = {
            war_tag: war for war_tag, war in sighting.wars.items() if self._accepts_war(league, war_tag, war, old, seen)
        }
        jump = self._clock_jump(seen)
        return self._plan(compare_league(old, sighting._replace(wars=wars), tag=self._tag, at=seen.at, clock_jump=jump))

    def _sighting(self, data: Json, group: Json | None) -> Sighting:
        wars = {}
        for war_tag, war in data["wars"].items():
            seen = self._observations[war_tag]
            # The rest of its lifetime in the cache does not count.
            wars[war_tag] = WarSighting(war, seen.at, max(0.0, seen.max_staleness - seen.max_age))
        return Sighting(group, wars, frozenset(data["missing"]), data["league"], self._standings)

    def _accepts_group(self, old: Snapshot, group: Json | None, seen: Observation) -> bool:
        stale = group_looks_older(old, group, at=seen.at, max_staleness=self._observations[GROUP].max_staleness)
        return self._accepts(GROUP, group_key(old.memo, group), old, seen, stale=stale)

    def _accepts_war(
        self, league: League | None, war_tag: str, war: WarSighting, old: Snapshot, seen: Observation
    ) -> bool:
        known = None if league is None else league.wars.get(war_tag)
        if known is None:
            return True
        max_staleness = self._observations[war_tag].max_staleness
        stale = known.looks_older(war.war, at=seen.at, max_staleness=max_staleness)
        return self._accepts(war_tag, war.war["state"], old, seen, stale=stale)

    def _accepts(self, key: str, claim: object, old: Snapshot, seen: Observation, *, stale: bool) -> bool:
        """Return whether to accept a response: one that looks stale has to be confirmed by a later one."""
        if not stale:
            self._suspicions.pop(key, None)
            return True
        observation, suspicion = self._observations[key], self._suspicions.get(key)
        if suspicion is None or suspicion.claim != claim:
            self._suspicions[key] = StaleSuspicion(observation, self._accepted_until(old, seen), claim)
            return False
        if not suspicion.is_confirmed(observation, min_delay=self.recheck_delay_s):
            return False
        del self._suspicions[key]
        return True

    def _plan(self, comparison: CompareResult) -> CompareResult:
        """Remember the wars and times that the next polls depend on."""
        league, group = read_league(comparison.memo), comparison.data["group"]
        if league is None or league.ended:
            self._needed, self._own_wars, self._draw_at = (), (), None
        else:
            plan = plan_requests(league, self._tag, standings=self._standings)
            is_settled = plan.is_complete and not (plan.search or league.is_name_open or is_unfinished(league, group))
            self._needed = tuple(plan.refresh) if is_settled else None
            bodies = comparison.data["wars"]
            self._own_wars = tuple(
                _OwnWar(war_tag, {field: bodies.get(war_tag, {}).get(field) for field in _TIME_FIELDS})
                for war_tag, war in league.own_wars(self._tag)
                if not war.reported.ended
            )
            self._draw_at = self._expected_draw(league, bodies)
        self._suspicions = {key: one for key, one in self._suspicions.items() if key in self._observations}
        return comparison._replace(final=comparison.final and not self._suspicions)

    def _expected_draw(self, league: League, bodies: Json) -> float | None:
        if league.gone or len(league.tags) >= league.rounds:
            return None
        last = [bodies.get(tag, {}) for tag, war in league.own_wars(self._tag) if war.round == len(league.tags)]
        start = parse_unix_time(last[0].get("startTime")) if last else None
        return None if start is None else start + _DRAW_DELAY_S

    def _latest_next_poll(self, at: float) -> float:
        now = self._context.uptime()
        waits = [self._next_war_poll(war, at=at, now=now) for war in self._own_wars]
        if self._draw_at is not None and at - self._draw_at < _MAX_RETRY_TIME_S:
            wait = self._draw_at - at
            waits.append(self._when_fresh(GROUP, wait if wait > 0 else _RETRY_INTERVAL_S, now))
        waits += [
            suspicion.next_check(self._observations[key]._replace(uptime=now), min_delay=self.recheck_delay_s)
            for key, suspicion in self._suspicions.items()
        ]
        if GROUP not in self._observations:
            waits.append(_RETRY_INTERVAL_S)
        if not self._is_complete:
            waits.append(_NEXT_REQUESTS_S)
        return min(waits, default=math.inf)

    def _next_war_poll(self, war: _OwnWar, *, at: float, now: float) -> float:
        wait = next_war_poll(war.times, final=False, at=at)
        seen = self._observations.get(war.tag)
        # The response to another clan's poll is older than this poll.
        age = 0.0 if seen is None else now - seen.uptime
        return self._when_fresh(war.tag, min(wait, self._interval - age), now)

    def _when_fresh(self, key: str, wait: float, now: float) -> float:
        """Return in how many seconds to poll a response, at the earliest when its cache entry has expired."""
        seen = self._observations.get(key)
        return wait if seen is None else max(wait, seen.uptime + seen.max_age - now)

    async def _handle_failure(self, error: ClashError, old: Snapshot | None) -> PollResult:
        """Store the failure and report it once; poll again soon, because the responses so far are cached."""
        result = await super()._handle_failure(error, old)
        backoff = min(_RETRY_INTERVAL_S * 2.0 ** min(self._failures - 1, 10), MAX_BACKOFF_S)
        return result._replace(backoff=min(result.backoff, backoff))
