"""The engine: polls every watch on time and commits what changed."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.event import EventType
from coc2mqtt.events.polling.api_monitor import ApiMonitor, ApiPoller
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.clocks import uptime
from coc2mqtt.events.polling.malformed_fields import MalformedFields
from coc2mqtt.events.polling.player_poller import PlayerPoller
from coc2mqtt.events.polling.poll_context import PollContext, log_bug
from coc2mqtt.events.polling.scheduler import NextPoll, Scheduler
from coc2mqtt.events.polling.war_poller import WarPoller
from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.util.containment import LONGEST_DELAY_S, propagate, retry_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.clash.protocol import ClashApi
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.poll_context import PollResult
    from coc2mqtt.events.polling.poller import Poller
    from coc2mqtt.events.resource import Store
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# So many polls in a row that hit a bug, without a good one in between: what they share is broken, such as the client.
_MOST_BUGS_IN_A_ROW = 10
_WINDOW = 60


class _CountedApi:
    """The polls of one resource, each counted; there are tens of thousands of these."""

    __slots__ = ("_bugs", "_engine", "_poller", "_resource")

    def __init__(self, engine: Engine, resource: Resource, poller: Poller | ApiPoller) -> None:
        self._engine = engine
        self._resource = resource
        self._poller = poller
        # Polls in a row that hit a bug.
        self._bugs = 0

    async def __call__(self) -> NextPoll:
        engine, resource = self._engine, self._resource
        try:
            again = engine.count(resource, await self._poller.poll())
        except (Exception, asyncio.CancelledError):
            # Only here, because the guard would cost every poll some microseconds.
            with engine.contain("poll", kind=resource.kind.value, tag=resource.tag):
                raise
        else:
            self._bugs = 0
            return again
        self._bugs += 1
        await engine.recover(resource)
        delay = retry_delay(self._bugs)
        # Soon, because most bugs need a rare moment; one that stays comes at the interval, at most once a minute.
        return NextPoll(0.0, wanted=delay if delay < LONGEST_DELAY_S else math.inf, backoff=delay)


@dataclass(slots=True)
class EngineMetrics:
    """Counters since the start: polls made, of them those that brought a change, events, failed polls by kind.

    ``last_poll`` is the last poll's Unix time in seconds, None before the first, ``last_poll_uptime`` the same in
    seconds of uptime. ``malformed`` is how often each field, such as ``clan.memberList.donations``, was left out.
    """

    polls: int = 0
    changed: int = 0
    events: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    last_poll: float | None = None
    last_poll_uptime: float | None = None
    malformed: Counter[str] = field(default_factory=Counter)


class Engine:
    """Polls every watch and commits each new snapshot with its events to the store.

    ``observer`` is called with each resource of which a new snapshot was committed. ``now`` gives Unix time in seconds,
    ``uptime`` seconds that no change of the wall clock affects. Watches can be added and removed
    at any time within a running event loop. While the API is in maintenance, unreachable or denies the token, only
    the probe asks it, if ``watch_api`` set one up.

    ``contain`` guards each poll: after a bug, that resource alone is left for 1 to 60 s. ``bug`` is called with a bug
    in comparing, whose response is ignored. ``figures`` go on from an earlier engine's.
    """

    def __init__(
        self,
        api: ClashApi,
        store: Store,
        *,
        observer: Callable[[Resource], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
        rng: random.Random | None = None,
        contain: Contain = propagate,
        bug: Callable[[Exception, Resource], None] = log_bug,
        figures: EngineMetrics | None = None,
    ) -> None:
        self._observer = observer
        self._monitor = ApiMonitor(
            store,
            now=now,
            uptime=uptime,
            changed=self._api_changed,
            suspected=self._api_suspected,
            resources=lambda: self._scheduler.resources,
        )
        self.figures = figures or EngineMetrics()
        malformed = MalformedFields(self.figures.malformed)
        self._context = PollContext(api, store, self._monitor, now, uptime, malformed=malformed, bug=bug)
        self.contain = contain
        self._scheduler = Scheduler(rng=rng or random.Random(), rate=api.requests_per_second)  # noqa: S311 - jitter is no secret
        self._watched: dict[tuple[Kind, str], tuple[Watch, tuple[Poller, ...]]] = {}
        self._kinds: Counter[Kind] = Counter()
        self._bugs_in_a_row = 0
        self._running = self._too_much = False
        self._asked = 0
        self._last_status: ApiStatus | None = None
        self._rate = Rate(uptime())
        self.probe_interval: float | None = None

    @property
    def watches(self) -> list[Watch]:
        """What is watched, in the order in which it was asked for."""
        return [watch for watch, _ in self._watched.values()]

    @property
    def clans(self) -> int:
        """How many clans are watched."""
        return self._kinds[Kind.CLAN]

    @property
    def players(self) -> int:
        """How many players are watched."""
        return self._kinds[Kind.PLAYER]

    @property
    def shortest_interval(self) -> float:
        """The shortest interval of all that is polled (seconds), infinity where nothing is."""
        return self._scheduler.shortest_interval

    @property
    def api_status(self) -> ApiStatus | None:
        """The API's status, None until a usable response, or enough failures, have decided it."""
        return self._monitor.status

    @property
    def api_message(self) -> str | None:
        """What is wrong with the API and what to do, None while nothing is."""
        return self._monitor.message

    @property
    def api_reachable(self) -> bool:
        """Whether the API gives usable responses, as far as known; a maintenance passes by itself and counts as yes."""
        return self._monitor.status not in (ApiStatus.UNREACHABLE, ApiStatus.DENIED)

    @property
    def malformed(self) -> Counter[str]:
        """How often each field, such as ``clan.memberList.donations``, was malformed and left out of a response."""
        return self.figures.malformed

    @property
    def overdue(self) -> int:
        """How many resources wait for a poll that should have been made."""
        return self._scheduler.overdue

    @property
    def overdue_seconds(self) -> float:
        """How long the one that waits longest of them should have been polled already."""
        return self._scheduler.overdue_seconds

    @property
    def load(self) -> float:
        """How much of the tokens' pace the intervals ask for, as a share: above 1 polls come late."""
        return self._scheduler.load

    @property
    def polls_per_second(self) -> float:
        """How many polls a second were made during the last minute."""
        return self._rate.per_second(self._context.uptime())

    def watch(self, watch: Watch) -> None:
        """Watch a clan or a player from now on; a watch of the same one is replaced and keeps its snapshot."""
        self._retire(watch.kind, watch.tag)
        pollers = []
        for resource, interval in watch.resources():
            poller = self._poller(resource.kind, watch, interval)
            pollers.append(poller)
            self._scheduler.add(resource, interval, _CountedApi(self, resource, poller))
        self._watched[watch.kind, watch.tag] = watch, tuple(pollers)
        self._kinds[watch.kind] += 1
        if self._running:
            self._check_load()

    def unwatch(self, kind: Kind, tag: str) -> bool:
        """Stop watching; returns whether it was watched. A poll that is under way is not committed any more."""
        pollers = self._retire(kind, tag)
        gone = {poller.resource for poller in pollers}
        # A clan's war may be watched twice, by itself and with the clan.
        for watch in [self._watched[other, tag][0] for other in (Kind.CLAN, Kind.WAR) if (other, tag) in self._watched]:
            shared = gone & {resource for resource, _ in watch.resources()}
            if shared:
                self.watch(watch)
                gone -= shared
        self._context.seen.difference_update(gone)
        return bool(pollers)

    def _retire(self, kind: Kind, tag: str) -> tuple[Poller, ...]:
        watched = self._watched.pop((kind, tag), None)
        if watched is None:
            return ()
        self._kinds[kind] -= 1
        for poller in watched[1]:
            poller.retire()
            self._scheduler.remove(poller.resource)
        return watched[1]

    def watch_api(self, *, interval: float, probe_tag: str) -> None:
        """Probe the API every ``interval`` seconds by a player that is known to exist."""
        probe = ApiPoller(self._context.api, self._monitor, probe_tag=probe_tag, another=self._ask_another)
        self._monitor.probing = True
        self.probe_interval = interval
        self._scheduler.add(API, interval, _CountedApi(self, API, probe), probe=True)

    def find(self, kind: Kind, tag: str) -> Watch | None:
        """Return what is watched under a kind and a tag, None where nothing is."""
        return self._watched.get((kind, tag), (None,))[0]

    def polled_at(self, kind: Kind, tag: str) -> float | None:
        """Return when the API last answered for a watch itself (Unix time in seconds), None where it did not yet."""
        watched = self._watched.get((kind, tag))
        return watched[1][0].polled_at if watched else None

    def poll_now(self, kind: Kind, tag: str) -> bool:
        """Make all that belongs to a watch due at once; returns whether it is watched."""
        watched = self._watched.get((kind, tag))
        if watched is None:
            return False
        for poller in watched[1]:
            self._scheduler.poll_now(poller.resource)
        return True

    async def run(self) -> None:
        """Poll until cancelled; raises what the store raises."""
        await self._monitor.load()
        self._context.seen.clear()
        self._running = True
        try:
            self._check_load()
            await self._scheduler.run()
        finally:
            self._running = False

    def _poller(self, kind: Kind, watch: Watch, interval: float) -> Poller:
        if kind is Kind.CLAN:
            return ClanPoller(self._context, watch.tag, interval=interval, members=watch.members)
        if kind is Kind.WAR:
            return WarPoller(self._context, watch.tag, interval=interval, alone=watch.kind is Kind.WAR)
        return PlayerPoller(
            self._context,
            watch.tag,
            interval=interval,
            include_fields=watch.include_fields,
            exclude_fields=watch.exclude_fields,
        )

    def _ask_another(self) -> Awaitable[None] | None:
        """Ask the endpoint of one watch, each time of another one; None without watches."""
        pollers = [poller for _, pollers in self._watched.values() for poller in pollers]
        if not pollers:
            return None
        self._asked += 1
        return pollers[self._asked % len(pollers)].ask()

    def count(self, resource: Resource, polled: PollResult) -> NextPoll:
        """Count a poll, publish what it changed, and return when to poll again."""
        self._bugs_in_a_row = 0
        self.figures.polls += 1
        self.figures.events += len(polled.events)
        self.figures.last_poll = self._context.now()
        self.figures.last_poll_uptime = at = self._context.uptime()
        self._rate.count(at)
        if polled.error is not None:
            self.figures.errors[polled.error] += 1
        if polled.committed:
            self.figures.changed += 1
            self._observer(resource)
        if any(_opens_war_log(event) for event in polled.events):
            self._scheduler.look_again(Resource(Kind.WAR, resource.tag))
        return NextPoll(polled.not_before, polled.wanted, polled.backoff)

    async def recover(self, resource: Resource) -> None:
        """Bring what a bug in a poll may have left half done in line with what was committed.

        Raises RuntimeError where no poll succeeds any more.
        """
        self.figures.errors["internal"] += 1
        self._bugs_in_a_row += 1
        if self._bugs_in_a_row >= _MOST_BUGS_IN_A_ROW:
            raise RuntimeError(f"{self._bugs_in_a_row} polls in a row failed because of internal errors")
        await self._monitor.load()
        self._observer(resource)

    def _check_load(self) -> None:
        """Say once that the watches ask for more than the tokens allow; polls come late then, and fairly so."""
        load = self.load
        if load > 1 and not self._too_much:
            _log.warning(
                "the watches ask for more polls than the tokens allow: take longer intervals or more tokens",
                load=round(load, 2),
            )
        self._too_much = load > 1

    def _api_changed(self, status: ApiStatus) -> None:
        # Without a probe nobody would notice that the API is back: then everything goes on asking.
        if status is ApiStatus.OK or not self._monitor.probing:
            self._scheduler.release()
            if status is ApiStatus.OK and self._last_status is not ApiStatus.OK:
                # What failed before it was known to be the API's fault.
                self._scheduler.retry_failed()
        else:
            self._scheduler.hold()
        self._last_status = status
        self._observer(API)

    def _api_suspected(self) -> None:
        self._scheduler.poll_now(API)


def _opens_war_log(event: Event) -> bool:
    return event.event_type is EventType.CLAN_UPDATED and any(
        change.field == "isWarLogPublic" and change.new_value is True for change in event.changes
    )


class Rate:
    """How many times a second something happened during the last minute. Times are seconds of any one clock."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._counts: Counter[int] = Counter()

    def count(self, now: float) -> None:
        """Note that it happened."""
        self._counts[int(now)] += 1
        if len(self._counts) > _WINDOW:
            # A clock that was set back would else leave what lies ahead of it for ever.
            self._counts = Counter({at: count for at, count in self._counts.items() if 0 <= int(now) - at < _WINDOW})

    def per_second(self, now: float) -> float:
        """Return the rate, within the first minute that of the time since the start."""
        happened = sum(count for at, count in self._counts.items() if 0 <= int(now) - at < _WINDOW)
        return happened / min(_WINDOW, max(1.0, now - self._since))
