"""Doubts: responses that look stale or incomplete, and what confirms them. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.events.event import EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.event import Event

# The API's servers round the rest of a cache entry's life down: a response that comes no later than so many seconds
# after its end may be the same entry.
_CACHE_MARGIN_S = 2.0
# A timer may fire this much (seconds) too early for the clock that counts.
_TIMER_TOLERANCE_S = 0.5
# No entry of these endpoints lives longer (seconds). A longer max-age is a mistake of something in between.
MAX_CACHE_AGE_S = 120.0
# So many earlier values of a field are remembered.
_MAX_VALUES = 4
# Stands for all figures that were more before a member's donations fell: nobody may have seen the last of them.
_DECREASED_DONATIONS = "donations that fell"


class Observation(NamedTuple):
    """One response as it was seen: when (Unix time, and seconds of uptime), its digest and its ``max-age``.

    ``period`` is how long (seconds) cache entries of its endpoint live, 0.0 where nothing is cached; ``malformed`` are
    the fields that were removed from it.
    """

    at: float
    uptime: float
    digest: bytes
    max_age: float = 0.0
    period: float = 0.0
    malformed: frozenset[str] = frozenset()

    @property
    def staleness(self) -> float:
        """For how many seconds servers may go on showing a state that has changed.

        One that lags behind by a cache period stores a stale state last when that is over, and shows it for another.
        """
        return 2 * self.period + _CACHE_MARGIN_S if self.period else 0.0


@dataclass(slots=True)
class StaleSuspicion:
    """A claim that must be seen again before it is believed.

    ``first`` is the look at which it was seen first. ``contradicted`` is when (seconds of uptime) the opposite was seen
    last. ``claim`` is what two responses must have in common for the second to confirm the first.
    """

    first: Observation
    contradicted: float
    claim: object = None

    def is_confirmed(self, look: Observation, *, patience: float) -> bool:
        """Tell whether a later response with the same claim confirms it.

        It does if it comes from another cache entry than the first one, ``patience`` seconds later at least, and so
        late that no server can still show what was there before the opposite was seen.
        """
        same_bytes = look.digest == self.first.digest
        moments = (self._other_entry(patience), self._not_stale(look), self._same_bytes(look) if same_bytes else 0.0)
        return look.uptime >= max(moments) - _TIMER_TOLERANCE_S

    def next_look(self, look: Observation, *, patience: float) -> float:
        """Return in how many seconds another look may confirm the claim, infinity if the interval decides."""
        moments = (self._other_entry(patience), self._same_bytes(look), self._not_stale(look))
        return min((moment - look.uptime for moment in moments if moment > look.uptime), default=math.inf)

    def _other_entry(self, patience: float) -> float:
        life = self.first.max_age + _CACHE_MARGIN_S if self.first.max_age else 0.0
        return self.first.uptime + max(patience, life)

    def _same_bytes(self, look: Observation) -> float:
        return self.first.uptime + (look.period + _CACHE_MARGIN_S if look.period else 0.0)

    def _not_stale(self, look: Observation) -> float:
        return self.contradicted + look.staleness


class RecentValues:
    """The values that fields had before they changed, as long as a stale server may show them again."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[tuple[Any, str], list[tuple[float, Any]]] = {}

    def note(self, events: Iterable[Event], look: Observation, *, fallen: Iterable[str] = ()) -> None:
        """Remember what the events of a look replaced, and forget what is too old.

        ``fallen`` are the tags of members whose donations are less than before.
        """
        since = look.uptime - look.staleness
        for key, kept in list(self._values.items()):
            if kept[-1][0] < since:
                del self._values[key]
        if look.staleness:
            for subject, field, old, _ in _replaced_values(events):
                if field == _DECREASED_DONATIONS:
                    continue
                kept = self._values.setdefault((subject, field), [])
                self._values[subject, field] = [*kept, (look.uptime, old)][-_MAX_VALUES:]
            for tag in fallen:
                self._values[tag, _DECREASED_DONATIONS] = [(look.uptime, _DECREASED_DONATIONS)]

    def reverted(self, events: Iterable[Event], look: Observation) -> bool:
        """Tell whether an event would bring back a value that was replaced only recently."""
        since = look.uptime - look.staleness
        if not self._values:
            return False
        replaced = list(_replaced_values(events))
        # One joins and another leaves: the old count is back. Of an older response the members are the evidence.
        by_members = any(field == "memberList" for _, field, _, _ in replaced)
        return any(
            at >= since and new == value
            for subject, field, _, new in replaced
            if not (by_members and field == "members")
            for at, value in self._values.get((subject, field), ())
        )


def _replaced_values(events: Iterable[Event]) -> Iterable[tuple[Any, str, Any, Any]]:
    """Yield (subject, field, old value, new value) for everything that events say of the game."""
    for event in events:
        subject = event.metadata.get("member_tag")
        if event.event_type in (EventType.MEMBER_JOINED, EventType.MEMBER_LEFT):
            joined = event.event_type is EventType.MEMBER_JOINED
            yield subject, "memberList", not joined, joined
        if event.event_type is EventType.MEMBER_DONATIONS:
            yield subject, _DECREASED_DONATIONS, None, _DECREASED_DONATIONS
        for change in event.changes:
            yield subject, change.field, change.old_value, change.new_value
