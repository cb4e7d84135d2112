"""One poll of one resource: fetch, validate, compare with the snapshot, commit the changes."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from coc2mqtt.clash.errors import (
    ClashError,
    InvalidResponseError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    UnreachableError,
    WrongTokenError,
)
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.compare.missing_fields import keep_readable_names
from coc2mqtt.events.compare.secondary import mark_secondary
from coc2mqtt.events.compare.staleness import MAX_CACHE_AGE_S, Observation, RecentValues, StaleSuspicion
from coc2mqtt.events.compare.validate import find_unreadable_texts, validate_depth, validate_size
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.polling.names import add_missing_names
from coc2mqtt.events.polling.poll_context import PollContext, PollResult
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.util.clocks import clock_jump

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.diff import CompareResult
    from coc2mqtt.events.compare.validate import MalformedField

Json = dict[str, Any]

_log = structlog.get_logger()

# The backoff of a failing resource doubles up to this. The API itself sends `max-age=600` for a missing resource.
MAX_BACKOFF_S = 600.0
# A resource that is polled this much later than its interval has to catch up.
LONG_GAP_S = 3600.0
# Connections lost in a row before a poll error is reported for the resource: as many as make the API unreachable if it
# is the only resource.
_LOST_CONNECTIONS_UNTIL_ERROR = 3
# A response with the digest of one of the last few responses is a copy of it.
_KEPT_DIGESTS = 3


class Poller(ABC):
    """Polls one resource; two polls of it must not overlap.

    A response with the same bytes as the previous one is neither parsed nor stored. The first response ever is the
    baseline and causes no event. The first response of a run is compared with the snapshot of the previous run; its
    events carry ``catch_up`` and the snapshot's age in their metadata. A response that looks older than the snapshot,
    repeats an earlier response, or reverts a recent change is ignored unless a later response confirms it
    (``StaleSuspicion``). ``resource`` is the polled resource.
    """

    kind: ClassVar[Kind]
    endpoint: ClassVar[str]
    # Seconds after which a suspicious response is checked again: enough for another server to respond.
    recheck_delay_s: ClassVar = 5.0
    # Whether a response that repeats an earlier one, or restores a value that has just changed, is suspicious.
    suspects_repetition: ClassVar = True
    # No cache entry of this endpoint lives longer (seconds).
    max_cache_age_s: ClassVar = MAX_CACHE_AGE_S

    # There are tens of thousands of pollers.
    __slots__ = (
        "_clock_offset",
        "_context",
        "_current_digests",
        "_earlier_digests",
        "_failures",
        "_interval",
        "_last_digest",
        "_lost_connections",
        "_polled_at",
        "_polled_uptime",
        "_recent_values",
        "_retired",
        "_suspicion",
        "_tag",
        "resource",
    )

    def __init__(self, context: PollContext, tag: str, *, interval: float) -> None:
        self._context = context
        self._tag = tag
        self._interval = interval
        self._last_digest: bytes | None = None
        # Digests of responses that show the accepted state, and of those that showed earlier ones.
        self._current_digests: tuple[bytes, ...] = ()
        self._earlier_digests: tuple[bytes, ...] = ()
        self._failures = self._lost_connections = 0
        self._suspicion: StaleSuspicion | None = None
        self._recent_values: RecentValues | None = None
        # The time of the last accepted response: Unix time and uptime.
        self._polled_at: float | None = None
        self._polled_uptime: float | None = None
        # The difference between the clocks when this run stored the snapshot, None if a previous run stored it.
        self._clock_offset: float | None = None
        self._retired = False
        self.resource = Resource(self.kind, tag)

    @property
    def polled_at(self) -> float | None:
        """The Unix time in seconds of the last accepted response, None before the first."""
        return self._polled_at

    @property
    def polled_uptime(self) -> float | None:
        """The uptime in seconds of the last accepted response, None before the first."""
        return self._polled_uptime

    def set_interval(self, interval: float) -> None:
        """Change the seconds between polls."""
        self._interval = interval

    def retire(self) -> None:
        """Commit nothing from now on, not even the result of a poll in progress."""
        self._retired = True

    async def poll(self) -> PollResult:
        """Poll once. Errors of the store are raised; errors of the API are handled."""
        try:
            result = await self._handle_response(await self._fetch())
        except ClashError as error:
            await self._context.monitor.observe(error, source=self.resource)
            self._last_digest = self._suspicion = None
            result = await self._handle_failure(error, await self._context.store.snapshot(self.resource))
            # A private war log is the clan's choice, not a failure.
            return result._replace(error=None if isinstance(error, PrivateWarLogError) else error.kind)
        self._failures = self._lost_connections = 0
        return result

    async def check_endpoint(self) -> None:
        """Fetch the resource only to see whether the response is valid; raises ClashError if it is not."""
        self._validate((await self._fetch()).data)

    @abstractmethod
    async def _fetch(self) -> ApiResponse:
        """Fetch the resource."""

    @abstractmethod
    def _validate(self, data: Json) -> list[MalformedField]:
        """Remove malformed fields and return them; InvalidResponseError if ``data`` is not this resource."""

    @abstractmethod
    def _baseline(self, data: Json, seen: Observation) -> CompareResult:
        """Return the state to accept from the first response ever; it has no events."""

    @abstractmethod
    def _looks_stale(self, old: Snapshot, data: Json, seen: Observation) -> bool:
        """Return whether ``data`` looks older than the snapshot, which has data."""

    @abstractmethod
    async def _compare(self, old: Snapshot, data: Json, seen: Observation) -> CompareResult | None:
        """Compare a response with the snapshot, which has data; None if it has to be polled again first."""

    def _latest_next_poll(self, at: float) -> float:  # noqa: ARG002 - used by subclasses
        """Return in how many seconds the next poll is needed at the latest, infinity if the interval decides."""
        return math.inf

    def _decreased_donations(self, old: Json, new: Json) -> list[str]:  # noqa: ARG002 - used by subclasses
        """Return the tags of members whose donations decreased."""
        return []

    def _claim(self, data: Json) -> object:  # noqa: ARG002 - used by subclasses
        """Return what two responses must have in common for the second to confirm the first."""
        return None

    def _unobserved_seconds(self, old: Snapshot, seen: Observation) -> float | None:
        """Return for how long the resource was not polled, None if it was polled recently."""
        if self.resource not in self._context.polled:
            return max(0.0, seen.at - old.taken_at)
        gap = 0.0 if self._polled_uptime is None else seen.uptime - self._polled_uptime
        return gap if gap > self._interval + LONG_GAP_S else None

    def _clock_jump(self, seen: Observation) -> float:
        """Return by how many seconds the wall clock was set since this run stored the snapshot."""
        return 0.0 if self._clock_offset is None else clock_jump(self._clock_offset, seen.at - seen.uptime)

    async def _handle_response(self, response: ApiResponse) -> PollResult:
        seen = self._observe(response)
        if seen.digest == self._last_digest:
            await self._context.monitor.observe(None)
            self._polled_at, self._polled_uptime = seen.at, seen.uptime
            if self.resource in self._context.polled:
                self._context.polled[self.resource] = seen.uptime
            return PollResult([], response.max_age, committed=False, latest=self._latest_next_poll(seen.at))
        old = await self._context.store.snapshot(self.resource)
        comparison = await self._evaluate(old, response, seen)
        await self._context.monitor.observe(None)
        if comparison is None:
            return self._defer(old, response, seen)
        result = await self._commit_changes(old, comparison, seen, response.max_age)
        self._polled_at, self._polled_uptime = seen.at, seen.uptime
        self._remember_replaced_values(old, comparison, seen)
        self._suspicion = None
        self._last_digest = seen.digest if comparison.final else None
        self._remember_digest(seen.digest, changed=bool(comparison.events))
        if not self._retired:
            self._context.polled[self.resource] = seen.uptime
        return result

    def _observe(self, response: ApiResponse) -> Observation:
        context = self._context
        max_age = min(response.max_age, self.max_cache_age_s)
        period = context.cache_periods.get(self.kind, 0.0)
        if max_age > period:
            period = context.cache_periods[self.kind] = max_age
        digest = hashlib.blake2b(response.body, digest_size=16).digest()
        return Observation(context.now(), context.uptime(), digest, max_age, period)

    def _remember_replaced_values(self, old: Snapshot | None, comparison: CompareResult, seen: Observation) -> None:
        """Remember the values that a stale response may restore."""
        if not (self.suspects_repetition and seen.period) or old is None or old.data is None:
            return
        decreased: list[str] = []
        # Decreased donations are always suspicious, unless a season has ended.
        if self._suspicion is not None or any(one.event_type is EventType.SEASON_RESET for one in comparison.events):
            decreased = self._decreased_donations(old.data, comparison.data)
        if comparison.events or decreased:
            self._recent_values = self._recent_values or RecentValues()
            self._recent_values.add(comparison.events, seen, decreased=decreased)

    def _remember_digest(self, digest: bytes, *, changed: bool) -> None:
        if changed:
            self._earlier_digests = (*self._earlier_digests, *self._current_digests)[-_KEPT_DIGESTS:]
            self._current_digests = ()
        self._current_digests = (*self._current_digests, digest)[-_KEPT_DIGESTS:]

    def _defer(self, old: Snapshot | None, response: ApiResponse, seen: Observation) -> PollResult:
        """Ignore a suspicious response until a later one confirms it."""
        claim = self._claim(response.data)
        if self._suspicion is None or self._suspicion.claim != claim:
            self._suspicion = StaleSuspicion(seen, self._accepted_until(old, seen), claim)
        self._last_digest = None
        latest = self._suspicion.next_check(seen, min_delay=self.recheck_delay_s)
        return PollResult([], response.max_age, committed=False, latest=latest)

    def _accepted_until(self, old: Snapshot | None, seen: Observation) -> float:
        """Return when (uptime in seconds) a response last showed the accepted state."""
        if self._polled_uptime is not None or old is None:
            return seen.uptime if self._polled_uptime is None else self._polled_uptime
        return seen.uptime - max(0.0, seen.at - old.taken_at)

    def _confirms_suspicion(self, data: Json, seen: Observation) -> bool:
        """Return whether a response confirms an earlier suspicious one."""
        suspicion = self._suspicion
        return (
            suspicion is not None
            and suspicion.claim == self._claim(data)
            and suspicion.is_confirmed(seen, min_delay=self.recheck_delay_s)
        )

    def _needs_confirmation(self, old: Snapshot, data: Json, seen: Observation) -> bool:
        copied = seen.digest in self._earlier_digests and seen.digest not in self._current_digests
        return (copied and self.suspects_repetition) or self._looks_stale(old, data, seen)

    async def _evaluate(self, old: Snapshot | None, response: ApiResponse, seen: Observation) -> CompareResult | None:
        """Validate a response and compare it with the snapshot; None if it has to be confirmed first.

        Raises ClashError if the response is invalid or a bug prevents comparing it: one bad response must not stop the
        polling of other resources.
        """
        try:
            validate_size(response.body)
            data = response.data
            validate_depth(data)
            seen = seen._replace(malformed=self._remove_malformed(response))
            if old is None or old.data is None:
                return self._baseline(data, seen)
            if response.repaired:
                keep_readable_names(old.data, data)
            confirmed = self._confirms_suspicion(data, seen)
            if not confirmed and self._needs_confirmation(old, data, seen):
                return None
            comparison = await self._compare(old, data, seen)
            if confirmed or comparison is None or self._recent_values is None:
                return comparison
            return None if self._recent_values.is_reverted_by(comparison.events, seen) else comparison
        except ClashError:
            raise
        except Exception as error:
            self._context.on_bug(error, self.resource)
            raise InvalidResponseError("cannot compare the response: it is ignored") from error

    def _remove_malformed(self, response: ApiResponse) -> frozenset[str]:
        """Remove and count the malformed fields of a response; return the names of the top-level fields affected."""
        found = self._validate(response.data)
        if response.repaired:
            found += find_unreadable_texts(response.data)
        if not found:
            return frozenset()
        self._context.malformed_fields.record(self.resource, found)
        return frozenset(malformed.top_level for malformed in found)

    async def _commit_changes(
        self, old: Snapshot | None, comparison: CompareResult, seen: Observation, max_age: float
    ) -> PollResult:
        events = [*self._recovery_events(old), *mark_secondary(comparison.events, follow_up=comparison.follow_up)]
        latest = self._latest_next_poll(seen.at)
        if old is not None and old.data is not None:
            if not events and (old.data, old.memo) == (comparison.data, comparison.memo):
                return PollResult([], max_age, committed=False, latest=latest)
            gap = self._unobserved_seconds(old, seen)
            if gap is not None:
                events = [mark_catch_up(event, round(gap, 3)) for event in events]
        result = await self._commit(Snapshot(comparison.data, comparison.memo, seen.at), events, max_age)
        self._clock_offset = seen.at - seen.uptime
        return result._replace(latest=latest)

    def _recovery_events(self, old: Snapshot | None) -> list[Event]:
        """Return the events of a valid response that ends a failure which the snapshot remembers."""
        if old is None or not old.memo.get("unavailable"):
            return []
        return self._watch_events(EventType.WATCH_AVAILABLE, {"endpoint": self.endpoint})

    async def _handle_failure(self, error: ClashError, old: Snapshot | None) -> PollResult:
        """Store the failure and report it once; failures of the whole API are left to the monitor.

        The error's ``max-age`` delays nothing: a proxy may send a year, and the backoff is sufficient.
        """
        if isinstance(error, MaintenanceError | WrongTokenError | IpNotAllowedError):
            return PollResult([], 0.0, committed=False)
        self._failures += 1
        self._lost_connections = self._lost_connections + 1 if isinstance(error, UnreachableError) else 0
        backoff = min(self._interval * 2.0 ** min(self._failures, 10), MAX_BACKOFF_S)
        memo = {} if old is None else dict(old.memo)
        if memo.get("trouble") == error.kind or self._may_be_api_failure(error):
            return PollResult([], 0.0, committed=False, backoff=backoff)
        memo["trouble"] = error.kind
        metadata = {"error": error.kind, "message": str(error), "endpoint": self.endpoint}
        if isinstance(error, NotFoundError):
            # Other failures in between do not make it available.
            known = memo.get("unavailable")
            memo["unavailable"] = True
            events = [] if known else self._watch_events(EventType.WATCH_UNAVAILABLE, metadata)
            if events:
                _log.warning(
                    "watched resource not found",
                    kind=self.kind.value,
                    tag=self._tag,
                    hint="check the tag, and that api.base_url ends in /v1",
                )
        else:
            events = self._watch_events(EventType.POLL_ERROR, metadata)
        data, taken_at = (None, 0.0) if old is None else (old.data, old.taken_at)
        result = await self._commit(Snapshot(data, memo, taken_at), events, 0.0)
        return result._replace(backoff=backoff)

    def _may_be_api_failure(self, error: ClashError) -> bool:
        """Return whether a failure may be the API's and not the resource's, because other resources may fail too."""
        if isinstance(error, NotFoundError):
            return False
        monitor = self._context.monitor
        if monitor.status not in (None, ApiStatus.OK) or monitor.may_be_down:
            return True
        return 0 < self._lost_connections < _LOST_CONNECTIONS_UNTIL_ERROR

    async def _commit(self, snapshot: Snapshot, events: list[Event], earliest: float) -> PollResult:
        store = self._context.store
        events = await add_missing_names(events, resource=self.resource, snapshot=snapshot, store=store)
        if self._retired:
            return PollResult([], earliest, committed=False)
        try:
            await store.commit(self.resource, snapshot, events)
        except TypeError as error:
            raise InvalidResponseError("cannot store the response: it is ignored") from error
        return PollResult(events, earliest, committed=True)

    def _watch_events(self, event_type: EventType, metadata: Json) -> list[Event]:
        """Return the event about the watch itself, in a list that subclasses may leave empty."""
        return [Event(event_type, self._tag, timestamp=self._context.now(), metadata=metadata)]


def mark_catch_up(event: Event, age: float) -> Event:
    """Return the event marked as one that happened at some time within the last ``age`` seconds, unobserved."""
    return replace(event, metadata={**event.metadata, "catch_up": True, "snapshot_age_seconds": age})
