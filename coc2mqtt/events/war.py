"""What a war is: its identity, its sides, its times. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from typing import Any

from coc2mqtt.clash.times import parse_unix_time
from coc2mqtt.events.war_fsm import WarState

Json = dict[str, Any]

# The API may show a boundary a moment late, and a maintenance shifts it: it is looked for again after so many seconds,
# and no longer than so many. What is further off is a wall clock that is wrong.
_AFTER_BOUNDARY = 1.0
_LOOK_AGAIN = 60.0
_LONGEST_LOOK = 900.0


def war_id(war: Json) -> str | None:
    """Return what tells one war from every other, None when there is no war.

    It is the start of the preparation and both tags: a maintenance shifts the other times, and either clan may
    stand on either side.
    """
    tags = sorted(str(war.get(side, {}).get("tag")) for side in ("clan", "opponent"))
    start = war.get("preparationStartTime")
    return "-".join([start, *tags]).replace("#", "") if isinstance(start, str) else None


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
