"""What changed between two answers about a clan's current war. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.times import parse_unix_time
from coc2mqtt.events.compare.war import (
    WarState,
    WarStateMachine,
    attack_metadata,
    attack_orders,
    attacks_per_member,
    is_same_war,
    war_id,
    war_sides,
)
from coc2mqtt.events.compare.war_history import ReportedWar, WarHistory
from coc2mqtt.events.compare.war_result import (
    WarOutcome,
    cancelled_result,
    log_result,
    score_result,
    unknown_result,
    war_result,
    war_score,
)
from coc2mqtt.events.event import Change, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

_STATE_ORDER = {"preparation": 0, "inWar": 1, "warEnded": 2}


class WarCompareResult(NamedTuple):
    """The events, in the order in which they happened, and what to believe and to remember from now on.

    ``settled`` is false while the war's result, or its end, is still to be told.
    """

    events: list[Event]
    data: Json
    memo: Json
    settled: bool


def initial_war_memo(war: Json) -> Json:
    """Return what to remember of a war at first sight: all that it holds is taken as known."""
    return WarHistory.at_first_sight(war).to_json()


def war_looks_stale(old: Snapshot, new: Json, *, tag: str, at: float) -> bool:
    """Tell whether an answer is one of before ``old``, as far as it shows.

    Within a war neither its state nor its set of attacks goes back; no war follows a younger one; and none is gone
    before its end, ``at`` being the present Unix time in seconds.
    """
    data = old.data or {}
    memory = _read_history(old, new, tag)
    identity = war_id(new)
    if identity is None:
        end = parse_unix_time(data.get("endTime"))
        return memory.state in (WarState.PREPARATION, WarState.IN_WAR) and (end is None or at < end)
    if identity != memory.war:
        return memory.is_over(identity)
    phase, before = _STATE_ORDER.get(str(new.get("state"))), _STATE_ORDER.get(memory.state.value)
    if phase is not None and before is not None and phase < before:
        return True
    return not attack_orders(new).issuperset(memory.wars[identity].orders)


def war_ended_unobserved(old: Snapshot, new: Json, *, tag: str) -> Json | None:
    """Return the last answer about a war that ``new`` has replaced before its end was seen, None without one."""
    if old.data is None:
        return None
    memory = _read_history(old, new, tag)
    if not _is_gone(memory, new) or memory.present is None or memory.present.score is not None:
        return None
    return old.data


def war_may_be_cancelled(old: Snapshot, new: Json, *, at: float) -> bool:
    """Tell whether the war of the snapshot was gone before its battle began, ``at`` (Unix time in seconds).

    So it is where there is no war any more before its start, or another one was declared before that.
    """
    data = old.data or {}
    began, start = (parse_unix_time(data.get(key)) for key in ("preparationStartTime", "startTime"))
    if WarHistory.from_json(old.memo, data).state is not WarState.PREPARATION or began is None or start is None:
        return False
    replaced = parse_unix_time(new.get("preparationStartTime"))
    return began <= (at if replaced is None else replaced) < start


def compare_war(
    old: Snapshot, new: Json, *, tag: str, at: float, outcome: WarOutcome | None = None, jump: float = 0.0
) -> WarCompareResult:
    """Compare the snapshot of a clan's war, whose data is not None, with a new answer.

    ``tag`` is the watched clan's, ``at`` the Unix time in seconds that the events carry, ``outcome`` what was found
    about the war that ``war_ended_unobserved`` names, ``jump`` the seconds by which the wall clock was set.
    ``new`` is as ``completed_war`` returns it. Attacks are known by (war, order), so each is told once. The end
    of a war is told once its score is final (``ReportedWar.settles``), or when it was replaced.
    """
    if old.data is None:
        raise ValueError("there is nothing to compare with at first sight: use first_war")
    memory = _read_history(old, new, tag)
    memory.shift(jump)
    telling = _WarDiff(old.data, new, tag, at, memory)
    identity = war_id(new)
    if identity is not None and memory.is_replaced(identity):
        # A younger war has begun since: of this one only attacks that were not seen before are news.
        telling.attacks_of(identity)
        return WarCompareResult(telling.events, old.data, memory.to_json(), memory.settled)
    if _is_gone(memory, new):
        telling.end_of_old(outcome or WarOutcome())
    telling.war()
    return WarCompareResult(telling.events, new, memory.to_json(), memory.settled)


def _read_history(old: Snapshot, new: Json, tag: str) -> WarHistory:
    """Return what is remembered, with the identity that ``new`` gives to the same war."""
    data = old.data or {}
    memory = WarHistory.from_json(old.memo, data)
    if memory.war is not None and war_id(new) not in memory.wars and is_same_war(data, new, tag):
        memory.rename(war_id(data), war_id(new))
    return memory


def _is_gone(memory: WarHistory, new: Json) -> bool:
    """Tell whether the present war is not the one of ``new`` any more, and its end is still to be told."""
    identity = war_id(new)
    if memory.war is None or memory.settled or identity == memory.war:
        return False
    # An older war that comes up again has replaced nothing.
    return identity is None or not memory.is_over(identity)


@dataclass(slots=True)
class _WarDiff:
    """One comparison under way; ``memory`` and ``events`` grow with it."""

    old: Json
    new: Json
    tag: str
    at: float
    memory: WarHistory
    events: list[Event] = field(default_factory=list)

    def end_of_old(self, outcome: WarOutcome) -> None:
        """Tell that the war of the old answer has ended, and its last attacks where they were found."""
        told = self.memory.present
        assert told is not None  # noqa: S101 - that is what is over
        if told.score is not None:
            result = war_result(self.old, self.tag, observed=True)
            if war_score(self.old, self.tag) != told.score:
                # What was believed since then is older than what was seen of the end.
                result = score_result(told.score)
        elif outcome.cancelled:
            told.ended = True
            self._tell(EventType.WAR_ENDED, self.old, metadata=cancelled_result(self.old, self.tag))
            return  # it never reached another state
        elif outcome.war is not None:
            self._attacks(outcome.war, told)
            result = war_result(outcome.war, self.tag, observed=False, source="opponent")
        elif outcome.entry is not None:
            result = log_result(outcome.entry, self.tag)
        else:
            result = unknown_result(self.old, self.tag)
        told.ended = True
        self.memory.state = WarState.WAR_ENDED
        self._tell(EventType.WAR_ENDED, self.old, metadata=result)

    def war(self) -> None:
        """Tell what the new answer shows of its war."""
        identity = war_id(self.new)
        if identity is not None and identity not in self.memory.wars:
            self.memory.wars[identity] = ReportedWar()
            self._tell(EventType.WAR_NEW, self.new, metadata=_war_terms(self.new))
        same = identity is not None and identity == self.memory.war
        self.memory.war = identity
        told = self.memory.present
        ending = self.new.get("state") == WarState.WAR_ENDED.value
        # The attacks of a war happened before it ended, and after it began.
        if told is not None and ending:
            self._attacks(self.new, told)
        self._state(same=same)
        if told is None:
            return
        if not ending:
            self._attacks(self.new, told)
        elif not told.ended:
            self._settle(told)

    def attacks_of(self, identity: str) -> None:
        """Tell the attacks of a war that has been replaced, if it is one that was told of."""
        if identity in self.memory.wars:
            self._attacks(self.new, self.memory.wars[identity])

    def _state(self, *, same: bool) -> None:
        before = self.memory.state
        reached = WarStateMachine(before).transition(str(self.new.get("state")))
        if reached is None or (same and _STATE_ORDER.get(reached.value, 0) < _STATE_ORDER.get(before.value, 0)):
            return  # a war goes from one state to the next, and never back
        self.memory.state = reached
        self._tell(
            EventType.WAR_STATE_CHANGED,
            self.new if war_id(self.new) is not None else self.old,
            metadata={"war_state_from": before.value, "war_state_to": reached.value},
            changes=[Change("state", before.value, reached.value)],
        )

    def _attacks(self, war: Json, told: ReportedWar) -> None:
        for metadata in attack_metadata(war, own=war_sides(war, self.tag)[0]):
            if metadata["order"] not in told.orders:
                self._tell(EventType.WAR_ATTACK_NEW, war, metadata=metadata)
        told.orders |= attack_orders(war)

    def _settle(self, told: ReportedWar) -> None:
        end = parse_unix_time(self.new.get("endTime"))
        if told.settles(war_score(self.new, self.tag), end=end, at=self.at):
            told.ended = True
            self._tell(EventType.WAR_ENDED, self.new, metadata=war_result(self.new, self.tag, observed=True))

    def _tell(self, event_type: EventType, war: Json, *, metadata: Json, changes: Iterable[Change] = ()) -> None:
        own, other = war_sides(war, self.tag)
        identity = {"war_id": war_id(war), "opponent_tag": other.get("tag"), "opponent_name": other.get("name")}
        self.events.append(
            Event(
                event_type,
                self.tag,
                timestamp=self.at,
                old_data=self.old,
                new_data=self.new,
                changes=tuple(changes),
                metadata={**identity, **metadata},
                name=own.get("name"),
            )
        )


def _war_terms(war: Json) -> Json:
    return {
        "team_size": war.get("teamSize"),
        "attacks_per_member": attacks_per_member(war),
        "preparation_start_time": war.get("preparationStartTime"),
        "start_time": war.get("startTime"),
        "end_time": war.get("endTime"),
    }
