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
    from collections.abc import Callable, Mapping

    from coc2mqtt.events.compare.reminder import DueReminder, Occasion, Part, Plan
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
# These list members of the clan who are in no other response.
_PARTS_OF_ALL_MEMBERS = ("raid", "games")
_WITHOUT_API = (ApiStatus.UNREACHABLE, ApiStatus.DENIED)


class ReminderPoller:
    """Sends the reminders of one clan: each once for each war, league round, raid weekend and configured time.

    It makes no requests. ``parts`` are the pollers of what the reminders are about, ``request_poll`` makes one of their
    resources, or the clan, due as soon as its cache entry expires. ``notify`` has to be called for each of the parts
    that was polled. A reminder uses the snapshots that are stored at its time. The list of sent reminders is stored
    together with the events.
    """

    kind: ClassVar = Kind.REMINDER
    __slots__ = (
        "_context",
        "_history",
        "_occasions",
        "_parts",
        "_reminders",
        "_request_poll",
        "_requested",
        "_retired",
        "_started_at",
        "_tag",
        "_to_read",
        "_waiting_for",
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
        # The stored history; None if it has to be read, as after a failure.
        self._history: ReminderHistory | None = None
        # The occasions in progress, by the kind of the resource that shows it; and the kinds to read (again).
        self._occasions: dict[Kind, list[Occasion]] = {}
        self._to_read: set[Kind] = set()
        # The kinds whose first poll a reminder that is due waits for.
        self._waiting_for: tuple[Kind, ...] = ()
        # The reminder of each part for which a poll was requested: its moment, and the uptime since which to poll.
        self._requested: dict[Part, tuple[float, float]] = {}
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
        return bool(self._to_read) or kind in self._waiting_for

    async def poll(self) -> PollResult:
        """Send the reminders that are due, and return when the next one may be."""
        # Those that were not polled in this run were stored by an earlier one.
        self._to_read |= self._parts.keys() - self._occasions.keys()
        await self._read()
        history, self._history = await self._load_history(), None
        at = self._context.now()
        changed = history.follow(self._reminders, at, parts=[PART_OF_KIND[kind] for kind in self._parts])
        plan = self._plan(history, at)
        snapshots: dict[Kind, Snapshot | None] = {}
        if plan.due:
            # A poll that has just stored something may not have notified yet.
            self._to_read.update(KIND_OF_PART[reminder.occasion.part] for reminder in plan.due)
            snapshots = await self._read()
            plan = self._plan(history, at)
        held = self._context.monitor.status is ApiStatus.MAINTENANCE
        due = [reminder for reminder in plan.due if not held and self._is_current(KIND_OF_PART[reminder.occasion.part])]
        events = []
        for reminder in due:
            events += await self._events(reminder, snapshots.get(KIND_OF_PART[reminder.occasion.part]), at)
            history.record(reminder, at)
        committed = (changed or bool(due)) and await self._commit(history, events, at)
        self._history = history
        waiting = [reminder for reminder in plan.due if reminder not in due]
        self._waiting_for = tuple(KIND_OF_PART[reminder.occasion.part] for reminder in waiting)
        if not held:
            self._request_polls({reminder.occasion.part: reminder.due for reminder in waiting})
        latest = self._wait(plan, at, held=held, waiting=bool(waiting))
        return PollResult(events if committed else [], 0.0, committed=committed, latest=latest)

    async def _read(self) -> dict[Kind, Snapshot | None]:
        """Read the stored snapshots of the kinds to read, and the occasions in progress according to them."""
        snapshots = {}
        for kind in tuple(self._to_read):
            # Before the snapshot is read, because it may change meanwhile.
            self._to_read.discard(kind)
            resource = Resource(kind, self._tag)
            try:
                snapshots[kind] = await self._context.store.snapshot(resource)
            except BaseException:
                self._to_read.add(kind)
                raise
            try:
                self._occasions[kind] = occasions_of(kind, snapshots[kind], self._tag)
            except Exception as error:  # noqa: BLE001 - a bug about one part must not stop the reminders of the others
                self._context.on_bug(error, resource)
                self._occasions[kind] = []
        return snapshots

    def _plan(self, history: ReminderHistory, at: float) -> Plan:
        occasions = [occasion for found in self._occasions.values() for occasion in found]
        return plan_reminders(history, occasions, self._reminders, at=at)

    async def _load_history(self) -> ReminderHistory:
        if self._history is not None:
            return self._history
        snapshot = await self._context.store.snapshot(self.resource)
        return ReminderHistory.from_json(None if snapshot is None else snapshot.data)

    @property
    def _current_since(self) -> float:
        """The uptime since which a poll shows the present end of a war."""
        return max(self._started_at, self._context.monitor.maintenance_ended_at)

    def _is_current(self, kind: Kind) -> bool:
        """Return whether the end of a part is known to be the present one, or cannot be known soon."""
        polled = self._parts[kind].polled_uptime
        if polled is not None and polled >= self._current_since:
            return True
        waited = self._context.uptime() - self._current_since
        return self._context.monitor.status in _WITHOUT_API or waited >= _MAX_WAIT_FOR_POLL_S

    async def _events(self, reminder: DueReminder, snapshot: Snapshot | None, at: float) -> list[Event]:
        if snapshot is None:
            return []
        part = Resource(KIND_OF_PART[reminder.occasion.part], self._tag)
        clan = ClanNow.of(self._tag, await self._context.store.snapshot(Resource(Kind.CLAN, self._tag)))
        polled_at = self._parts[part.kind].polled_at or snapshot.taken_at
        try:
            event = reminder_event(reminder, snapshot, clan, self._reminders, at=at, polled_at=polled_at)
        except Exception as error:  # noqa: BLE001 - a bug about one part must not stop the reminders of the others
            self._context.on_bug(error, part)
            return []
        return [] if event is None else [event]

    async def _commit(self, history: ReminderHistory, events: list[Event], at: float) -> bool:
        if self._retired:
            return False
        await self._context.store.commit(self.resource, Snapshot(history.to_json(), taken_at=at), events)
        return True

    def _wait(self, plan: Plan, at: float, *, held: bool, waiting: bool) -> float:
        """Return in how many seconds to check the reminders again; request the polls before the next ones."""
        longest = _CLOCK_CHECK_S if plan.is_open else math.inf
        if waiting:
            longest = _MAINTENANCE_RECHECK_S if held else _RECHECK_S
        wait = min(plan.next_due.values(), default=math.inf) - at
        if wait > _POLL_BEFORE_S:
            return min(wait - _POLL_BEFORE_S, longest)
        self._request_polls({part: due for part, due in plan.next_due.items() if due - at <= _POLL_BEFORE_S})
        return min(wait, longest)

    def _request_polls(self, reminders: Mapping[Part, float]) -> None:
        """Request the polls that reminders (their moments, by part) need, once for each."""
        for part, due in reminders.items():
            request = (due, self._current_since)
            if self._requested.get(part) == request:
                continue
            self._requested[part] = request
            self._request_poll(Resource(KIND_OF_PART[part], self._tag))
            if part in _PARTS_OF_ALL_MEMBERS or self._reminders.roles is not None:
                self._request_poll(Resource(Kind.CLAN, self._tag))
