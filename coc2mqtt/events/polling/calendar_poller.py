"""The poller of the game's calendar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from coc2mqtt.clash.errors import ClashError
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.compare.calendar_state import (
    calendar_at,
    compare_calendar,
    known_gold_pass,
    later_calendar,
    next_change,
    parse_gold_pass,
)
from coc2mqtt.events.compare.validate import validate_size
from coc2mqtt.events.compare.validate_ranked import validate_gold_pass
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.resource import CALENDAR, Kind, Snapshot

if TYPE_CHECKING:
    from coc2mqtt.events.calendar import Period
    from coc2mqtt.events.polling.poll_context import PollContext

# No request is made this long before a season or a week ends, so that it does not delay the event.
_QUIET_S = 120.0
# The wall clock may be set.
_CLOCK_CHECK_S = 300.0


class CalendarPoller:
    """Reports the ends of seasons and weeks at their time, and polls the gold pass every ``interval`` seconds.

    The API knows only the gold pass; everything else follows from the clock. Failures of this one request are no event.
    """

    kind: ClassVar = Kind.CALENDAR
    resource: ClassVar = CALENDAR

    def __init__(self, context: PollContext, *, interval: float) -> None:
        self._context = context
        self._interval = interval
        self._next_request = -math.inf

    async def poll(self) -> PollResult:
        """Report what has changed, and return when the next change is due."""
        context = self._context
        change = next_change(context.now(), context.clan_games)
        found = None
        if context.uptime() >= self._next_request and change - context.now() > _QUIET_S:
            found = await self._fetch_gold_pass()
        at = context.now()
        snapshot = await context.store.snapshot(CALENDAR)
        old = None if snapshot is None else snapshot.data
        new = later_calendar(
            old, calendar_at(at, context.clan_games, gold_pass=known_gold_pass(old, found, at=at)), at=at
        )
        events = compare_calendar(old, new, at=at)
        if new != old:
            await context.store.commit(CALENDAR, Snapshot(new, taken_at=at), events)
        wait = next_change(at, context.clan_games) - at
        return PollResult(events, 0.0, committed=new != old, latest=min(wait, _CLOCK_CHECK_S))

    async def _fetch_gold_pass(self) -> Period | None:
        context = self._context
        if context.monitor.status not in (None, ApiStatus.OK):
            return None
        self._next_request = context.uptime() + self._interval
        try:
            response = await context.api.gold_pass()
            validate_size(response.body)
            data = response.data
            context.malformed_fields.record(CALENDAR, validate_gold_pass(data))
            found = parse_gold_pass(data, at=context.now())
        except ClashError as error:
            await context.monitor.observe(error, source=CALENDAR)
            return None
        await context.monitor.observe(None)
        return found
