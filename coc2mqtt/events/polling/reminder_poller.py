"""The reminders of a clan, which are sent at their time and not when a poll sees a change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.compare.reminder import ReminderHistory, plan_reminders
from coc2mqtt.events.compare.reminder_events import KIND_OF_PART, PART_OF_KIND, ClanNow, occasions_of, reminder_event
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.resource import Kind, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from coc2mqtt.events.compare.reminder import DueReminder, Occasion, Plan
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.games_poller import GamesPoller
    from coc2mqtt.events.polling.poll_context import PollContext
    from coc2mqtt.events.polling.poller import Poller
    from coc2mqtt.events.polling.ranked_poller import RankedPoller
    from coc2mqtt.events.resource import Reminders

# The war or weekend of a reminder is polled this long before it is due, so that its list of members is up to date.
_POLL_BEFORE_S = 15.0
# After a start and after a maintenance, a reminder waits this long for the first poll, which shows the present end.
_MAX_WAIT_FOR_POLL_S = 120.0
_RECHECK_S = 5.0
# A maintenance moves the end by its own length, which is unknown before its end.
_MAINTENANCE_RECHECK_S = 30.0
# The wall clock may be set while a reminder is pending.
_CLOCK_CHECK_S = 300.0
_WITHOUT_API = (ApiStatus.UNREACHABLE, ApiStatus.DENIED)


class ReminderPoller:
    """Sends the reminders of one clan: each once for each war, league round, raid weekend and configured time.

    It makes no requests. ``parts`` are the pollers of what the reminders are about, ``request_poll`` makes one of their
    resources due as soon as its cache entry expires. ``notify`` has to be called for each of them that was polled.
    A reminder uses the snapshots that are stored at its time. The list of sent reminders is stored together with the
    events.
    """

    kind: ClassVar = Kind.REMINDER
    __slots__ = (
        "_context",
        "_history",
        "_occasions",
        "_parts",
        "_reminders",
        "_request_poll",
        "_requested_for",
        "_retired",
        "_started_at",
        "_tag",
        "_to_read",
        "resource",
    )

    def __init__(
        self,
        context: PollContext,
        tag: str,
        *,
        reminders: Reminders,
        parts: Mapping[Kind, Poller | GamesPoller | RankedPoller],
        request_poll: Callable[[Resource], object] = lambda _: None,
    ) -> None:
        self._context = context
        self._tag = tag
        self._reminders = reminders
        self._parts = {kind: poller for kind, poller in parts.items() if kind in PART_OF_KIND}
        self._request_poll = request_poll
        self._history: ReminderHistory | None = None
        # The occasions in progress, by the kind of the resource that shows it; and the kinds to read again.
        self._occasions: dict[Kind, list[Occasion]] = {}
        self._to_read: set[Kind] = set()
        # The moment of the reminder for which a poll was requested.
        self._requested_for = -math.inf
        self._retired = False
        self._started_at = context.uptime()
        self.resource = Resource(self.kind, tag)

    def retire(self) -> None:
        """Send nothing from now on."""
        self._retired = True

    def notify(self, kind: Kind, *, changed: bool) -> bool:
        """Record that a part was polled; return whether the reminders have to be checked now."""
        if kind in self._parts and (changed or kind not in self._occasions):
            self._to_read.add(kind)
        return bool(self._to_read)

    async def poll(self) -> PollResult:
        """Send the reminders that are due, and return when the next one may be."""
        # Those that were never polled in this run are read if nothing else is to be read.
        await self._read(self._to_read or self._parts.keys() - self._occasions.keys())
        history = await self._load_history()
        at = self._context.now()
        changed = history.follow(self._reminders, at)
        plan = self._plan(history, at)
        if plan.due:
            # A poll that has just stored something may not have notified yet.
            await self._read({KIND_OF_PART[reminder.occasion.part] for reminder in plan.due})
            plan = self._plan(history, at)
        held = self._context.monitor.status is ApiStatus.MAINTENANCE
        due = [reminder for reminder in plan.due if not held and self._is_current(KIND_OF_PART[reminder.occasion.part])]
        events = []
        for reminder in due:
            events += await self._events(reminder, at)
            history.record(reminder, at)
        committed = (changed or bool(due)) and await self._commit(history, events, at)
        latest = self._wait(plan, at, held=held, waiting=len(due) < len(plan.due))
        return PollResult(events if committed else [], 0.0, committed=committed, latest=latest)

    async def _read(self, kinds: Collection[Kind]) -> None:
        """Read the occasions in progress according to the stored snapshots of these kinds."""
        for kind in tuple(kinds):
            self._to_read.discard(kind)
            snapshot = await self._context.store.snapshot(Resource(kind, self._tag))
            self._occasions[kind] = occasions_of(kind, snapshot, self._tag)

    def _plan(self, history: ReminderHistory, at: float) -> Plan:
        occasions = [occasion for found in self._occasions.values() for occasion in found]
        return plan_reminders(history, occasions, self._reminders, at=at)

    async def _load_history(self) -> ReminderHistory:
        if self._history is None:
            snapshot = await self._context.store.snapshot(self.resource)
            self._history = ReminderHistory.from_json(None if snapshot is None else snapshot.data)
        return self._history

    def _is_current(self, kind: Kind) -> bool:
        """Return whether the end of a part is known to be the present one, or cannot be known soon."""
        monitor, uptime = self._context.monitor, self._context.uptime()
        since = max(self._started_at, monitor.maintenance_ended_at)
        polled = self._parts[kind].polled_uptime
        if polled is not None and polled >= since:
            return True
        return monitor.status in _WITHOUT_API or uptime - since >= _MAX_WAIT_FOR_POLL_S

    async def _events(self, reminder: DueReminder, at: float) -> list[Event]:
        kind = KIND_OF_PART[reminder.occasion.part]
        store = self._context.store
        snapshot = await store.snapshot(Resource(kind, self._tag))
        if snapshot is None:
            return []
        clan = ClanNow.of(self._tag, await store.snapshot(Resource(Kind.CLAN, self._tag)))
        polled_at = self._parts[kind].polled_at or snapshot.taken_at
        event = reminder_event(reminder, snapshot, clan, self._reminders, at=at, polled_at=polled_at)
        return [] if event is None else [event]

    async def _commit(self, history: ReminderHistory, events: list[Event], at: float) -> bool:
        if self._retired:
            return False
        # Read again after a failure.
        self._history = None
        await self._context.store.commit(self.resource, Snapshot(history.to_json(), taken_at=at), events)
        self._history = history
        return True

    def _wait(self, plan: Plan, at: float, *, held: bool, waiting: bool) -> float:
        """Return in how many seconds the reminders have to be checked again; request the poll before the next one."""
        if waiting:
            return _MAINTENANCE_RECHECK_S if held else _RECHECK_S
        wait = plan.next_due - at
        if wait == math.inf:
            return math.inf
        if wait > _POLL_BEFORE_S:
            return min(wait - _POLL_BEFORE_S, _CLOCK_CHECK_S)
        if self._requested_for != plan.next_due:
            self._requested_for = plan.next_due
            if plan.next_part is not None:
                self._request_poll(Resource(KIND_OF_PART[plan.next_part], self._tag))
        return wait
