"""The engine: polls every watch on time and commits what changed."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import structlog

from coc2mqtt.events.calendar import ClanGames
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.event import EventType
from coc2mqtt.events.polling.api_monitor import ApiMonitor, ApiProbe
from coc2mqtt.events.polling.calendar_poller import CalendarPoller
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.metrics import EngineMetrics, RateMeter
from coc2mqtt.events.polling.poll_context import MalformedFields, PollContext, log_bug
from coc2mqtt.events.polling.poller import Poller
from coc2mqtt.events.polling.pollers import create_poller
from coc2mqtt.events.polling.reminder_poller import ReminderPoller
from coc2mqtt.events.polling.scheduler import NextPoll, Scheduler
from coc2mqtt.events.resource import API, CALENDAR, Kind, Resource
from coc2mqtt.util.clocks import uptime
from coc2mqtt.util.containment import LONGEST_DELAY_S, propagate, retry_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from coc2mqtt.clash.client import ClashApi
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.games_poller import GamesPoller
    from coc2mqtt.events.polling.poll_context import PollResult
    from coc2mqtt.events.polling.ranked_poller import RankedPoller
    from coc2mqtt.events.resource import Store, Watch
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# After this many polls in a row that hit a bug, a shared part such as the client must be broken.
_MAX_BUGS_IN_A_ROW = 10
_REMINDER_START_S = 20.0
# These make no requests, or hardly any.
_LOCAL_KINDS = (Kind.REMINDER, Kind.CALENDAR)
WatchPoller: TypeAlias = "Poller | GamesPoller | RankedPoller | ReminderPoller"
_ATTACKS = (EventType.WAR_ATTACK_NEW, EventType.CWL_ATTACK_NEW, EventType.RAID_ATTACK_NEW)


class _ResourcePoll:
    """The poll function of one resource: counts each poll and contains bugs. There are tens of thousands of these."""

    __slots__ = ("_bugs_in_a_row", "_engine", "_poller", "_resource")

    def __init__(self, engine: Engine, resource: Resource, poller: WatchPoller | CalendarPoller | ApiProbe) -> None:
        self._engine = engine
        self._resource = resource
        self._poller = poller
        self._bugs_in_a_row = 0

    async def __call__(self) -> NextPoll:
        engine, resource = self._engine, self._resource
        try:
            next_poll = engine.process_result(resource, await self._poller.poll())
        except (Exception, asyncio.CancelledError):
            # The guard is entered only here, because it would cost every poll some microseconds.
            with engine.contain("poll", kind=resource.kind.value, tag=resource.tag):
                raise
        else:
            self._bugs_in_a_row = 0
            return next_poll
        self._bugs_in_a_row += 1
        await engine.recover_from_bug(resource)
        delay = retry_delay(self._bugs_in_a_row)
        # Retry soon, because most bugs depend on timing. If the bug persists, retry at the interval, but at most once a
        # minute.
        return NextPoll(0.0, latest=delay if delay < LONGEST_DELAY_S else math.inf, backoff=delay)


class Engine:
    """Polls every watch and commits each new snapshot with its events to the store.

    ``on_commit`` is called with each resource whose new snapshot was committed. ``now`` returns Unix time in seconds,
    ``uptime`` seconds that do not depend on the wall clock. Watches can be added and removed at any time within a
    running event loop. While the API is in maintenance, is unreachable or denies the token, only the probe sends
    requests, if ``watch_api`` has set one up.

    ``contain`` guards each poll: after a bug, only that resource is delayed, by 1 to 60 s. ``on_bug`` is called with a
    bug in comparing; the response is ignored. ``metrics`` continue those of an earlier engine. ``clan_games`` is when
    clan games take place, None for the usual time.
    """

    def __init__(
        self,
        api: ClashApi,
        store: Store,
        *,
        on_commit: Callable[[Resource], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
        rng: random.Random | None = None,
        contain: Contain = propagate,
        on_bug: Callable[[Exception, Resource], None] = log_bug,
        metrics: EngineMetrics | None = None,
        clan_games: ClanGames | None = None,
    ) -> None:
        self._on_commit = on_commit
        self._monitor = ApiMonitor(
            store,
            now=now,
            uptime=uptime,
            on_change=self._on_api_change,
            on_suspicion=lambda: self._scheduler.poll_now(API),
            resource_count=lambda: self._scheduler.resource_count,
        )
        self.metrics = metrics or EngineMetrics()
        malformed_fields = MalformedFields(self.metrics.malformed)
        self._context = PollContext(
            api,
            store,
            self._monitor,
            now,
            uptime,
            malformed_fields=malformed_fields,
            on_bug=on_bug,
            clan_games=clan_games or ClanGames(),
        )
        self.contain = contain
        self._scheduler = Scheduler(rng=rng or random.Random(), rate=api.requests_per_second)  # noqa: S311 - jitter need not be secret
        self._watches: dict[tuple[Kind, str], tuple[Watch, tuple[WatchPoller, ...]]] = {}
        # By the tag of the clan.
        self._reminders: dict[str, ReminderPoller] = {}
        self._watch_counts: Counter[Kind] = Counter()
        self._bugs_in_a_row = 0
        self._running = self._over_rate = False
        self._endpoint_checks = 0
        self._last_status: ApiStatus | None = None
        self._poll_rate = RateMeter(uptime())
        self.probe_interval: float | None = None

    @property
    def watches(self) -> list[Watch]:
        """The watches in the order in which they were added."""
        return [watch for watch, _ in self._watches.values()]

    @property
    def clans(self) -> int:
        """The number of watched clans."""
        return self._watch_counts[Kind.CLAN]

    @property
    def players(self) -> int:
        """The number of watched players."""
        return self._watch_counts[Kind.PLAYER]

    @property
    def shortest_interval(self) -> float:
        """The shortest interval of all polled resources (seconds), infinity if there is none."""
        return self._scheduler.shortest_interval

    @property
    def api_status(self) -> ApiStatus | None:
        """The API's status, None until a usable response or enough failures have decided it."""
        return self._monitor.status

    @property
    def api_message(self) -> str | None:
        """The problem with the API and its remedy, None without a problem."""
        return self._monitor.message

    @property
    def api_reachable(self) -> bool:
        """Whether the API gives usable responses, as far as known; true during a maintenance, which ends by itself."""
        return self._monitor.status not in (ApiStatus.UNREACHABLE, ApiStatus.DENIED)

    @property
    def overdue(self) -> int:
        """The number of resources that wait for a poll although it is due."""
        return self._scheduler.overdue

    @property
    def overdue_seconds(self) -> float:
        """For how many seconds the longest overdue resource has been waiting."""
        return self._scheduler.overdue_seconds

    @property
    def load(self) -> float:
        """The polls per second that the intervals require, as a share of the rate limit: above 1 polls are late."""
        return self._scheduler.load

    @property
    def polls_per_second(self) -> float:
        """The polls per second during the last minute."""
        return self._poll_rate.per_second(self._context.uptime())

    def watch(self, watch: Watch) -> None:
        """Add a watch; a watch with the same kind and tag is replaced and keeps its snapshot."""
        self._retire(watch.kind, watch.tag)
        pollers: list[WatchPoller] = []
        for resource, interval in watch.resources():
            poller: WatchPoller
            if resource.kind is Kind.REMINDER:
                poller = self._reminders[watch.tag] = self._reminder_poller(watch, pollers)
            else:
                poller = create_poller(self._context, resource.kind, watch, interval)
            pollers.append(poller)
            self._schedule(resource, interval, poller)
        self._watches[watch.kind, watch.tag] = watch, tuple(pollers)
        self._watch_counts[watch.kind] += 1
        if self._running:
            self._check_load()

    def unwatch(self, kind: Kind, tag: str) -> bool:
        """Remove a watch; return whether there was one. A poll in progress is not committed."""
        pollers = self._retire(kind, tag)
        removed = {poller.resource for poller in pollers}
        # A clan's war may be watched twice: on its own and with the clan.
        for watch in [self._watches[other, tag][0] for other in (Kind.CLAN, Kind.WAR) if (other, tag) in self._watches]:
            shared = removed & {resource for resource, _ in watch.resources()}
            if shared:
                self.watch(watch)
                removed -= shared
        for resource in removed:
            self._context.polled.pop(resource, None)
        return bool(pollers)

    def _schedule(self, resource: Resource, interval: float, poller: WatchPoller) -> None:
        poll = _ResourcePoll(self, resource, poller)
        if isinstance(poller, ReminderPoller):
            # The first polls of the war and the others start it, unless they fail.
            self._scheduler.add(resource, interval, poll, entry_type="local", start_delay=_REMINDER_START_S)
        else:
            self._scheduler.add(resource, interval, poll)

    def _reminder_poller(self, watch: Watch, pollers: Sequence[WatchPoller]) -> ReminderPoller:
        return ReminderPoller(
            self._context,
            watch.tag,
            reminders=watch.reminders,
            parts={poller.kind: poller for poller in pollers if not isinstance(poller, ReminderPoller)},
            request_poll=self._scheduler.poll_when_fresh,
        )

    def _retire(self, kind: Kind, tag: str) -> tuple[WatchPoller, ...]:
        found = self._watches.pop((kind, tag), None)
        if found is None:
            return ()
        self._watch_counts[kind] -= 1
        if kind is Kind.CLAN:
            self._reminders.pop(tag, None)
        for poller in found[1]:
            poller.retire()
            self._scheduler.remove(poller.resource)
        return found[1]

    def watch_api(self, *, interval: float, probe_tag: str) -> None:
        """Probe the API every ``interval`` seconds with a player that is known to exist."""
        probe = ApiProbe(
            self._context.api,
            self._monitor,
            probe_tag=probe_tag,
            check_other_endpoint=self._check_other_endpoint,
        )
        self._monitor.probing = True
        self.probe_interval = interval
        self._scheduler.add(API, interval, _ResourcePoll(self, API, probe), entry_type="probe")

    def watch_calendar(self, *, interval: float) -> None:
        """Report the ends of seasons and weeks, and poll the gold pass every ``interval`` seconds."""
        poller = CalendarPoller(self._context, interval=interval)
        self._scheduler.add(CALENDAR, interval, _ResourcePoll(self, CALENDAR, poller), entry_type="local")

    def find(self, kind: Kind, tag: str) -> Watch | None:
        """Return the watch with this kind and tag, None if there is none."""
        return self._watches.get((kind, tag), (None,))[0]

    def polled_at(self, kind: Kind, tag: str) -> float | None:
        """Return the Unix time of the last valid response to a watch's own resource, None before the first."""
        found = self._watches.get((kind, tag))
        return found[1][0].polled_at if found and isinstance(found[1][0], Poller) else None

    def poll_now(self, kind: Kind, tag: str) -> bool:
        """Make all resources of a watch due immediately; return whether there is such a watch."""
        found = self._watches.get((kind, tag))
        if found is None:
            return False
        for poller in found[1]:
            self._scheduler.poll_now(poller.resource)
        return True

    async def run(self) -> None:
        """Poll until cancelled; raises the store's errors."""
        await self._monitor.load()
        self._context.polled.clear()
        self._running = True
        try:
            self._check_load()
            await self._scheduler.run()
        finally:
            self._running = False

    def _check_other_endpoint(self) -> Awaitable[None] | None:
        """Check the endpoint of one watched resource, a different one each time; None without watches."""
        pollers = [poller for _, pollers in self._watches.values() for poller in pollers if isinstance(poller, Poller)]
        if not pollers:
            return None
        self._endpoint_checks += 1
        return pollers[self._endpoint_checks % len(pollers)].check_endpoint()

    def process_result(self, resource: Resource, result: PollResult) -> NextPoll:
        """Count a poll, notify of its changes, and return when to poll again."""
        self._bugs_in_a_row = 0
        self.metrics.events += len(result.events)
        if resource.kind not in _LOCAL_KINDS:
            self._count_poll(result)
        if result.committed:
            self._on_commit(resource)
        if (reminders := self._reminders.get(resource.tag)) is not None and result.error is None:
            self._check_reminders(reminders, resource, changed=result.committed)
        self._note_attackers(resource, result.events)
        if any(_makes_war_log_public(event) for event in result.events):
            self._scheduler.poll_when_fresh(Resource(Kind.WAR, resource.tag))
        return result.next_poll

    def _note_attackers(self, resource: Resource, events: Sequence[Event]) -> None:
        """Tell the clan's poller which of its members have attacked in a war, a league or a raid weekend."""
        attackers = {tag: event.timestamp for event in events if (tag := _own_attacker(event)) is not None}
        found = self._watches.get((Kind.CLAN, resource.tag)) if attackers else None
        if found is not None and isinstance(found[1][0], ClanPoller):
            for tag, at in attackers.items():
                found[1][0].see_members([tag], at)

    def _count_poll(self, result: PollResult) -> None:
        self.metrics.polls += 1
        self.metrics.last_poll = self._context.now()
        self.metrics.last_poll_uptime = now = self._context.uptime()
        self._poll_rate.count(now)
        if result.error is not None:
            self.metrics.errors[result.error] += 1
        if result.committed:
            self.metrics.changed += 1

    def _check_reminders(self, reminders: ReminderPoller, resource: Resource, *, changed: bool) -> None:
        if reminders.notify(resource.kind, changed=changed):
            self._scheduler.poll_now(reminders.resource)

    async def recover_from_bug(self, resource: Resource) -> None:
        """Restore a consistent state from the store after a bug interrupted a poll.

        Raises RuntimeError if too many polls in a row have failed.
        """
        self.metrics.errors["internal"] += 1
        self._bugs_in_a_row += 1
        if self._bugs_in_a_row >= _MAX_BUGS_IN_A_ROW:
            raise RuntimeError(f"{self._bugs_in_a_row} polls in a row failed because of internal errors")
        await self._monitor.load()
        self._on_commit(resource)

    def _check_load(self) -> None:
        """Log once that the intervals require more polls than the rate limit allows."""
        load = self.load
        if load > 1 and not self._over_rate:
            _log.warning(
                "intervals exceed the rate limit",
                load=round(load, 2),
                hint="polls will be late; use longer intervals, fewer watches or more tokens",
            )
        self._over_rate = load > 1

    def _on_api_change(self, status: ApiStatus) -> None:
        # Without a probe the other polls have to continue, or nothing would notice that the API is back.
        if status is ApiStatus.OK or not self._monitor.probing:
            self._scheduler.resume()
            if status is ApiStatus.OK and self._last_status is not ApiStatus.OK:
                # These resources failed before the failure was attributed to the API.
                self._scheduler.retry_failed()
        else:
            self._scheduler.pause()
        self._last_status = status
        self._on_commit(API)


def _own_attacker(event: Event) -> str | None:
    """Return the tag of the clan's member whose attack an event reports, None for any other event."""
    if event.event_type in (EventType.WAR_ATTACK_NEW, EventType.CWL_ATTACK_NEW) and event.metadata["side"] != "clan":
        return None
    tag = event.metadata.get("attacker_tag") if event.event_type in _ATTACKS else None
    return tag if isinstance(tag, str) else None


def _makes_war_log_public(event: Event) -> bool:
    return event.event_type is EventType.CLAN_UPDATED and any(
        change.field == "isWarLogPublic" and change.new_value is True for change in event.changes
    )
