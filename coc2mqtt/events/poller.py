"""One poll of one resource: fetch, compare with the snapshot, commit what changed."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import structlog

from coc2mqtt.clash.errors import (
    BadAnswerError,
    ClashError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    UnreachableError,
    WrongAddressError,
    WrongTokenError,
)
from coc2mqtt.events.api_state import ApiStatus
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.shapes import check_depth, check_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.clash.answer import Answer
    from coc2mqtt.clash.protocol import ClashApi
    from coc2mqtt.events.store import Store

Json = dict[str, Any]

_log = structlog.get_logger()

# A resource that fails is asked less and less often, but never less than this (seconds); the API itself says
# `max-age=600` where there is nothing.
LONGEST_BACKOFF = 600.0
# A timer and the wall clock may differ by so much (seconds) over a few seconds.
_TOLERANCE = 0.5
# So many connections in a row must be lost before the one resource whose polls it hit is to blame: as many as make the
# API itself unreachable, if it is the only resource.
_LOST_TO_BE_TOLD = 3
# Who has not looked for so long (seconds) beyond the interval has to catch up.
_LONG_GAP = 3600.0
# An answer that is byte for byte one of the last few is a copy of it.
_REMEMBERED = 3


class Polled(NamedTuple):
    """The events of one poll, and when to poll again, in seconds.

    ``committed`` tells whether a new snapshot was stored, with the events. Before ``not_before`` the API says the same
    again. ``wanted`` is when a poll is wanted even before its interval is over, infinity where it is not; ``backoff``
    how long a resource is left alone that fails or cannot be seen, unless something speaks for a look at it.
    ``error`` is the kind of the failure, None after a good answer.
    """

    events: list[Event]
    not_before: float
    committed: bool
    wanted: float = math.inf
    backoff: float = 0.0
    error: str | None = None


class Comparison(NamedTuple):
    """What a new answer means: the events, what is believed from now on, and what is remembered beside it.

    ``settled`` is false where the next answer has to be looked into even if it is the same.
    """

    events: list[Event]
    data: Json
    memo: Json
    settled: bool = True


def log_bug(_error: Exception, resource: Resource) -> None:
    """Log a bug that is being handled."""
    _log.exception("an answer cannot be compared: please report it", kind=resource.kind.value, tag=resource.tag)


class Monitor(Protocol):
    """Takes up what each request says of the API as a whole."""

    @property
    def status(self) -> ApiStatus | None:
        """The present status, None where it is not known."""

    @property
    def in_doubt(self) -> bool:
        """Whether a failure may be the API's own: others fail as well, or there was no usable response yet."""

    async def observe(self, error: ClashError | None, *, from_probe: bool = False, source: object = API) -> list[Event]:
        """Take up one answer (None) or failure; returns the events that it caused, which are committed then."""


@dataclass(frozen=True, slots=True)
class PollContext:
    """What every poller of one engine works with.

    ``now`` gives Unix time in seconds. ``seen`` holds what was looked at since the engine began. ``bug`` is called with
    a bug in comparing while it is handled.
    """

    api: ClashApi
    store: Store
    monitor: Monitor
    now: Callable[[], float]
    seen: set[Resource] = field(default_factory=set)
    bug: Callable[[Exception, Resource], None] = log_bug


class _Doubt(NamedTuple):
    """Since when (Unix time in seconds) something is doubted, and what."""

    since: float
    claim: object


class Poller(ABC):
    """Polls one resource, never twice at a time.

    An answer with the same bytes as the one before is neither parsed nor stored. The first answer ever is the
    baseline and makes no event; the first one of this run is compared with the snapshot of the run before, and its
    events carry ``catch_up`` and the snapshot's age in their metadata. An answer that seems to be older than the
    snapshot, or is the same as one before it, is believed when the next one seems so as well. ``resource`` is what is
    polled.
    """

    kind: ClassVar[Kind]
    endpoint: ClassVar[str]
    # In so many seconds an answer that seems to be old is looked at again: time enough for another server to answer.
    patience: ClassVar = 5.0

    # There are tens of thousands of them.
    __slots__ = (
        "_context",
        "_current",
        "_digest",
        "_doubt",
        "_failures",
        "_interval",
        "_looked_at",
        "_lost",
        "_older",
        "_retired",
        "_tag",
        "resource",
    )

    def __init__(self, context: PollContext, tag: str, *, interval: float) -> None:
        self._context = context
        self._tag = tag
        self._interval = interval
        self._digest: bytes | None = None
        # Of what is believed now, and of what was believed before.
        self._current: tuple[bytes, ...] = ()
        self._older: tuple[bytes, ...] = ()
        self._failures = self._lost = 0
        self._doubt: _Doubt | None = None
        self._looked_at: float | None = None
        self._retired = False
        self.resource = Resource(self.kind, tag)

    @property
    def polled_at(self) -> float | None:
        """When there was last an answer that was not doubted (Unix time in seconds), None where there was none yet."""
        return self._looked_at

    def set_interval(self, interval: float) -> None:
        """Change the seconds between polls."""
        self._interval = interval

    def retire(self) -> None:
        """Commit nothing from now on, whatever is still under way."""
        self._retired = True

    async def poll(self) -> Polled:
        """Poll once. Raises what the store raises; the API's failures are taken up, not raised."""
        try:
            polled = await self._take_up(await self._fetch())
        except ClashError as error:
            await self._context.monitor.observe(error, source=self.resource)
            self._digest = self._doubt = None
            failed = await self._fail(error, await self._context.store.snapshot(self.resource))
            # A private war log is a wish of the clan's and no failure.
            return failed._replace(error=None if isinstance(error, PrivateWarLogError) else error.kind)
        self._failures = self._lost = 0
        return polled

    async def ask(self) -> None:
        """Ask the endpoint only to learn whether it gives a usable response; raises ClashError."""
        self._check((await self._fetch()).data)

    @abstractmethod
    async def _fetch(self) -> Answer:
        """Ask the endpoint."""

    @abstractmethod
    def _check(self, data: Json) -> None:
        """Raise BadAnswerError where ``data`` is not what the endpoint gives."""

    @abstractmethod
    def _first_sight(self, data: Json) -> Comparison:
        """Return what is believed of the first answer ever; there are no events."""

    @abstractmethod
    def _goes_back(self, old: Snapshot, data: Json, at: float) -> bool:
        """Tell whether ``data`` seems to be older than the snapshot, which has data."""

    @abstractmethod
    async def _compare(self, old: Snapshot, data: Json, at: float) -> Comparison | None:
        """Compare an answer with the snapshot, which has data; None where it is to be looked at again before."""

    def _wanted(self, at: float) -> float:  # noqa: ARG002 - for those who know more
        """Return in how many seconds the next poll is wanted, infinity where the interval will do."""
        return math.inf

    def _claim(self, data: Json) -> object:  # noqa: ARG002 - for those who can tell
        """Return what two answers must have in common for the second to confirm the first."""
        return None

    def _unwatched_since(self, old: Snapshot, at: float) -> float | None:
        """Return since when nobody has looked, None where that was a moment ago."""
        if self.resource not in self._context.seen:
            return old.taken_at
        long_ago = self._looked_at is not None and at - self._looked_at > self._interval + _LONG_GAP
        return self._looked_at if long_ago else None

    async def _take_up(self, answer: Answer) -> Polled:
        at = self._context.now()
        digest = hashlib.blake2b(answer.body, digest_size=16).digest()
        if digest == self._digest:
            await self._context.monitor.observe(None)
            self._looked_at = at
            return Polled([], answer.max_age, committed=False, wanted=self._wanted(at))
        old = await self._context.store.snapshot(self.resource)
        comparison = await self._understand(old, answer, digest, at)
        await self._context.monitor.observe(None)
        if comparison is None:
            return self._put_off(answer, at)
        polled = await self._store(old, comparison, at, answer.max_age)
        self._doubt, self._looked_at = None, at
        self._digest = digest if comparison.settled else None
        self._remember(digest, news=bool(comparison.events))
        if not self._retired:
            self._context.seen.add(self.resource)
        return polled

    def _remember(self, digest: bytes, *, news: bool) -> None:
        if news:
            self._older = (*self._older, *self._current)[-_REMEMBERED:]
            self._current = ()
        self._current = (*self._current, digest)[-_REMEMBERED:]

    def _put_off(self, answer: Answer, at: float) -> Polled:
        """Leave an answer that is doubted for the next look."""
        claim = self._claim(answer.data)
        if self._doubt is None or at < self._doubt.since or self._doubt.claim != claim:
            self._doubt = _Doubt(at, claim)
        self._digest = None
        left = self._doubt.since + self.patience - at
        return Polled([], answer.max_age, committed=False, wanted=left if left > 0 else math.inf)

    def _may_be_doubted(self, data: Json, at: float) -> bool:
        """Tell whether an answer is the first of its kind, or comes so soon after it that it confirms nothing."""
        doubt = self._doubt
        return doubt is None or doubt.claim != self._claim(data) or not self._is_another(doubt.since, at)

    def _is_another(self, since: float, at: float) -> bool:
        """Tell whether what comes ``at`` is more than the answer of ``since`` again, from the same cache."""
        return at - since >= self.patience - _TOLERANCE

    async def _understand(self, old: Snapshot | None, answer: Answer, digest: bytes, at: float) -> Comparison | None:
        """Return what an answer means, None where it is doubted.

        Raises ClashError where it is nothing that can be understood: one odd answer must not end the watch of
        everything else.
        """
        try:
            check_size(answer.body)
            data = answer.data
            check_depth(data)
            self._check(data)
            if old is None or old.data is None:
                return self._first_sight(data)
            if self._may_be_doubted(data, at) and (self._is_copy(digest) or self._goes_back(old, data, at)):
                return None
            return await self._compare(old, data, at)
        except ClashError:
            raise
        except Exception as error:
            self._context.bug(error, self.resource)
            raise BadAnswerError("the answer cannot be compared: it is ignored") from error

    def _is_copy(self, digest: bytes) -> bool:
        return digest in self._older and digest not in self._current

    async def _store(self, old: Snapshot | None, comparison: Comparison, at: float, max_age: float) -> Polled:
        events = [*self._back(old), *comparison.events]
        if old is not None and old.data is not None:
            if not events and (old.data, old.memo) == (comparison.data, comparison.memo):
                return Polled([], max_age, committed=False, wanted=self._wanted(at))
            if self._unwatched_since(old, at) is not None:
                age = round(max(0.0, at - old.taken_at), 3)
                events = [_caught_up(event, age) for event in events]
        polled = await self._commit(Snapshot(comparison.data, comparison.memo, at), events, max_age)
        return polled._replace(wanted=self._wanted(at))

    def _back(self, old: Snapshot | None) -> list[Event]:
        """Return the events of a good answer after what the snapshot remembers."""
        if old is None or not old.memo.get("unavailable"):
            return []
        return self._said(EventType.WATCH_AVAILABLE, old, {"endpoint": self.endpoint})

    async def _fail(self, error: ClashError, old: Snapshot | None) -> Polled:
        """Remember the trouble and say it once; what concerns the API as a whole is the monitor's to say."""
        if isinstance(error, MaintenanceError | WrongTokenError | WrongAddressError):
            return Polled([], 0.0, committed=False)
        self._failures += 1
        self._lost = self._lost + 1 if isinstance(error, UnreachableError) else 0
        backoff = min(self._interval * 2.0 ** min(self._failures, 10), LONGEST_BACKOFF)
        memo = {} if old is None else dict(old.memo)
        if memo.get("trouble") == error.kind or self._concerns_all(error):
            return Polled([], error.max_age, committed=False, backoff=backoff)
        memo["trouble"] = error.kind
        metadata = {"error": error.kind, "message": str(error), "endpoint": self.endpoint}
        if isinstance(error, NotFoundError):
            # Other trouble in between does not make it available.
            known = memo.get("unavailable")
            memo["unavailable"] = True
            events = [] if known else self._said(EventType.WATCH_UNAVAILABLE, old, metadata)
            if events:
                _log.warning(
                    "the API knows nothing of what is watched: check the tag, and that api.base_url ends in /v1",
                    kind=self.kind.value,
                    tag=self._tag,
                )
        else:
            events = self._said(EventType.POLL_ERROR, old, metadata)
        data, taken_at = (None, 0.0) if old is None else (old.data, old.taken_at)
        polled = await self._commit(Snapshot(data, memo, taken_at), events, error.max_age)
        return polled._replace(backoff=backoff)

    def _concerns_all(self, error: ClashError) -> bool:
        """Tell whether a failure is the API's and not the resource's: when the others fail as well, as far as known."""
        if isinstance(error, NotFoundError):
            return False
        monitor = self._context.monitor
        if monitor.status not in (None, ApiStatus.OK) or monitor.in_doubt:
            return True
        return 0 < self._lost < _LOST_TO_BE_TOLD

    async def _commit(self, snapshot: Snapshot, events: list[Event], not_before: float) -> Polled:
        if self._retired:
            return Polled([], not_before, committed=False)
        try:
            await self._context.store.commit(self.resource, snapshot, events)
        except TypeError as error:
            raise BadAnswerError("the answer cannot be stored: it is ignored") from error
        return Polled(events, not_before, committed=True)

    def _said(self, event_type: EventType, old: Snapshot | None, metadata: Json) -> list[Event]:
        """Return the event that says something of the watch itself."""
        name = self._name(old.data) if old is not None and old.data is not None else None
        return [Event(event_type, self._tag, timestamp=self._context.now(), metadata=metadata, name=name)]

    def _name(self, data: Json) -> str | None:
        return data.get("name")


def _caught_up(event: Event, age: float) -> Event:
    return replace(event, metadata={**event.metadata, "catch_up": True, "snapshot_age_seconds": age})
