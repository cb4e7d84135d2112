"""The health of the bridge: for ``bridge/health``, for the ``health_check`` command, and for the log."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Never

import structlog

from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.metrics import EngineMetrics
from coc2mqtt.mqtt.control.requests import RequestMetrics
from coc2mqtt.mqtt.payloads.models import EventPayload, HealthPayload, LastEventPayload, iso_time
from coc2mqtt.mqtt.publish.event_delivery import DeliveryMetrics
from coc2mqtt.util.clocks import uptime

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.polling.engine import Engine
    from coc2mqtt.internal_errors import InternalErrors
    from coc2mqtt.journal.protocol import Journal, JournalCounts
    from coc2mqtt.mqtt.client.connection import Connection
    from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
    from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
    from coc2mqtt.mqtt.publish.retained_guard import RetainedGuard
    from coc2mqtt.mqtt.publish.retained_state import RetainedState

_log = structlog.get_logger()

# No poll for this long although one is due is a problem.
_MAX_OVERDUE_S = 300.0
# No poll for this long beyond the shortest interval is a problem even if none is due: after failures, a resource is
# polled again only ten minutes later.
_MAX_WITHOUT_POLL_S = 900.0
# A single poll that is this late is a problem although others are made.
_MAX_LATE_S = 3600.0
# Routers restart: the API may be unreachable, deny access, or not have responded yet for this long.
_MAX_API_OUTAGE_S = 180.0
_MAX_DISCONNECTED_S = 60.0
_MAX_UNPUBLISHED_S = 60.0
# A problem that was counted rather than measured stays reported for this long.
_REJECTION_REPORTED_S = 600.0
_INTERNAL_ERROR_REPORTED_S = 600.0
# More lost connections than restarting a broker by hand causes.
_MAX_LOST_CONNECTIONS = 10
_LOST_CONNECTIONS_PERIOD_S = 600.0
_CHECK_INTERVAL_S = 30.0
_STATS_INTERVAL_S = 3600.0


@dataclass(slots=True)
class Metrics:
    """Counters since the start of the program. They continue when the parts of the bridge are rebuilt.

    ``states_denied`` counts retained messages that the broker rejected, ``restored`` retained messages that another
    client had overwritten, ``connections`` connections to the broker.
    """

    engine: EngineMetrics = field(default_factory=EngineMetrics)
    delivery: DeliveryMetrics = field(default_factory=DeliveryMetrics)
    requests: RequestMetrics = field(default_factory=RequestMetrics)
    states_denied: int = 0
    restored: int = 0
    connections: int = 0


class Health:
    """Collects the metrics of all parts and detects problems of the bridge.

    A maintenance of the API is not a problem. An API that is unreachable or denies access is one after three minutes.

    ``started_at`` is the start of the program by ``uptime``. ``uptime`` is a monotonic clock in seconds: durations must
    not depend on the wall clock. ``clock`` returns Unix time. ``redact`` removes secrets from a text.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        engine: Engine,
        connection: Connection,
        delivery: EventDelivery,
        retained: RetainedState,
        guard: RetainedGuard,
        metrics: Metrics,
        publisher: RetryingPublisher,
        internal_errors: InternalErrors,
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
        self._guard = guard
        self._metrics = metrics
        self._publisher = publisher
        self._internal_errors = internal_errors
        self._started_at = started_at
        self._redact = redact
        self._clock = clock
        self._uptime = uptime
        self._queue_age = _QueueAge()
        self._polls = _Unchanged(uptime)
        self._connected = _Unchanged(uptime)
        self._oldest_pending = _Unchanged(uptime)
        self._api_usable = _Unchanged(uptime)
        self._denied = _Unchanged(uptime, metrics.delivery.denied)
        self._reconnects = _Increase(uptime, over=_LOST_CONNECTIONS_PERIOD_S)

    async def payload(self) -> HealthPayload:
        """Return the current health."""
        now, uptime = self._clock(), self._uptime()
        counts = await self._journal.counts()
        engine, status = self._engine, self._connection.status
        polling, delivery = self._metrics.engine, self._metrics.delivery
        last_event = self._last_event()  # before the problems, because it can be one
        problems = self._problems(counts)
        last_poll = polling.last_poll_uptime
        return HealthPayload(
            healthy=not problems,
            problems=problems,
            uptime_seconds=round(uptime - self._started_at, 1),
            connected_since=iso_time(status.since) if status.connected else None,
            reconnects=status.reconnects,
            api_status=None if engine.api_status is None else engine.api_status.value,
            polls=polling.polls,
            polls_changed=polling.changed,
            polls_per_second=round(engine.polls_per_second, 3),
            errors=dict(sorted(polling.errors.items())),
            malformed_fields=dict(sorted(polling.malformed.items())),
            last_poll_age_seconds=None if last_poll is None else round(uptime - last_poll, 1),
            overdue=engine.overdue,
            overdue_seconds=round(engine.overdue_seconds, 1),
            load=round(engine.load, 3),
            watches=engine.clans + engine.players,
            clans=engine.clans,
            players=engine.players,
            events=polling.events,
            published=delivery.published,
            resent=delivery.resent,
            denied=delivery.denied,
            states_denied=self._retained.publisher.rejected_topics.count,
            deferred=self._publisher.deferred,
            restored=self._guard.restored,
            requests_dropped=self._metrics.requests.dropped,
            queue=counts.pending,
            queue_age_seconds=self._queue_age.seconds(counts.oldest_pending, now=now, uptime=uptime),
            dropped=counts.dropped,
            events_skipped=delivery.skipped,
            internal_errors=self._internal_errors.count,
            last_event=last_event,
        )

    def _last_event(self) -> LastEventPayload | None:
        if self._delivery.last_event is not None:
            # An event that cannot be encoded must not hide all other metrics.
            with self._internal_errors.contain("last event", seq=self._delivery.last_event.seq):
                return LastEventPayload.of(EventPayload.of(self._delivery.last_event))
            self._delivery.last_event = None
        return None

    async def monitor(self) -> Never:
        """Log every change between healthy and unhealthy, and all metrics once an hour, until cancelled."""
        previous_problems: list[str] = []
        loop = asyncio.get_running_loop()
        stats_logged_at = loop.time()
        while True:
            await asyncio.sleep(_CHECK_INTERVAL_S)
            health = await self.payload()
            if health.problems and not previous_problems:
                _log.warning("unhealthy", problems=health.problems)
            elif previous_problems and not health.problems:
                _log.info("healthy again")
            previous_problems = health.problems
            if loop.time() - stats_logged_at >= _STATS_INTERVAL_S:
                stats_logged_at = loop.time()
                _log.info("hourly stats", **health.model_dump(exclude={"healthy", "problems"}))

    def _problems(self, counts: JournalCounts) -> list[str]:
        problems = (
            self._internal_error_problem(),
            self._polling_problem(),
            self._api_problem(),
            self._connection_problem(),
            self._reconnect_problem(),
            self._delivery_problem(counts),
            self._rejection_problem(),
            self._retained.publisher.rejected_topics.problem,
            self._guard.problem,
        )
        # Some of them quote the API or the broker.
        return [self._redact(problem) for problem in problems if problem]

    def _internal_error_problem(self) -> str | None:
        age = self._internal_errors.seconds_since_last
        if age is not None and age < _INTERNAL_ERROR_REPORTED_S:
            return f"internal errors ({self._internal_errors.count} so far): report the traceback in the log"
        return None

    def _polling_problem(self) -> str | None:
        engine = self._engine
        without_poll = self._polls.seconds(self._metrics.engine.polls)
        expected = engine.shortest_interval
        if expected == math.inf:
            return None
        if engine.probe_interval is not None and engine.api_status is not ApiStatus.OK:
            expected = max(expected, engine.probe_interval)  # only the probe is sent then
        if without_poll > expected + _MAX_WITHOUT_POLL_S or min(without_poll, engine.overdue_seconds) > _MAX_OVERDUE_S:
            return f"no poll for {without_poll:.0f} s: see the log"
        if engine.overdue_seconds > _MAX_LATE_S:
            return (
                f"polls are up to {engine.overdue_seconds:.0f} s late: use longer intervals, fewer watches or more"
                " tokens"
            )
        return None

    def _api_problem(self) -> str | None:
        engine = self._engine
        usable = engine.api_status in (ApiStatus.OK, ApiStatus.MAINTENANCE)
        outage = self._api_usable.seconds(usable)
        is_polled = engine.probe_interval is not None or engine.shortest_interval < math.inf
        if usable or not is_polled or outage <= _MAX_API_OUTAGE_S:
            return None
        status = engine.api_status or "unknown"
        return f"no usable response from the API for {outage:.0f} s ({status}): {engine.api_message or 'see the log'}"

    def _connection_problem(self) -> str | None:
        status = self._connection.status
        disconnected = self._connected.seconds((status.connected, status.reconnects))
        if status.taken_over or (not status.connected and disconnected > _MAX_DISCONNECTED_S):
            return f"no connection to the broker for {disconnected:.0f} s: {status.last_error}"
        return None

    def _reconnect_problem(self) -> str | None:
        status = self._connection.status
        lost = self._reconnects.increase(status.reconnects)
        if lost >= _MAX_LOST_CONNECTIONS:
            return f"the connection to the broker was lost {lost} times in ten minutes: {status.last_error}"
        return None

    def _delivery_problem(self, counts: JournalCounts) -> str | None:
        status = self._connection.status
        stuck = self._oldest_pending.seconds((counts.oldest_pending, status.connected, status.reconnects))
        if status.connected and counts.pending and stuck > _MAX_UNPUBLISHED_S:
            return f"the oldest of {counts.pending} pending events was not published for {stuck:.0f} s: see the log"
        return None

    def _rejection_problem(self) -> str | None:
        denied = self._metrics.delivery.denied
        age = self._denied.seconds(denied)
        if denied and age < _REJECTION_REPORTED_S:
            return f"the broker rejected {denied} events, which are not published again: see the log for the topics"
        return None


class _QueueAge:
    """How long the oldest event has been pending, unaffected by changes of the wall clock."""

    def __init__(self) -> None:
        self._oldest: float | None = None
        self._since = 0.0
        # When the queue was last empty: pending events were stored later.
        self._empty_at = -math.inf

    def seconds(self, oldest: float | None, *, now: float, uptime: float) -> float | None:
        """Return the age, None if no event is pending; ``oldest`` is the event's timestamp, ``now`` Unix time."""
        if oldest is None:
            self._empty_at = uptime
        elif oldest != self._oldest:
            self._since = max(uptime - max(0.0, now - oldest), self._empty_at)
        self._oldest = oldest
        return None if oldest is None else round(uptime - self._since, 1)


class _Unchanged:
    """How long a value has not changed between calls."""

    def __init__(self, uptime: Callable[[], float], *initial: object) -> None:
        """Start with an ``initial`` value, if any, that has been the same since before the start."""
        self._uptime = uptime
        self._value: object = initial[0] if initial else self
        self._since = -math.inf

    def seconds(self, value: object) -> float:
        """Update the value and return for how many seconds it has been the same."""
        now = self._uptime()
        if value != self._value:
            self._value, self._since = value, now
        return now - self._since


class _Increase:
    """The increase of a counter within the last ``over`` seconds."""

    def __init__(self, uptime: Callable[[], float], *, over: float) -> None:
        self._uptime = uptime
        self._over = over
        self._history: deque[tuple[float, int]] = deque()

    def increase(self, value: int) -> int:
        """Update the counter and return its increase."""
        now = self._uptime()
        if not self._history or value != self._history[-1][1]:
            self._history.append((now, value))
        while len(self._history) > 1 and self._history[1][0] <= now - self._over:
            self._history.popleft()
        return value - self._history[0][1]
