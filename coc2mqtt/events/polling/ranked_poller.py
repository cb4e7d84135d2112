"""The poller of a player's ranked battles."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.clash.errors import ClashError, NotFoundError
from coc2mqtt.events.compare.ranked import (
    Battle,
    Signup,
    Tier,
    group_battles,
    history_entry,
    is_legend,
    legend_battles,
    place_of,
    signup_of,
    tier_of,
)
from coc2mqtt.events.compare.ranked_state import (
    Ranked,
    Subject,
    follow_legend_day,
    follow_week,
    report_battles,
    report_end,
)
from coc2mqtt.events.compare.validate import validate_depth, validate_size
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.resource import Kind, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.poll_context import PollContext

Json = dict[str, Any]

# The tiers settle some hours after the end of a week, and the history shows the result at an unknown time before.
_MIN_SETTLING_S = 3 * 3600.0
_MAX_SETTLING_S = 8 * 3600.0
# The responses about battles are cached for this long.
_CACHE_S = 300.0
_RETRY_S = 60.0


class RankedPoller:
    """Polls the league group of a watched player, which the player's own snapshot names.

    After the end of a week, the last battles and the result are looked up until it is known, for some hours. The
    battles of the Legend League are taken from the league group, or from the player's last battles without one.
    ``polled_at`` (Unix time) and ``polled_uptime`` are those of the last complete poll.
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
        store = self._context.store
        player = await store.snapshot(Resource(Kind.PLAYER, self._tag))
        if player is None or player.data is None:
            return PollResult([], 0.0, committed=False, latest=_RETRY_S)
        old = await store.snapshot(self.resource)
        is_first = old is None or old.data is None
        ranked = Ranked() if old is None or old.data is None else Ranked.from_json(deepcopy(old.data))
        subject = Subject(self._tag, player.data.get("name"), self._context.now())
        try:
            events = await self._follow(ranked, player.data, subject, first=is_first)
        except ClashError as error:
            await self._context.monitor.observe(error, source=self.resource)
            return PollResult([], 0.0, committed=False, backoff=min(self._interval, _CACHE_S), error=error.kind)
        await self._context.monitor.observe(None)
        self.polled_at, self.polled_uptime = subject.at, self._context.uptime()
        committed = await self._commit(old, ranked, events, subject.at)
        return PollResult(events if committed else [], 0.0, committed=committed)

    async def _follow(self, ranked: Ranked, player: Json, subject: Subject, *, first: bool) -> list[Event]:
        signup, tier = signup_of(player), tier_of(player)
        events = follow_week(ranked, signup, tier, subject, first=first)
        known: list[Battle] | None = None
        if signup is not None:
            group = await self._group(signup)
            known = [] if group is None else group_battles(group)
            if group is not None:
                ranked.place = place_of(group, self._tag) or ranked.place
            events += report_battles(ranked, known, signup, subject, first=first)
        if ranked.ended is not None:
            last, ended_events = await self._follow_end(ranked, ranked.ended, tier, subject)
            known, events = [*last, *(known or [])], [*ended_events, *events]
        if ranked.legend_day is not None or is_legend(tier):
            known = known or await self._battle_log()
            events += follow_legend_day(ranked, known, tier, subject, settled_after=_CACHE_S)
        return events

    async def _follow_end(
        self, ranked: Ranked, ended: Signup, tier: Tier, subject: Subject
    ) -> tuple[list[Battle], list[Event]]:
        """Return the battles of the week that ended, and the events about it."""
        group = await self._group(ended)
        battles = [] if group is None else group_battles(group)
        events = report_battles(ranked, battles, ended, subject, first=False)
        history = await self._fetch(self._context.api.league_history(self._tag))
        entry = None if history is None else history_entry(history, ended.season)
        waited = subject.at - ranked.ended_at
        settled = entry is not None and (tier != ranked.ended_tier or not 0 <= waited < _MIN_SETTLING_S)
        if settled or not 0 <= waited < _MAX_SETTLING_S:
            events += report_end(ranked, entry, tier, subject)
        return battles, events

    async def _group(self, signup: Signup) -> Json | None:
        return await self._fetch(self._context.api.ranked_group(signup.group, signup.season, self._tag))

    async def _battle_log(self) -> list[Battle]:
        log = await self._fetch(self._context.api.battle_log(self._tag))
        return [] if log is None else legend_battles(log)

    async def _fetch(self, request: Awaitable[ApiResponse]) -> Json | None:
        """Return the data of a response, None if the API knows no such thing; raises any other ClashError."""
        try:
            response = await request
            validate_size(response.body)
            data = response.data
            validate_depth(data)
        except NotFoundError:
            return None
        return data

    async def _commit(self, old: Snapshot | None, ranked: Ranked, events: list[Event], at: float) -> bool:
        data = _plain(ranked.to_json())
        if self._retired or (old is not None and old.data == data and not events):
            return False
        await self._context.store.commit(self.resource, Snapshot(data, taken_at=at), events)
        return True


def _plain(data: Json) -> Json:
    """Return the data with lists instead of named tuples, as they are after they were stored."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}
