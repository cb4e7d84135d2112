"""What a war is: its identity, its sides, its times. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from typing import Any

from coc2mqtt.clash.times import parse_unix_time
from coc2mqtt.events.compare.war_fsm import WarState

Json = dict[str, Any]

# The API may show a boundary a moment late, and a maintenance shifts it: it is looked for again after so many seconds,
# and no longer than so many. What is further off is a wall clock that is wrong.
_AFTER_BOUNDARY = 1.0
_LOOK_AGAIN = 60.0
_LONGEST_LOOK = 900.0
_AT_WAR = ("preparation", "inWar", "warEnded")


def war_id(war: Json) -> str | None:
    """Return what tells one war from every other, None when there is no war.

    It is the start of the preparation and both tags: a maintenance shifts the other times, and either clan may
    stand on either side. Where the start is not known, another time stands in for it.
    """
    start = war.get("preparationStartTime")
    if not isinstance(start, str):
        if war.get("state") not in _AT_WAR:
            return None
        times = (war.get("startTime"), war.get("endTime"))
        start = next((time for time in times if isinstance(time, str)), "")
    tags = sorted(str((war.get(side) or {}).get("tag") or "") for side in ("clan", "opponent"))
    return "-".join([start, *tags]).replace("#", "")


def completed_war(old: Json, new: Json, tag: str) -> Json:
    """Return ``new`` with whatever it lacks and an earlier answer about the same war has.

    A field that vanishes is no change in the game.
    """
    if not is_same_war(old, new, tag):
        return new
    own, other = war_sides(new, tag)
    swapped = (new.get("opponent") or {}).get("tag") == tag
    known = war_sides(old, tag)
    if not (
        old.keys() - new.keys() or any(was.keys() - now.keys() for was, now in zip(known, (own, other), strict=True))
    ):
        return new
    sides = [{**was, **now} for was, now in zip(known, (own, other), strict=True)]
    clan, opponent = reversed(sides) if swapped else sides
    return {**old, **new, "clan": clan, "opponent": opponent}


def is_same_war(old: Json, new: Json, tag: str) -> bool:
    """Tell whether two answers are about the same war, as far as both have its start and the opponent's tag."""
    if war_id(old) is None or war_id(new) is None:
        return False
    starts = [war.get("preparationStartTime") for war in (old, new)]
    others = [war_sides(war, tag)[1].get("tag") for war in (old, new)]
    pairs = [pair for pair in (starts, others) if None not in pair]
    return bool(pairs) and all(before == after for before, after in pairs)


def war_began(identity: str) -> str:
    """Return the start of the preparation in a war's identity: these texts sort as the times do."""
    return identity.partition("-")[0]


def war_sides(war: Json, tag: str) -> tuple[Json, Json]:
    """Return (own side, other side): in a war of the clan war league the own clan may be the ``opponent``."""
    clan, opponent = war.get("clan") or {}, war.get("opponent") or {}
    return (opponent, clan) if opponent.get("tag") == tag else (clan, opponent)


def attacks_per_member(war: Json) -> int:
    """Return how many attacks each member has; a war of the clan war league does not say it: there it is one."""
    attacks = war.get("attacksPerMember", 1)
    return attacks if isinstance(attacks, int) else 1


def next_look(war: Json, *, settled: bool, at: float) -> float:
    """Return in how many seconds a war wants to be looked at again, infinity where its interval will do.

    ``at`` is the present Unix time in seconds. A look is wanted right after the start and the end of the battle, and
    then every minute until the API shows it; after the end until the result is ``settled``.
    """
    state = war.get("state")
    if state == WarState.WAR_ENDED.value:
        return math.inf if settled else _LOOK_AGAIN
    boundary = {WarState.PREPARATION.value: "startTime", WarState.IN_WAR.value: "endTime"}.get(str(state))
    moment = None if boundary is None else parse_unix_time(war.get(boundary))
    if moment is None:
        return math.inf
    wait = moment + _AFTER_BOUNDARY - at
    if wait > 0:
        return wait
    return _LOOK_AGAIN if -wait < _LONGEST_LOOK else math.inf
