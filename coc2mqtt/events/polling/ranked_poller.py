"""The poller of a player's ranked battles."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.clash.errors import BadRequestError, ClashError, InvalidResponseError, NotFoundError, ServerError
from coc2mqtt.events.compare.legend_days import follow_legend_days, is_legend_day_over
from coc2mqtt.events.compare.ranked import (
    KnownBattles,
    Signup,
    Tier,
    group_battles,
    history_entry,
    legend_battles,
    place_of,
    signup_of,
    tier_of,
)
from coc2mqtt.events.compare.ranked_state import (
    Ranked,
    Subject,
    believable_signup,
    follow_week,
    forget_old_battles,
    report_battles,
    report_end,
    week_end,
)
from coc2mqtt.events.compare.validate import validate_depth, validate_size
from coc2mqtt.events.compare.validate_ranked import (
    validate_battle_log,
    validate_league_history,
    validate_ranked_group,
)
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.polling.poller import LONG_GAP_S
from coc2mqtt.events.resource import Kind, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.poll_context import PollContext

    Validate = Callable[[dict[str, Any]], list[MalformedField]]

Json = dict[str, Any]

# The tiers settle some hours after the end of a week, and the history shows the result at an unknown time before.
_MIN_SETTLING_S = 3 * 3600.0
_MAX_SETTLING_S = 8 * 3600.0
# The responses about battles are cached for this long.
_CACHE_S = 300.0
_RETRY_S = 60.0
# Any other failure is likely to be one of the whole API.
_FAILURES_OF_ONE = (ServerError, BadRequestError, InvalidResponseError)


class RankedPoller:
    """Polls the league group of a watched player, which the player's own snapshot names.

    After the end of a week, the last battles and the result are looked up until it is known, for some hours. After a
    day in the Legend League its battles are taken from the league group, or from the player's last battles without one.
    A failure of these two requests delays no battle, and that of one league group neither the other one's battles nor a
    result. ``polled_at`` (Unix time) and ``polled_uptime`` are those of the last complete poll.
    """

    kind: ClassVar = Kind.RANKED

    def __init__(self, context: PollContext, tag: str, *, interval: float) -> None:
        self._context = context
        self._tag = tag
        self._interval = interval
        self._retired = False
        self.polled_at: float | None = None
        self.polled_uptime: float | None = None
        self.resource = Resource(self.kind, tag)

    def retire(self) -> None:
        """Commit nothing from now on."""
        self._retired = True

    async def poll(self) -> PollResult:
        """Poll once. Errors of the store are raised; errors of the API are handled."""
        context, store = self._context, self._context.store
        player = await store.snapshot(Resource(Kind.PLAYER, self._tag))
        if player is None or player.data is None:
            return PollResult([], 0.0, committed=False, latest=_RETRY_S)
        old = await store.snapshot(self.resource)
        ranked = Ranked() if old is None or old.data is None else Ranked.from_json(deepcopy(old.data))
        subject = Subject(self._tag, player.data.get("name"), context.now())
        responses = _Responses(context, self.resource)
        try:
            events = await self._follow(ranked, player.data, subject, responses, gap=self._gap(old))
        except ClashError as error:
            await context.monitor.observe(error, source=self.resource)
            return PollResult([], 0.0, committed=False, backoff=min(self._interval, _CACHE_S), error=error.kind)
        await context.monitor.observe(responses.error, source=self.resource)
        backoff = min(self._interval, _CACHE_S) if responses.failed else 0.0
        if not responses.failed:
            self.polled_at, self.polled_uptime = subject.at, context.uptime()
        committed = await self._commit(old, ranked, events, subject.at)
        error_kind = None if responses.error is None else responses.error.kind
        return PollResult(events if committed else [], 0.0, committed=committed, backoff=backoff, error=error_kind)

    def _gap(self, old: Snapshot | None) -> float | None:
        """Return for how many seconds the player was not polled, None if they were polled recently."""
        if self.polled_uptime is None:
            return None if old is None else max(0.0, self._context.now() - old.taken_at)
        gap = self._context.uptime() - self.polled_uptime
        return gap if gap > self._interval + LONG_GAP_S else None

    async def _follow(
        self, ranked: Ranked, player: Json, subject: Subject, responses: _Responses, *, gap: float | None
    ) -> list[Event]:
        tier, groups = tier_of(player, known=ranked.tier), list[KnownBattles]()
        old_end, first = ranked.ended, not ranked.since
        earlier = await _follow_end(ranked, tier, subject, responses=responses, groups=groups)
        signup = await self._signup(ranked, player, subject, responses)
        events = follow_week(ranked, signup, tier, subject, gap=gap)
        if signup is not None:
            group = await responses.group(signup)
            if group is not None:
                ranked.place = place_of(group, self._tag) or ranked.place
                groups.append(KnownBattles(group_battles(group), signup.season))
                events += report_battles(ranked, groups[-1].battles, signup, subject, first=first)
        if ranked.ended != old_end:
            events = [*await _follow_end(ranked, tier, subject, responses=responses, groups=groups), *events]
        forget_old_battles(ranked)
        known = None
        if is_legend_day_over(ranked, at=subject.at) and not responses.failed:
            known = await _legend_battles(groups, responses)
        return [*earlier, *events, *follow_legend_days(ranked, known, tier, subject)]

    async def _signup(self, ranked: Ranked, player: Json, subject: Subject, responses: _Responses) -> Signup | None:
        found, is_listed = signup_of(player), False
        if found is not None and found == ranked.signup and subject.at >= week_end(found):
            # The wall clock may be wrong.
            is_listed = await responses.result(found) is not None
        return believable_signup(ranked, found, at=subject.at, is_listed=is_listed)

    async def _commit(self, old: Snapshot | None, ranked: Ranked, events: list[Event], at: float) -> bool:
        data = _plain(ranked.to_json())
        if self._retired or (old is not None and old.data == data and not events):
            return False
        await self._context.store.commit(self.resource, Snapshot(data, taken_at=at), events)
        return True


class _Responses:
    """The valid responses of one poll.

    ``error`` is the failure of one that the rest can do without; ``failed`` are the weeks whose group has failed.
    """

    def __init__(self, context: PollContext, resource: Resource) -> None:
        self.error: ClashError | None = None
        self.failed: list[Signup] = []
        self._api = context.api
        self._malformed = context.malformed_fields
        self._resource = resource
        self._tag = resource.tag
        self._history: Json | None = None

    async def group(self, signup: Signup) -> Json | None:
        """Return a league group, None if the API does not show it; raises ClashError if the whole API may fail."""
        request = self._api.ranked_group(signup.group, signup.season, self._tag)
        try:
            return await self._fetch(request, validate_ranked_group)
        except _FAILURES_OF_ONE as error:
            self.error = error
            self.failed.append(signup)
            return None

    async def result(self, signup: Signup) -> Json | None:
        """Return the entry of a week in the league history, None if it is not listed or cannot be fetched."""
        if self._history is None:
            self._history = await self._optional(self._api.league_history(self._tag), validate_league_history) or {}
        return history_entry(self._history, signup.season)

    async def legend_battles(self) -> KnownBattles | None:
        """Return the player's last battles in the Legend League, None if they are unknown."""
        log = await self._optional(self._api.battle_log(self._tag), validate_battle_log)
        return None if log is None else legend_battles(log)

    async def _optional(self, request: Awaitable[ApiResponse], validate: Validate) -> Json | None:
        try:
            return await self._fetch(request, validate)
        except ClashError as error:
            self.error = error
            return None

    async def _fetch(self, request: Awaitable[ApiResponse], validate: Validate) -> Json | None:
        """Return the data of a response, None if the API knows no such thing; raises any other ClashError."""
        try:
            response = await request
        except NotFoundError:
            return None
        validate_size(response.body)
        data = response.data
        validate_depth(data)
        self._malformed.record(self._resource, validate(data))
        return data


async def _follow_end(
    ranked: Ranked, tier: Tier, subject: Subject, *, responses: _Responses, groups: list[KnownBattles]
) -> list[Event]:
    """Return the events about a week that ended, if there is one, and add its battles to ``groups``."""
    events: list[Event] = []
    ended = ranked.ended
    if ended is None:
        return events
    group = await responses.group(ended)
    if group is not None:
        groups.append(KnownBattles(group_battles(group), ended.season))
        events += report_battles(ranked, groups[-1].battles, ended, subject, first=False)
    entry, waited = await responses.result(ended), subject.at - ranked.ended_at
    is_new_tier = tier.id is not None and tier.id != ranked.ended_tier.id
    # The last battles are reported before the result.
    is_complete = entry is not None and ended not in responses.failed
    settled = is_complete and (is_new_tier or not 0 <= waited < _MIN_SETTLING_S)
    if settled or not 0 <= waited < _MAX_SETTLING_S:
        events += report_end(ranked, entry, tier, subject)
    return events


async def _legend_battles(groups: list[KnownBattles], responses: _Responses) -> KnownBattles | None:
    """Return the battles of the league groups, or the player's last battles if these show none."""
    battles = [battle for group in groups for battle in group.battles]
    if not battles and (log := await responses.legend_battles()) is not None:
        return log
    return KnownBattles(battles, min(group.since for group in groups)) if groups else None


def _plain(data: Json) -> Json:
    """Return the data with lists instead of named tuples, as they are after they were stored."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}
