"""One poll of one resource: fetch, compare with the snapshot, commit what changed."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from coc2mqtt.clash.errors import ClashError, DeniedError, MaintenanceError, NotFoundError
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.clash.answer import Answer
    from coc2mqtt.clash.client import ClashClient
    from coc2mqtt.events.store import Store

Json = dict[str, Any]

# A resource that fails is asked less and less often, but never less than this (seconds); the API itself says
# `max-age=600` where there is nothing.
_LONGEST_BACKOFF = 600.0


class Polled(NamedTuple):
    """The events of one poll, and in how many seconds polling again makes sense at the soonest.

    ``committed`` tells whether a new snapshot was stored, with the events.
    """

    events: list[Event]
    not_before: float
    committed: bool


class Monitor(Protocol):
    """Takes up what each request says of the API as a whole."""

    async def observe(self, error: ClashError | None, *, from_probe: bool = False) -> list[Event]:
        """Take up one answer (None) or failure; returns the events that it caused, which are committed then."""


@dataclass(frozen=True, slots=True)
class PollContext:
    """What every poller of one engine works with; ``started_at`` is the Unix time in seconds of its start."""

    api: ClashClient
    store: Store
    monitor: Monitor
    now: Callable[[], float]
    started_at: float


class Poller(ABC):
    """Polls one resource, never twice at a time.

    An answer with the same bytes as the one before is neither parsed nor stored. The first answer ever is the
    baseline and makes no event; the first one of this run is compared with the snapshot of the run before, and its
    events carry ``catch_up`` and the snapshot's age in their metadata.
    """

    kind: ClassVar[Kind]
    endpoint: ClassVar[str]

    def __init__(self, context: PollContext, tag: str, *, interval: float) -> None:
        self._context = context
        self._tag = tag
        self._interval = interval
        self._digest: bytes | None = None
        self._failures = 0
        self._first = True
        self._retired = False

    @property
    def resource(self) -> Resource:
        """What is polled."""
        return Resource(self.kind, self._tag)

    def retire(self) -> None:
        """Commit nothing from now on, whatever is still under way."""
        self._retired = True

    async def poll(self) -> Polled:
        """Poll once. Raises what the store raises; the API's failures are taken up, not raised."""
        monitor, store = self._context.monitor, self._context.store
        try:
            answer = await self._fetch()
            await monitor.observe(None)
            digest = hashlib.blake2b(answer.body, digest_size=16).digest()
            if digest == self._digest:
                return Polled([], answer.max_age, committed=False)
            old = await store.snapshot(self.resource)
            snapshot, events = self._take_up(old, answer.data, self._context.now())
        except ClashError as error:
            await monitor.observe(error)
            self._digest = None
            return await self._fail(error, await store.snapshot(self.resource))
        if self._first and old is not None and old.data is not None and old.taken_at < self._context.started_at:
            age = round(snapshot.taken_at - old.taken_at, 3)
            events = [_caught_up(event, age) for event in events]
        polled = await self._commit(snapshot, events, answer.max_age)
        self._first = False
        self._failures = 0
        # While an answer is doubted the next one is looked into even if it is the same.
        self._digest = None if snapshot.memo.get("regressed") else digest
        return polled

    @abstractmethod
    async def _fetch(self) -> Answer:
        """Ask the endpoint."""

    @abstractmethod
    def _compare(self, old: Snapshot | None, data: Json, at: float) -> tuple[list[Event], Json, Json]:
        """Return (events, data to believe, memo); ``old`` has data, or is None at first sight.

        Raises BadAnswerError where ``data`` is not what the endpoint gives.
        """

    def _take_up(self, old: Snapshot | None, data: Json, at: float) -> tuple[Snapshot, list[Event]]:
        known = old if old is not None and old.data is not None else None
        events, believed, memo = self._compare(known, data, at)
        if old is not None and old.memo.get("unavailable"):
            events = [*self._said(EventType.WATCH_AVAILABLE, old, {"endpoint": self.endpoint}), *events]
        return Snapshot(believed, memo, at), events

    async def _fail(self, error: ClashError, old: Snapshot | None) -> Polled:
        """Remember the trouble and say it once; what concerns the API as a whole is the monitor's to say."""
        if isinstance(error, MaintenanceError | DeniedError):
            return Polled([], 0.0, committed=False)
        self._failures += 1
        backoff = min(self._interval * 2.0 ** min(self._failures, 10), _LONGEST_BACKOFF)
        not_before = max(error.max_age, backoff)
        memo = {} if old is None else dict(old.memo)
        if memo.get("trouble") == error.kind:
            return Polled([], not_before, committed=False)
        memo["trouble"] = error.kind
        metadata = {"error": error.kind, "message": str(error), "endpoint": self.endpoint}
        if isinstance(error, NotFoundError):
            # Other trouble in between does not make it available.
            known = memo.get("unavailable")
            memo["unavailable"] = True
            events = [] if known else self._said(EventType.WATCH_UNAVAILABLE, old, metadata)
        else:
            events = self._said(EventType.POLL_ERROR, old, metadata)
        data, taken_at = (None, 0.0) if old is None else (old.data, old.taken_at)
        return await self._commit(Snapshot(data, memo, taken_at), events, not_before)

    async def _commit(self, snapshot: Snapshot, events: list[Event], not_before: float) -> Polled:
        if self._retired:
            return Polled([], not_before, committed=False)
        await self._context.store.commit(self.resource, snapshot, events)
        return Polled(events, not_before, committed=True)

    def _said(self, event_type: EventType, old: Snapshot | None, metadata: Json) -> list[Event]:
        """Return the event that says something of the watch itself."""
        name = self._name(old.data) if old is not None and old.data is not None else None
        return [Event(event_type, self._tag, timestamp=self._context.now(), metadata=metadata, name=name)]

    def _name(self, data: Json) -> str | None:
        return data.get("name")


def _caught_up(event: Event, age: float) -> Event:
    return replace(event, metadata={**event.metadata, "catch_up": True, "snapshot_age_seconds": age})
