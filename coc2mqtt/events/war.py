"""What changed between two answers about a clan's current war. Pure: no clock, no I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.war_attack import attack_orders, describe_attacks
from coc2mqtt.events.war_fsm import WarState, WarStateMachine

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

_PHASES = {"preparation": 0, "inWar": 1, "warEnded": 2}


class WarComparison(NamedTuple):
    """The events, in the order in which they happened, and what to believe and to remember from now on."""

    events: list[Event]
    data: Json
    memo: Json


def war_id(war: Json) -> str | None:
    """Return what tells one war from every other, None when there is no war.

    It is the start of the preparation and both tags: a maintenance shifts the other times, and either clan may
    stand on either side.
    """
    tags = sorted(str(war.get(side, {}).get("tag")) for side in ("clan", "opponent"))
    start = war.get("preparationStartTime")
    return "-".join([start, *tags]).replace("#", "") if isinstance(start, str) else None


def war_sides(war: Json, tag: str) -> tuple[Json, Json]:
    """Return (own side, other side): in a war of the clan war league the own clan may be the ``opponent``."""
    clan, opponent = war.get("clan") or {}, war.get("opponent") or {}
    return (opponent, clan) if opponent.get("tag") == tag else (clan, opponent)


def first_war(war: Json) -> Json:
    """Return what to remember of a war at first sight: all that it holds is taken as known."""
    recognised = WarStateMachine()
    recognised.transition(str(war.get("state")))
    return {
        "war": war_id(war),
        "state": recognised.state.value,
        "orders": sorted(attack_orders(war)),
        "ended": war.get("state") == WarState.WAR_ENDED.value,
    }


def compare_war(old: Snapshot, new: Json, *, tag: str, at: float) -> WarComparison:
    """Compare the snapshot of a clan's war, whose data is not None, with a new answer.

    ``tag`` is the watched clan's, ``at`` the Unix time in seconds that the events carry. Attacks are known by (war,
    order), so each is reported once, whatever the API forgets in between. Within one war neither the state nor the
    set of attacks goes back on the word of a single answer: that one changes nothing but the memo.
    """
    if old.data is None:
        raise ValueError("there is nothing to compare with at first sight: use first_war")
    memo = _own_memo(old)
    same_war = war_id(new) == memo["war"]
    if same_war and not old.memo.get("regressed") and _goes_back(memo, new):
        return WarComparison([], old.data, {**memo, "regressed": True})
    event = partial(_event, tag=tag, at=at)
    events = []
    if not same_war:
        if memo["war"] is not None and not memo["ended"]:
            events.append(event(EventType.WAR_ENDED, old.data, None, metadata=_result(old.data, tag, observed=False)))
        memo |= {"war": war_id(new), "orders": [], "ended": False}
        if memo["war"] is not None:
            events.append(event(EventType.WAR_NEW, None, new, metadata=_terms(new)))
    fsm = WarStateMachine(WarState(memo["state"]))
    came_from = fsm.state
    steps = []
    if reached := fsm.transition(str(new.get("state"))):
        memo["state"] = reached.value
        change = Change("state", came_from.value, reached.value)
        metadata = {"war_state_from": came_from.value, "war_state_to": reached.value}
        steps.append(event(EventType.WAR_STATE_CHANGED, old.data, new, changes=(change,), metadata=metadata))
    known = set(memo["orders"])
    attacks = [
        event(EventType.WAR_ATTACK_NEW, old.data, new, metadata=metadata)
        for metadata in describe_attacks(new, own=war_sides(new, tag)[0])
        if metadata["order"] not in known
    ]
    memo["orders"] = sorted(known | attack_orders(new))
    # The attacks of a war happened before it ended, and after it began.
    events += attacks + steps if reached is WarState.WAR_ENDED else steps + attacks
    if fsm.state is WarState.WAR_ENDED and memo["war"] is not None and not memo["ended"]:
        memo["ended"] = True
        events.append(event(EventType.WAR_ENDED, old.data, new, metadata=_result(new, tag, observed=True)))
    return WarComparison(events, new, memo)


def _own_memo(old: Snapshot) -> Json:
    # A snapshot that was put in by hand has no memo.
    memo = old.memo if "war" in old.memo else first_war(old.data or {})
    return {key: memo[key] for key in ("war", "state", "orders", "ended")}


def _goes_back(memo: Json, new: Json) -> bool:
    phase, before = _PHASES.get(str(new.get("state"))), _PHASES.get(memo["state"])
    if phase is not None and before is not None and phase < before:
        return True
    return not attack_orders(new).issuperset(memo["orders"])


def _event(
    event_type: EventType,
    old: Json | None,
    new: Json | None,
    *,
    tag: str,
    at: float,
    metadata: Json,
    changes: tuple[Change, ...] = (),
) -> Event:
    war = new if new is not None and war_id(new) is not None else old or {}
    own, other = war_sides(war, tag)
    identity = {"war_id": war_id(war), "opponent_tag": other.get("tag"), "opponent_name": other.get("name")}
    return Event(
        event_type,
        tag,
        timestamp=at,
        old_data=old,
        new_data=new,
        changes=changes,
        metadata={**identity, **metadata},
        name=own.get("name"),
    )


def _terms(war: Json) -> Json:
    return {
        "team_size": war.get("teamSize"),
        # A war of the clan war league does not say it: there it is one attack each.
        "attacks_per_member": war.get("attacksPerMember", 1),
        "preparation_start_time": war.get("preparationStartTime"),
        "start_time": war.get("startTime"),
        "end_time": war.get("endTime"),
    }


def _result(war: Json, tag: str, *, observed: bool) -> Json:
    own, other = war_sides(war, tag)
    score = [(side.get("stars") or 0, side.get("destructionPercentage") or 0) for side in (own, other)]
    result = "win" if score[0] > score[1] else "lose" if score[0] < score[1] else "tie"
    return {
        "result": result if observed else "unknown",
        "observed": observed,
        "stars": own.get("stars"),
        "opponent_stars": other.get("stars"),
        "destruction": own.get("destructionPercentage"),
        "opponent_destruction": other.get("destructionPercentage"),
        "attacks": own.get("attacks"),
        "opponent_attacks": other.get("attacks"),
    }
