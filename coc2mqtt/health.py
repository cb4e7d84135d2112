"""How the bridge is doing: for ``bridge/health``, for who asks, and for the log."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Never

import structlog

from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.clocks import uptime
from coc2mqtt.events.polling.engine import EngineMetrics
from coc2mqtt.mqtt.client.poison_messages import Quarantine
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from coc2mqtt.mqtt.control.request_queue import RequestMetrics
from coc2mqtt.mqtt.payloads.event import last_event
from coc2mqtt.mqtt.payloads.models import HealthPayload, LastEventPayload, iso_time
from coc2mqtt.mqtt.publish.event_delivery import DeliveryMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.polling.engine import Engine
    from coc2mqtt.internal_errors import InternalErrors
    from coc2mqtt.journal.protocol import Journal, JournalCounts
    from coc2mqtt.mqtt.client.connection import Connection
    from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
    from coc2mqtt.mqtt.publish.retained_guard import RetainedGuard
    from coc2mqtt.mqtt.publish.retained_state import RetainedState

_log = structlog.get_logger()

# From so many seconds on, silence is a problem: of a poll that is due, of polls at all where none need be due (a
# resource in trouble is left alone for ten minutes), of one among others, of the broker, and of publishes that could be
# made. For so many seconds a refusal is one.
_OVERDUE = 300.0
_UNPOLLED = 900.0
_LATE = 3600.0
_DISCONNECTED = 60.0
_UNPUBLISHED = 60.0
_REFUSED = 600.0
_BROKEN_S = 600.0
# A connection that is lost this often within so many seconds is one; a broker that is restarted by hand is not.
_MANY_LOSSES = 10
_LOSSES_PERIOD = 600.0
# For so many seconds the API may be unreachable, deny access, or have given no usable response yet: routers restart.
_API_AWAY = 180.0
_LOOK_INTERVAL = 30.0
_FIGURES_INTERVAL = 3600.0


@dataclass(slots=True)
class Totals:
    """What is counted and learned from the start of the program on, and kept when the parts are rebuilt."""

    engine: EngineMetrics = field(default_factory=EngineMetrics)
    delivery: DeliveryMetrics = field(default_factory=DeliveryMetrics)
    requests: RequestMetrics = field(default_factory=RequestMetrics)
    patience: RetryingPublisher = field(default_factory=RetryingPublisher)
    states_denied: int = 0
    restored: int = 0
    connections: int = 0
    quarantine: Quarantine = field(default_factory=Quarantine)


class Health:
    """Collects the figures of all parts and says what is wrong with the bridge itself.

    A maintenance of the API is not a problem; an API that stays unreachable or denies access is one after three
    minutes. ``redact`` takes secrets out of a text. ``uptime`` gives seconds from anywhere, by which all durations are
    measured: a clock that is set is no trouble of the bridge's. ``started_at`` is when the program began, as ``uptime``
    gives it; ``clock`` gives Unix time.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        engine: Engine,
        connection: Connection,
        delivery: EventDelivery,
        retained: RetainedState,
        requests: RequestMetrics,
        patience: RetryingPublisher,
        internal_errors: InternalErrors,
        guard: RetainedGuard,
        started_at: float,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._connection = connection
        self._delivery = delivery
        self._retained = retained
        self._requests = requests
        self._patience = patience
        self._internal_errors = internal_errors
        self._guard = guard
        self._redact = redact
        self._clock = clock
        self._uptime = uptime
        self._queue_age = _QueueAge()
        self._started_at = started_at
        self._reconnects = _Increase(uptime, over=_LOSSES_PERIOD)
        self._polls, self._connected, self._oldest, self._api = (_Unchanged(uptime) for _ in range(4))
        self._denied = _Unchanged(uptime, delivery.figures.denied)

    async def payload(self) -> HealthPayload:
        """Return how the bridge is doing now."""
        now, uptime = self._clock(), self._uptime()
        counts = await self._journal.counts()
        engine, status, delivery = self._engine, self._connection.status, self._delivery.figures
        last = self._last_event()  # first: it can be a problem itself
        problems = self._problems(counts)
        last_poll = engine.figures.last_poll_uptime
        return HealthPayload(
            healthy=not problems,
            problems=problems,
            uptime_seconds=round(uptime - self._started_at, 1),
            connected_since=iso_time(status.since) if status.connected else None,
            reconnects=status.reconnects,
            api_status=None if engine.api_status is None else engine.api_status.value,
            polls=engine.figures.polls,
            polls_changed=engine.figures.changed,
            polls_per_second=round(engine.polls_per_second, 3),
            errors=dict(sorted(engine.figures.errors.items())),
            malformed_fields=dict(sorted(engine.malformed.items())),
            last_poll_age_seconds=None if last_poll is None else round(uptime - last_poll, 1),
            overdue=engine.overdue,
            overdue_seconds=round(engine.overdue_seconds, 1),
            load=round(engine.load, 3),
            watches=engine.clans + engine.players,
            clans=engine.clans,
            players=engine.players,
            events=engine.figures.events,
            published=delivery.published,
            resent=delivery.resent,
            denied=delivery.denied,
            states_denied=self._retained.refusals.count,
            deferred=self._patience.deferred,
            restored=self._guard.restored,
            requests_dropped=self._requests.dropped,
            queue=counts.pending,
            queue_age_seconds=self._queue_age.seconds(counts.oldest_pending, now=now, uptime=uptime),
            dropped=counts.dropped,
            events_skipped=delivery.skipped,
            internal_errors=self._internal_errors.count,
            last_event=last,
        )

    def _last_event(self) -> LastEventPayload | None:
        if self._delivery.last is not None:
            # One that cannot be encoded must not hide all other figures.
            with self._internal_errors.contain("last event", seq=self._delivery.last.seq):
                return last_event(self._delivery.last)
            self._delivery.last = None
        return None

    async def watch(self) -> Never:
        """Log every change between well and not well, and the figures once an hour, until cancelled."""
        before: list[str] = []
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        while True:
            await asyncio.sleep(_LOOK_INTERVAL)
            health = await self.payload()
            if health.problems and not before:
                _log.warning("the bridge is not well", problems=health.problems)
            elif before and not health.problems:
                _log.info("the bridge is well again")
            before = health.problems
            if loop.time() - told_at >= _FIGURES_INTERVAL:
                told_at = loop.time()
                _log.info("figures", **health.model_dump(exclude={"healthy", "problems"}))

    def _problems(self, counts: JournalCounts) -> list[str]:
        found = (
            self._failing(),
            self._polling(),
            self._answering(),
            self._speaking(),
            self._reconnecting(),
            self._publishing(counts),
            self._refusing(),
            self._retained.refusals.problem,
            self._guard.problem,
        )
        # Some quote what the API or the broker has sent.
        return [self._redact(problem) for problem in found if problem]

    def _failing(self) -> str | None:
        quiet = self._internal_errors.seconds_since_last
        if quiet is not None and quiet < _BROKEN_S:
            return f"internal errors, {self._internal_errors.count} so far: see the log, and report the traceback"
        return None

    def _polling(self) -> str | None:
        engine = self._engine
        silence = self._polls.seconds(engine.figures.polls)
        usual = engine.shortest_interval
        if usual == math.inf:
            return None
        if engine.probe_interval is not None and engine.api_status is not ApiStatus.OK:
            usual = max(usual, engine.probe_interval)  # then only the probe asks
        if silence > usual + _UNPOLLED or min(silence, engine.overdue_seconds) > _OVERDUE:
            return f"nothing was polled for {silence:.0f} s: see the log"
        if engine.overdue_seconds > _LATE:
            return f"polls come up to {engine.overdue_seconds:.0f} s late: take longer intervals or more tokens"
        return None

    def _answering(self) -> str | None:
        """Return what is wrong where the API has given no usable response for some minutes, though it is asked."""
        engine = self._engine
        usable = engine.api_status in (ApiStatus.OK, ApiStatus.MAINTENANCE)
        away = self._api.seconds(usable)
        asked = engine.probe_interval is not None or engine.shortest_interval < math.inf
        if usable or not asked or away <= _API_AWAY:
            return None
        state = engine.api_status or "unknown"
        return f"no usable response from the API for {away:.0f} s ({state}): {engine.api_message or 'see the log'}"

    def _speaking(self) -> str | None:
        status = self._connection.status
        away = self._connected.seconds((status.connected, status.reconnects))
        if status.taken_over or (not status.connected and away > _DISCONNECTED):
            return f"no connection to the broker for {away:.0f} s: {status.last_error}"
        return None

    def _reconnecting(self) -> str | None:
        status = self._connection.status
        losses = self._reconnects.increase(status.reconnects)
        if losses >= _MANY_LOSSES:
            return f"the connection to the broker was lost {losses} times in ten minutes: {status.last_error}"
        return None

    def _publishing(self, counts: JournalCounts) -> str | None:
        status = self._connection.status
        stuck = self._oldest.seconds((counts.oldest_pending, status.connected, status.reconnects))
        if status.connected and counts.pending and stuck > _UNPUBLISHED:
            return f"the oldest of {counts.pending} events that wait was not published for {stuck:.0f} s: see the log"
        return None

    def _refusing(self) -> str | None:
        denied = self._delivery.figures.denied
        quiet = self._denied.seconds(denied)
        if denied and quiet < _REFUSED:
            return f"the broker refuses events, {denied} so far, which are not sent again: see the log for the topics"
        return None


class _QueueAge:
    """How long the oldest pending event has been waiting, whatever happens to the wall clock meanwhile."""

    def __init__(self) -> None:
        self._oldest: float | None = None
        self._since = 0.0
        # When the queue was last found empty: what waits now was stored later.
        self._empty_at = -math.inf

    def seconds(self, oldest: float | None, *, now: float, uptime: float) -> float | None:
        """Return the age; ``oldest`` is the event's timestamp, ``now`` Unix time, None if nothing waits."""
        if oldest is None:
            self._empty_at = uptime
        elif oldest != self._oldest:
            self._since = max(uptime - max(0.0, now - oldest), self._empty_at)
        self._oldest = oldest
        return None if oldest is None else round(uptime - self._since, 1)


class _Unchanged:
    """For how long a value has been the same, as far as was looked at it."""

    def __init__(self, uptime: Callable[[], float], *known: object) -> None:
        """``known`` is a value that it has had for a long time, if there is one."""
        self._uptime = uptime
        self._value: object = known[0] if known else self
        self._since = -math.inf

    def seconds(self, value: object) -> float:
        """Take a look and return for how many seconds it has been so."""
        now = self._uptime()
        if value != self._value:
            self._value, self._since = value, now
        return now - self._since


class _Increase:
    """How much a counter grew within the last ``over`` seconds, as far as it was looked at."""

    def __init__(self, uptime: Callable[[], float], *, over: float) -> None:
        self._uptime = uptime
        self._over = over
        self._seen: deque[tuple[float, int]] = deque()

    def increase(self, value: int) -> int:
        """Take a look and return by how much it has grown."""
        now = self._uptime()
        if not self._seen or value != self._seen[-1][1]:
            self._seen.append((now, value))
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._over:
            self._seen.popleft()
        return value - self._seen[0][1]
