"""One poll of one resource: fetch, compare with the snapshot, commit what changed."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
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
from coc2mqtt.events.compare.result import CompareResult, mark_catch_up
from coc2mqtt.events.compare.staleness import MAX_CACHE_AGE_S, Observation, RecentValues, StaleSuspicion
from coc2mqtt.events.compare.validate import find_unreadable_texts, validate_depth, validate_size
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.polling.clocks import clock_jump
from coc2mqtt.events.polling.poll_context import PollContext, PollResult
from coc2mqtt.events.resource import Kind, Resource, Snapshot

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.validate import MalformedField

Json = dict[str, Any]

_log = structlog.get_logger()

# A resource that fails is asked less and less often, but never less than this (seconds); the API itself says
# `max-age=600` where there is nothing.
LONGEST_BACKOFF = 600.0
# So many connections in a row must be lost before the one resource whose polls it hit is to blame: as many as make the
# API itself unreachable, if it is the only resource.
_LOST_TO_BE_TOLD = 3
# Who has not looked for so long (seconds) beyond the interval has to catch up.
LONG_GAP = 3600.0
# An answer that is byte for byte one of the last few is a copy of it.
_REMEMBERED = 3


class Poller(ABC):
    """Polls one resource, never twice at a time.

    An answer with the same bytes as the one before is neither parsed nor stored. The first answer ever is the
    baseline and makes no event; the first one of this run is compared with the snapshot of the run before, and its
    events carry ``catch_up`` and the snapshot's age in their metadata. An answer that seems to be older than the
    snapshot, is the same as one before it, or brings back a value that has just changed, is believed when a later one
    confirms it (``StaleSuspicion``). ``resource`` is what is polled.
    """

    kind: ClassVar[Kind]
    endpoint: ClassVar[str]
    # In so many seconds an answer that seems to be old is looked at again: time enough for another server to answer.
    patience: ClassVar = 5.0
    # Whether an event that brings back the value of a moment ago may come from a stale response.
    reverts: ClassVar = True

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
        "_offset",
        "_older",
        "_recent",
        "_retired",
        "_seen_at",
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
        self._doubt: StaleSuspicion | None = None
        self._recent: RecentValues | None = None
        # When there was last an answer that was not doubted: in Unix time, and in seconds of uptime.
        self._looked_at: float | None = None
        self._seen_at: float | None = None
        # The difference between the two clocks when this run stored the snapshot, None where an earlier one did.
        self._offset: float | None = None
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

    async def poll(self) -> PollResult:
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
    async def _fetch(self) -> ApiResponse:
        """Ask the endpoint."""

    @abstractmethod
    def _check(self, data: Json) -> list[MalformedField]:
        """Remove malformed fields; raises BadAnswerError where ``data`` is not what the endpoint gives."""

    @abstractmethod
    def _first_sight(self, data: Json, look: Observation) -> CompareResult:
        """Return what is believed of the first answer ever; there are no events."""

    @abstractmethod
    def _goes_back(self, old: Snapshot, data: Json, look: Observation) -> bool:
        """Tell whether ``data`` seems to be older than the snapshot, which has data."""

    @abstractmethod
    async def _compare(self, old: Snapshot, data: Json, look: Observation) -> CompareResult | None:
        """Compare an answer with the snapshot, which has data; None where it is to be looked at again before."""

    def _wanted(self, at: float) -> float:  # noqa: ARG002 - for those who know more
        """Return in how many seconds the next poll is wanted, infinity where the interval will do."""
        return math.inf

    def _fallen(self, old: Json, new: Json) -> list[str]:  # noqa: ARG002 - for those who have members
        """Return the tags of the members whose donations are less than before."""
        return []

    def _claim(self, data: Json) -> object:  # noqa: ARG002 - for those who can tell
        """Return what two answers must have in common for the second to confirm the first."""
        return None

    def _unwatched(self, old: Snapshot, look: Observation) -> float | None:
        """Return for how many seconds nobody has looked, None where that was a moment ago."""
        if self.resource not in self._context.seen:
            return max(0.0, look.at - old.taken_at)
        gap = 0.0 if self._seen_at is None else look.uptime - self._seen_at
        return gap if gap > self._interval + LONG_GAP else None

    def _clock_jump(self, look: Observation) -> float:
        """Return by how many seconds the wall clock was set since this run stored the snapshot."""
        return 0.0 if self._offset is None else clock_jump(self._offset, look.at - look.uptime)

    async def _take_up(self, answer: ApiResponse) -> PollResult:
        look = self._look(answer)
        if look.digest == self._digest:
            await self._context.monitor.observe(None)
            self._note_sight(look)
            return PollResult([], answer.max_age, committed=False, wanted=self._wanted(look.at))
        old = await self._context.store.snapshot(self.resource)
        comparison = await self._understand(old, answer, look)
        await self._context.monitor.observe(None)
        if comparison is None:
            return self._put_off(old, answer, look)
        polled = await self._store(old, comparison, look, answer.max_age)
        self._note_sight(look)
        self._note_recent(old, comparison, look)
        self._doubt = None
        self._digest = look.digest if comparison.final else None
        self._remember(look.digest, news=bool(comparison.events))
        if not self._retired:
            self._context.seen.add(self.resource)
        return polled

    def _look(self, answer: ApiResponse) -> Observation:
        context = self._context
        max_age = min(answer.max_age, MAX_CACHE_AGE_S)
        period = context.periods.get(self.kind, 0.0)
        if max_age > period:
            period = context.periods[self.kind] = max_age
        digest = hashlib.blake2b(answer.body, digest_size=16).digest()
        return Observation(context.now(), context.uptime(), digest, max_age, period)

    def _note_sight(self, look: Observation) -> None:
        self._looked_at, self._seen_at = look.at, look.uptime

    def _note_recent(self, old: Snapshot | None, comparison: CompareResult, look: Observation) -> None:
        """Remember what a stale response may bring back."""
        if not (self.reverts and look.period) or old is None or old.data is None:
            return
        fallen: list[str] = []
        # Where donations fall there was a doubt, unless a season has ended.
        if self._doubt is not None or any(one.event_type is EventType.SEASON_RESET for one in comparison.events):
            fallen = self._fallen(old.data, comparison.data)
        if comparison.events or fallen:
            self._recent = self._recent or RecentValues()
            self._recent.add(comparison.events, look, decreased=fallen)

    def _remember(self, digest: bytes, *, news: bool) -> None:
        if news:
            self._older = (*self._older, *self._current)[-_REMEMBERED:]
            self._current = ()
        self._current = (*self._current, digest)[-_REMEMBERED:]

    def _put_off(self, old: Snapshot | None, answer: ApiResponse, look: Observation) -> PollResult:
        """Leave an answer that is doubted for a later look."""
        claim = self._claim(answer.data)
        if self._doubt is None or self._doubt.claim != claim:
            self._doubt = StaleSuspicion(look, self._believed_until(old, look), claim)
        self._digest = None
        wanted = self._doubt.next_check(look, min_delay=self.patience)
        return PollResult([], answer.max_age, committed=False, wanted=wanted)

    def _believed_until(self, old: Snapshot | None, look: Observation) -> float:
        """Return when (seconds of uptime) an answer last showed what is believed."""
        if self._seen_at is not None or old is None:
            return look.uptime if self._seen_at is None else self._seen_at
        return look.uptime - max(0.0, look.at - old.taken_at)

    def _confirms(self, data: Json, look: Observation) -> bool:
        """Tell whether an answer confirms the one that is doubted."""
        doubt = self._doubt
        return (
            doubt is not None and doubt.claim == self._claim(data) and doubt.is_confirmed(look, min_delay=self.patience)
        )

    async def _understand(self, old: Snapshot | None, answer: ApiResponse, look: Observation) -> CompareResult | None:
        """Return what an answer means, None where it is doubted.

        Raises ClashError where it is nothing that can be understood: one odd answer must not end the watch of
        everything else.
        """
        try:
            validate_size(answer.body)
            data = answer.data
            validate_depth(data)
            look = look._replace(malformed=self._clean(answer))
            if old is None or old.data is None:
                return self._first_sight(data, look)
            if answer.repaired:
                keep_readable_names(old.data, data)
            certain = self._confirms(data, look)
            if not certain and (self._is_copy(look.digest) or self._goes_back(old, data, look)):
                return None
            comparison = await self._compare(old, data, look)
            if certain or comparison is None or self._recent is None:
                return comparison
            return None if self._recent.is_reverted_by(comparison.events, look) else comparison
        except ClashError:
            raise
        except Exception as error:
            self._context.bug(error, self.resource)
            raise InvalidResponseError("the answer cannot be compared: it is ignored") from error

    def _clean(self, answer: ApiResponse) -> frozenset[str]:
        """Remove the malformed fields of an answer and count them; returns the names of the outermost ones."""
        found = self._check(answer.data)
        if answer.repaired:
            found += find_unreadable_texts(answer.data)
        if not found:
            return frozenset()
        self._context.malformed.note(self.resource, found)
        return frozenset(malformed.top_level for malformed in found)

    def _is_copy(self, digest: bytes) -> bool:
        return digest in self._older and digest not in self._current

    async def _store(
        self, old: Snapshot | None, comparison: CompareResult, look: Observation, max_age: float
    ) -> PollResult:
        events = [*self._back(old), *comparison.events]
        wanted = self._wanted(look.at)
        if old is not None and old.data is not None:
            if not events and (old.data, old.memo) == (comparison.data, comparison.memo):
                return PollResult([], max_age, committed=False, wanted=wanted)
            gap = self._unwatched(old, look)
            if gap is not None:
                events = [mark_catch_up(event, round(gap, 3)) for event in events]
        polled = await self._commit(Snapshot(comparison.data, comparison.memo, look.at), events, max_age)
        self._offset = look.at - look.uptime
        return polled._replace(wanted=wanted)

    def _back(self, old: Snapshot | None) -> list[Event]:
        """Return the events of a good answer after what the snapshot remembers."""
        if old is None or not old.memo.get("unavailable"):
            return []
        return self._said(EventType.WATCH_AVAILABLE, old, {"endpoint": self.endpoint})

    async def _fail(self, error: ClashError, old: Snapshot | None) -> PollResult:
        """Remember the trouble and say it once; what concerns the API as a whole is the monitor's to say.

        How long the error may be cached delays nothing: a proxy may say a year, and the backoff is enough.
        """
        if isinstance(error, MaintenanceError | WrongTokenError | IpNotAllowedError):
            return PollResult([], 0.0, committed=False)
        self._failures += 1
        self._lost = self._lost + 1 if isinstance(error, UnreachableError) else 0
        backoff = min(self._interval * 2.0 ** min(self._failures, 10), LONGEST_BACKOFF)
        memo = {} if old is None else dict(old.memo)
        if memo.get("trouble") == error.kind or self._concerns_all(error):
            return PollResult([], 0.0, committed=False, backoff=backoff)
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
        polled = await self._commit(Snapshot(data, memo, taken_at), events, 0.0)
        return polled._replace(backoff=backoff)

    def _concerns_all(self, error: ClashError) -> bool:
        """Tell whether a failure is the API's and not the resource's: when the others fail as well, as far as known."""
        if isinstance(error, NotFoundError):
            return False
        monitor = self._context.monitor
        if monitor.status not in (None, ApiStatus.OK) or monitor.in_doubt:
            return True
        return 0 < self._lost < _LOST_TO_BE_TOLD

    async def _commit(self, snapshot: Snapshot, events: list[Event], not_before: float) -> PollResult:
        if self._retired:
            return PollResult([], not_before, committed=False)
        try:
            await self._context.store.commit(self.resource, snapshot, events)
        except TypeError as error:
            raise InvalidResponseError("the answer cannot be stored: it is ignored") from error
        return PollResult(events, not_before, committed=True)

    def _said(self, event_type: EventType, old: Snapshot | None, metadata: Json) -> list[Event]:
        """Return the event that says something of the watch itself."""
        name = self._name(old.data) if old is not None and old.data is not None else None
        return [Event(event_type, self._tag, timestamp=self._context.now(), metadata=metadata, name=name)]

    def _name(self, data: Json) -> str | None:
        return data.get("name")
