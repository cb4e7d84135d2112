"""Suspected stale or incomplete responses, and their confirmation by a later response. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.events.event import EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.event import Event

# The API's servers round down the remaining lifetime of a cache entry: a response up to this long after its end may
# still come from the same entry.
_CACHE_MARGIN_S = 2.0
# A timer may fire this early, measured by the clock used here.
_TIMER_TOLERANCE_S = 0.5
# No cache entry of these endpoints lives longer. A proxy in between may send a longer max-age by mistake.
MAX_CACHE_AGE_S = 120.0
# Number of earlier values kept for each field.
_MAX_VALUES = 4
# Represents every earlier value of a member's donations after they decreased: the value just before the decrease may
# never have been polled, so any increase counts as a return to an earlier value.
_DECREASED_DONATIONS = "decreased donations"


class Observation(NamedTuple):
    """One response: its time (Unix time ``at``, and seconds of ``uptime``), its digest and its ``max-age``.

    ``period`` is the lifetime in seconds of cache entries of its endpoint, 0.0 if nothing is cached. ``malformed`` are
    the fields that were removed from it.
    """

    at: float
    uptime: float
    digest: bytes
    max_age: float = 0.0
    period: float = 0.0
    malformed: frozenset[str] = frozenset()

    @property
    def max_staleness(self) -> float:
        """The number of seconds for which servers may still return a state that has changed.

        A server that lags behind by one cache period may store the old state at the end of that period, and then
        returns it for another period.
        """
        return 2 * self.period + _CACHE_MARGIN_S if self.period else 0.0


@dataclass(slots=True)
class StaleSuspicion:
    """A claim that a later response must confirm before it is accepted.

    ``first`` is the first response that made it. ``contradicted_at`` is when (seconds of uptime) a response last showed
    the opposite. Two responses must have the same ``claim`` for the second to confirm the first.
    """

    first: Observation
    contradicted_at: float
    claim: object = None

    def is_confirmed(self, observation: Observation, *, min_delay: float) -> bool:
        """Return whether a later response with the same claim confirms it.

        It does if it comes from another cache entry than the first one, at least ``min_delay`` seconds later, and so
        late that no server can still return the state from before the contradiction.
        """
        same_bytes = observation.digest == self.first.digest
        earliest = max(
            self._other_entry_at(min_delay),
            self._not_stale_at(observation),
            self._same_bytes_at(observation) if same_bytes else 0.0,
        )
        return observation.uptime >= earliest - _TIMER_TOLERANCE_S

    def next_check(self, observation: Observation, *, min_delay: float) -> float:
        """Return in how many seconds another response may confirm the claim, infinity if the interval is sufficient."""
        times = (
            self._other_entry_at(min_delay),
            self._same_bytes_at(observation),
            self._not_stale_at(observation),
        )
        return min((time - observation.uptime for time in times if time > observation.uptime), default=math.inf)

    def _other_entry_at(self, min_delay: float) -> float:
        lifetime = self.first.max_age + _CACHE_MARGIN_S if self.first.max_age else 0.0
        return self.first.uptime + max(min_delay, lifetime)

    def _same_bytes_at(self, observation: Observation) -> float:
        return self.first.uptime + (observation.period + _CACHE_MARGIN_S if observation.period else 0.0)

    def _not_stale_at(self, observation: Observation) -> float:
        return self.contradicted_at + observation.max_staleness


class RecentValues:
    """The values that fields had before they changed, kept as long as a stale server may return them again."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[tuple[Any, str], list[tuple[float, Any]]] = {}

    def add(self, events: Iterable[Event], observation: Observation, *, decreased: Iterable[str] = ()) -> None:
        """Add the old values of the changes in these events, and drop expired ones.

        ``decreased`` are the tags of members whose donations decreased.
        """
        since = observation.uptime - observation.max_staleness
        for key, kept in list(self._values.items()):
            if kept[-1][0] < since:
                del self._values[key]
        if observation.max_staleness:
            for subject, field, old, _ in _replaced_values(events):
                if field == _DECREASED_DONATIONS:
                    continue
                kept = self._values.setdefault((subject, field), [])
                self._values[subject, field] = [*kept, (observation.uptime, old)][-_MAX_VALUES:]
            for tag in decreased:
                self._values[tag, _DECREASED_DONATIONS] = [(observation.uptime, _DECREASED_DONATIONS)]

    def is_reverted_by(self, events: Iterable[Event], observation: Observation) -> bool:
        """Return whether one of these events brings back a value that was replaced only recently."""
        since = observation.uptime - observation.max_staleness
        if not self._values:
            return False
        replaced = list(_replaced_values(events))
        # If one member joins and another one leaves, the member count has its old value again. In a stale response the
        # members themselves are the evidence.
        by_members = any(field == "memberList" for _, field, _, _ in replaced)
        return any(
            at >= since and new == value
            for subject, field, _, new in replaced
            if not (by_members and field == "members")
            for at, value in self._values.get((subject, field), ())
        )


def _replaced_values(events: Iterable[Event]) -> Iterable[tuple[Any, str, Any, Any]]:
    """Yield (subject, field, old value, new value) for every change in the game that these events report."""
    for event in events:
        subject = event.metadata.get("member_tag")
        if event.event_type in (EventType.MEMBER_JOINED, EventType.MEMBER_LEFT):
            joined = event.event_type is EventType.MEMBER_JOINED
            yield subject, "memberList", not joined, joined
        if event.event_type is EventType.MEMBER_DONATIONS:
            yield subject, _DECREASED_DONATIONS, None, _DECREASED_DONATIONS
        for change in event.changes:
            yield subject, change.field, change.old_value, change.new_value
