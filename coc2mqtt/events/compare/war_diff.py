"""Compare two responses about a clan's current war. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import api_time, parse_unix_time
from coc2mqtt.events.compare.diff import CompareResult
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
    ended_war,
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


def initial_war_memo(war: Json) -> Json:
    """Return the memo after the first response about a war: everything in it counts as reported."""
    return WarHistory.from_first_response(war).to_json()


def war_looks_stale(old: Snapshot, new: Json, *, tag: str, at: float) -> bool:
    """Return whether a response looks older than the snapshot ``old``.

    Within a war, the state never goes back and attacks never disappear; a war never follows a later one; and no war
    disappears before its end. ``at`` is the current Unix time in seconds.
    """
    data = old.data or {}
    history = _read_history(old, new, tag)
    identity = war_id(new)
    if identity is None:
        end = parse_unix_time(data.get("endTime"))
        return history.state in (WarState.PREPARATION, WarState.IN_WAR) and (end is None or at < end)
    if identity != history.war:
        return history.is_over(identity)
    after, before = _STATE_ORDER.get(str(new.get("state"))), _STATE_ORDER.get(history.state.value)
    if after is not None and before is not None and after < before:
        return True
    return not attack_orders(new).issuperset(history.wars[identity].orders)


def war_ended_unobserved(old: Snapshot, new: Json, *, tag: str) -> Json | None:
    """Return the last response about a war that ``new`` replaced before its end was observed, else None."""
    if old.data is None:
        return None
    history = _read_history(old, new, tag)
    if not _is_replaced(history, new) or history.current is None or history.current.score is not None:
        return None
    return old.data


def war_may_be_cancelled(old: Snapshot, new: Json, *, at: float) -> bool:
    """Return whether the snapshot's war disappeared before its battle, ``at`` (Unix time in seconds).

    It did if the clan has left it, or declared another one, before its start time.
    """
    data = old.data or {}
    preparation, start = (parse_unix_time(data.get(key)) for key in ("preparationStartTime", "startTime"))
    state = WarHistory.from_json(old.memo, data).state
    if state is not WarState.PREPARATION or preparation is None or start is None:
        return False
    replaced = parse_unix_time(new.get("preparationStartTime"))
    return preparation <= (at if replaced is None else replaced) < start


def compare_war(
    old: Snapshot, new: Json, *, tag: str, at: float, outcome: WarOutcome | None = None, clock_jump: float = 0.0
) -> CompareResult:
    """Compare the snapshot of a clan's war, whose data is not None, with a new response.

    ``new`` is the result of ``restore_missing_war_fields``. ``tag`` is the watched clan's. ``at`` is the Unix time in
    seconds of the events. ``outcome`` is the outcome of the war that ``war_ended_unobserved`` returns. ``clock_jump``
    are the seconds by which the wall clock was set since the snapshot.

    Attacks are identified by (war, order) and reported once. The end of a war is reported once its score is final (see
    ``ReportedWar.record_score``), or when another war replaced it. The result is not ``final`` until then.
    """
    if old.data is None:
        raise ValueError("the snapshot has no data to compare with: use initial_war_memo for the first response")
    history = _read_history(old, new, tag)
    history.shift_times(clock_jump)
    diff = _WarDiff(old.data, new, tag, at, history)
    identity = war_id(new)
    if identity is not None and history.is_superseded(identity):
        # A later war is known: of this one, only attacks that are not reported yet are news.
        if identity in history.wars:
            diff.report_attacks(new, history.wars[identity])
        return CompareResult(diff.events, old.data, history.to_json(), history.final)
    if _is_replaced(history, new):
        diff.report_old_war_ended(outcome or WarOutcome())
    diff.report_new_response()
    return CompareResult(diff.events, new, history.to_json(), history.final)


def _read_history(old: Snapshot, new: Json, tag: str) -> WarHistory:
    """Return the snapshot's history; its current war has the identity of ``new`` if both are the same war."""
    data = old.data or {}
    history = WarHistory.from_json(old.memo, data)
    if history.war is not None and war_id(new) not in history.wars and is_same_war(data, new, tag):
        history.rename(war_id(data), war_id(new))
    return history


def _is_replaced(history: WarHistory, new: Json) -> bool:
    """Return whether ``new`` no longer shows the current war and its end is not reported yet."""
    identity = war_id(new)
    if history.war is None or history.final or identity == history.war:
        return False
    # An older war that appears again has not replaced anything.
    return identity is None or not history.is_over(identity)


@dataclass(slots=True)
class _WarDiff:
    """Builds the events of one comparison; ``history`` and ``events`` are updated in place."""

    old: Json
    new: Json
    tag: str
    at: float
    history: WarHistory
    events: list[Event] = field(default_factory=list)

    def report_old_war_ended(self, outcome: WarOutcome) -> None:
        """Report the end of the war in the old response, and its last attacks if the outcome shows them."""
        reported = self.history.current
        assert reported is not None  # noqa: S101 - _is_replaced has checked it
        latest = outcome.war or outcome.log_entry or self.old
        if reported.score is not None:
            result = war_result(self.old, self.tag, observed=True)
            if war_score(self.old, self.tag) != reported.score:
                # A response accepted since then is older than the observed end.
                result = score_result(reported.score)
        elif outcome.cancelled:
            self._report_end(reported, self.old, cancelled_result(self.old, self.tag))
            return  # a cancelled war never reaches another state
        elif outcome.war is not None:
            self.report_attacks(outcome.war, reported)
            result = war_result(outcome.war, self.tag, observed=False, source="opponent")
        elif outcome.log_entry is not None:
            result = log_result(outcome.log_entry, self.tag)
        else:
            result = unknown_result(self.old, self.tag)
        self.history.state = WarState.WAR_ENDED
        self._report_end(reported, self.old, result, latest=latest)

    def report_new_response(self) -> None:
        """Report the changes in the new response: the war itself, its state, its attacks, its end."""
        identity = war_id(self.new)
        if identity is not None and identity not in self.history.wars:
            self.history.wars[identity] = ReportedWar()
            self._add(EventType.WAR_NEW, self.new, metadata=_war_terms(self.new))
        same_war = identity is not None and identity == self.history.war
        self.history.war = identity
        reported = self.history.current
        ended = self.new.get("state") == WarState.WAR_ENDED.value
        # Attacks happen after a war has started and before it has ended, so their place among the events differs.
        if reported is not None and ended:
            self.report_attacks(self.new, reported)
        self._report_state(same_war=same_war)
        if reported is None:
            return
        if not ended:
            self.report_attacks(self.new, reported)
        elif not reported.ended:
            self._report_final_result(reported)

    def report_attacks(self, war: Json, reported: ReportedWar) -> None:
        """Report the attacks of a war that are not reported yet."""
        for metadata in attack_metadata(war, own=war_sides(war, self.tag)[0]):
            if metadata["order"] not in reported.orders:
                self._add(EventType.WAR_ATTACK_NEW, war, metadata=metadata)
        reported.orders |= attack_orders(war)

    def _report_state(self, *, same_war: bool) -> None:
        before = self.history.state
        state = WarStateMachine(before).transition(str(self.new.get("state")))
        if state is None or (same_war and _STATE_ORDER.get(state.value, 0) < _STATE_ORDER.get(before.value, 0)):
            return  # the state of a war never goes back
        self.history.state = state
        self._add(
            EventType.WAR_STATE_CHANGED,
            self.new if war_id(self.new) is not None else self.old,
            metadata={"war_state_from": before.value, "war_state_to": state.value},
            changes=[Change("state", before.value, state.value)],
        )

    def _report_final_result(self, reported: ReportedWar) -> None:
        end = parse_unix_time(self.new.get("endTime"))
        if reported.record_score(war_score(self.new, self.tag), end=end, at=self.at):
            self._report_end(reported, self.new, war_result(self.new, self.tag, observed=True))

    def _report_end(self, reported: ReportedWar, war: Json, result: Json, *, latest: Json | None = None) -> None:
        """Report the end of a war, and keep its result; ``latest`` is the last response about it, if not ``war``."""
        reported.ended = True
        self._add(EventType.WAR_ENDED, war, metadata=result)
        self.history.last_result = ended_war(self.events[-1].metadata, latest or war, at=self.at)

    def _add(self, event_type: EventType, war: Json, *, metadata: Json, changes: Iterable[Change] = ()) -> None:
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
    times = {"preparation_start": "preparationStartTime", "start": "startTime", "end": "endTime"}
    return {
        "team_size": war.get("teamSize"),
        "attacks_per_member": attacks_per_member(war),
        **{f"{name}_at": api_time(war.get(key)) for name, key in times.items()},
        # In the API's format, which other programs cannot read: kept for the users of earlier versions.
        **{f"{name}_time": war.get(key) for name, key in times.items()},
    }
