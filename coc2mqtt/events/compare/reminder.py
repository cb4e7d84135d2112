"""When reminders are due, and whom they list. Pure: no clock, no I/O.

All times are Unix times in seconds; the times of reminders are seconds before an end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.resource import Reminders

Json = dict[str, Any]
Part = Literal["war", "cwl", "raid", "games"]
PARTS: tuple[Part, ...] = ("war", "cwl", "raid", "games")

# More wars, rounds and weekends than a clan has within the two weeks for which an end is remembered.
_MAX_OCCASIONS = 32
_KEPT_S = 14 * 86_400.0
# A battle of 24 hours may be shown as a moment shorter.
_START_TOLERANCE_S = 60.0


class Occasion(NamedTuple):
    """A war, a league round, a raid weekend or clan games in progress.

    ``identity`` does not change when the end moves. ``start`` is that of the battle.
    """

    part: Part
    identity: str
    end: float
    start: float = -math.inf

    @property
    def key(self) -> str:
        """The key of the occasion among all of a clan."""
        return f"{self.part} {self.identity}"


class DueReminder(NamedTuple):
    """A reminder of an occasion that is due; ``time`` is that before the end, ``due`` the moment.

    ``overtaken`` are earlier ones of the same occasion that were never sent.
    """

    occasion: Occasion
    time: float
    due: float
    overtaken: tuple[float, ...] = ()


class Plan(NamedTuple):
    """The reminders that are due, and when the next one of each part will be.

    ``is_open`` is whether any may still be sent, also if the wall clock is set.
    """

    due: list[DueReminder]
    next_due: dict[Part, float]
    is_open: bool = False


@dataclass(slots=True)
class ReminderHistory:
    """The reminders that were sent, so that each is sent once.

    ``since`` is when each time of each part was configured: reminders that were due before are not sent. ``sent`` has
    the end and the sent times of each occasion, by its key.
    """

    since: dict[str, dict[str, float]] = field(default_factory=dict)
    sent: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Json | None) -> ReminderHistory:
        """Return the history that ``to_json`` encoded; None, or what another version stored, is an empty one."""
        if data is None:
            return cls()
        try:
            since = {part: {key: float(at) for key, at in times.items()} for part, times in data["since"].items()}
            sent = {
                key: {"end": float(one["end"]), "times": [float(time) for time in one["times"]]}
                for key, one in data["sent"].items()
            }
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()
        return cls(since, sent)

    def to_json(self) -> Json:
        """Return the history as the data of a snapshot."""
        return {"since": self.since, "sent": self.sent}

    def follow(self, reminders: Reminders, at: float, *, parts: Iterable[Part] = PARTS) -> bool:
        """Adopt the configured times of the parts that are watched; return whether they have changed.

        A time that was configured in the future was configured by a wrong clock.
        """
        before = self.since
        self.since = {
            part: {_key(time): min(at, before.get(part, {}).get(_key(time), at)) for time in times}
            for part in parts
            if (times := times_of(reminders, part))
        }
        return self.since != before

    def is_sent(self, occasion: Occasion, time: float) -> bool:
        """Return whether a reminder was sent."""
        return time in self.sent.get(occasion.key, {}).get("times", ())

    def record(self, reminder: DueReminder, at: float) -> None:
        """Record that a reminder was sent, or that nobody had to be reminded."""
        occasion = reminder.occasion
        known = self.sent.get(occasion.key, {}).get("times", ())
        times = sorted({*known, reminder.time, *reminder.overtaken}, reverse=True)
        # A new object, because the present one may be part of a stored snapshot.
        sent = {**self.sent, occasion.key: {"end": occasion.end, "times": times}}
        kept = sorted((one["end"], key) for key, one in sent.items() if one["end"] > at - _KEPT_S)
        self.sent = {key: sent[key] for _, key in kept[-_MAX_OCCASIONS:]}

    def configured_at(self, part: Part, time: float, at: float) -> float:
        """Return when a time was configured."""
        return self.since.get(part, {}).get(_key(time), at)


def times_of(reminders: Reminders, part: Part) -> tuple[float, ...]:
    """Return the times of the reminders of a part, in seconds before the end."""
    return {"war": reminders.war, "cwl": reminders.cwl, "raid": reminders.raid, "games": reminders.games}[part]


def plan_reminders(history: ReminderHistory, occasions: Iterable[Occasion], reminders: Reminders, *, at: float) -> Plan:
    """Return what is due now: of each occasion at most the latest reminder, and none before its start or after its end.

    A short battle, such as that of a friendly war, has no reminder whose time before the end is before its start.
    """
    due = []
    next_due: dict[Part, float] = {}
    is_open = False
    for occasion in occasions:
        earliest = occasion.start - _START_TOLERANCE_S
        unsent = [
            time
            for time in times_of(reminders, occasion.part)
            if earliest <= occasion.end - time < occasion.end and not history.is_sent(occasion, time)
        ]
        is_open = is_open or bool(unsent)
        if at >= occasion.end:
            continue
        pending = [occasion.end - time for time in unsent if occasion.end - time > at]
        if pending:
            next_due[occasion.part] = min([*pending, next_due.get(occasion.part, math.inf)])
        late = sorted(
            time for time in unsent if history.configured_at(occasion.part, time, at) <= occasion.end - time <= at
        )
        if late:
            due.append(DueReminder(occasion, late[0], occasion.end - late[0], tuple(late[1:])))
    return Plan(due, next_due, is_open)


def is_included(reminders: Reminders, *, role: object, town_hall: object, attacks_left: int) -> bool:
    """Return whether a member is listed in reminders; an unknown role or town hall is in no list or range of them."""
    if attacks_left < reminders.min_attacks_left:
        return False
    if reminders.roles is not None and role not in reminders.roles:
        return False
    if reminders.min_town_hall is None and reminders.max_town_hall is None:
        return True
    if isinstance(town_hall, bool) or not isinstance(town_hall, int | float):
        return False
    return (reminders.min_town_hall or 0) <= town_hall <= (reminders.max_town_hall or math.inf)


def _key(time: float) -> str:
    return f"{time:g}"
