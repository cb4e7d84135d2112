"""The poller of a clan's raid weekends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

from coc2mqtt.clash.errors import (
    BadRequestError,
    ClashError,
    InvalidResponseError,
    NotFoundError,
    TruncatedResponseError,
)
from coc2mqtt.clash.response import parse_unix_time
from coc2mqtt.events.compare.diff import CompareResult
from coc2mqtt.events.compare.raid import find_season, latest_season, start_of
from coc2mqtt.events.compare.raid_diff import (
    UnobservedEnd,
    compare_raid,
    initial_raid_memo,
    raid_ended_unobserved,
    raid_looks_stale,
    raid_may_end,
    restore_missing_raid_fields,
)
from coc2mqtt.events.compare.raid_history import RaidHistory
from coc2mqtt.events.compare.raid_times import REST_INTERVALS, RaidPace, next_raid_poll
from coc2mqtt.events.compare.validate import validate_depth
from coc2mqtt.events.compare.validate_raid import validate_raid_seasons
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.polling.poller import LONG_GAP_S, Poller
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.polling.poll_context import PollContext, PollResult
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# Errors that will not be gone in a minute; any other error may be.
_PERMANENT_ERRORS = (NotFoundError, InvalidResponseError, BadRequestError)
# After this many lookups that failed with a temporary error, the totals of a past weekend stay unknown.
_MAX_FAILED_LOOKUPS = 3
_WEEK_S = 7 * 86_400.0
# A clan that did not raid for months has fewer weekends than weeks have passed.
_MAX_SEASONS = 10
# The first polls of a weekend are spread over this share of the interval.
_SPREAD = 0.1


class RaidPoller(Poller):
    """Polls a clan's raid weekends: at the interval while the clan may raid, and less often in between.

    Completed raids on the clan are reported if ``report_defenses`` is set. The members who left attacks, or did not
    start, are known only until the clan starts the next weekend. If the end of a weekend was not observed until then,
    its totals are looked up among the past weekends. A missing clan is reported by the clan's own poller.
    """

    kind: ClassVar = Kind.RAID
    endpoint: ClassVar = "capitalraidseasons"
    # Only the content decides whether a response looks stale. Longer than any cache entry lives (120 s).
    recheck_delay_s: ClassVar = 130.0
    suspects_repetition: ClassVar = False
    __slots__ = ("_end", "_failed_lookups", "_offset", "_over", "_report_defenses")

    def __init__(self, context: PollContext, tag: str, *, interval: float, report_defenses: bool = False) -> None:
        super().__init__(context, tag, interval=interval)
        self._report_defenses = report_defenses
        self._failed_lookups = 0
        self._offset = crc32(tag.encode()) / 2**32 * _SPREAD * interval
        # The end of the latest weekend (Unix time), and whether it was reported.
        self._end: float | None = None
        self._over = True

    async def poll(self) -> PollResult:
        """Poll once. Errors of the store are raised; errors of the API are handled."""
        if not self._over and self._end is not None and self._context.now() >= self._end:
            # Even an unchanged response may now be the last one before the end.
            self._last_digest = None
        result = await super().poll()
        if result.error is not None or self._suspicion is not None:
            return result
        return result._replace(earliest=max(result.earliest, self._pace(self._context.now()).earliest))

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.raid_seasons(self._tag)

    def _validate(self, data: Json) -> list[MalformedField]:
        return validate_raid_seasons(data, at=self._context.now())

    def _baseline(self, data: Json, seen: Observation) -> CompareResult:  # noqa: ARG002 - raids need no more
        season = latest_season(data)
        return self._remember_end(CompareResult([], {"season": season}, initial_raid_memo(season)))

    def _looks_stale(self, old: Snapshot, data: Json, seen: Observation) -> bool:
        return raid_looks_stale(old, restore_missing_raid_fields(old, latest_season(data)), at=seen.at)

    async def _compare(self, old: Snapshot, data: Json, seen: Observation) -> CompareResult | None:
        season = restore_missing_raid_fields(old, latest_season(data))
        replaced, end = raid_ended_unobserved(old, season), None
        if replaced is not None:
            end = await self._look_up_end(replaced, at=seen.at)
            if end is None:
                return None
        comparison = compare_raid(
            old,
            season,
            tag=self._tag,
            at=seen.at,
            defenses=self._report_defenses,
            roster=await self._roster() if raid_may_end(old, season, at=seen.at) else None,
            unobserved_end=end,
            clock_jump=self._clock_jump(seen),
        )
        return self._remember_end(comparison)

    def _claim(self, data: Json) -> object:
        season = latest_season(data)
        return None if season is None else (season["startTime"], season["state"])

    def _unobserved_seconds(self, old: Snapshot, seen: Observation) -> float | None:
        gap = super()._unobserved_seconds(old, seen)
        planned = gap is not None and gap <= REST_INTERVALS * self._interval + LONG_GAP_S
        return None if planned and self.resource in self._context.polled else gap

    def _latest_next_poll(self, at: float) -> float:
        return self._pace(at).latest

    def _pace(self, at: float) -> RaidPace:
        return next_raid_poll(at=at, interval=self._interval, end=self._end, over=self._over, offset=self._offset)

    def _remember_end(self, comparison: CompareResult) -> CompareResult:
        season = comparison.data["season"]
        self._end = None if season is None else parse_unix_time(season.get("endTime"))
        self._over = season is None or RaidHistory.from_json(comparison.memo, season).ended
        return comparison

    async def _roster(self) -> list[Json] | None:
        snapshot = await self._context.store.snapshot(Resource(Kind.CLAN, self._tag))
        return None if snapshot is None or snapshot.data is None else snapshot.data.get("memberList")

    async def _look_up_end(self, season: Json, *, at: float) -> UnobservedEnd | None:
        """Find out how a past weekend ended; None if a temporary error prevents the lookup."""
        limit = min(_MAX_SEASONS, max(2, math.ceil((at - start_of(season)) / _WEEK_S)))
        try:
            data = (await self._context.api.raid_seasons(self._tag, limit=limit)).data
            validate_depth(data)
            validate_raid_seasons(data, at=at)
            found = find_season(data, season["startTime"])
        except ClashError as error:
            self._failed_lookups += 1
            permanent = isinstance(error, _PERMANENT_ERRORS) and not isinstance(error, TruncatedResponseError)
            if not permanent and self._failed_lookups < _MAX_FAILED_LOOKUPS:
                return None
            found = None
        self._failed_lookups = 0
        return UnobservedEnd(found)

    def _watch_events(self, event_type: EventType, metadata: Json) -> list[Event]:
        if event_type in (EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE):
            return []
        return super()._watch_events(event_type, metadata)
