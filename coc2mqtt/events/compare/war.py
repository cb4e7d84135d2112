"""A war: its states, identity, sides, times and attacks. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import parse_unix_time

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

# The API may show the start or the end of the battle a moment late, and a maintenance shifts it: the war is polled this
# long after it, then every minute, for a quarter of an hour. A time further in the past means a wrong wall clock.
_BOUNDARY_DELAY_S = 1.0
_RETRY_INTERVAL_S = 60.0
_MAX_RETRY_TIME_S = 900.0
_STATES_WITH_WAR = ("preparation", "inWar", "warEnded")


class WarState(Enum):
    """The states of a war in the API's spelling."""

    NOT_IN_WAR = "notInWar"
    PREPARATION = "preparation"
    IN_WAR = "inWar"
    WAR_ENDED = "warEnded"


class WarStateMachine:
    """The war state of one clan; ``state`` is the last known state."""

    def __init__(self, initial_state: WarState = WarState.NOT_IN_WAR) -> None:
        self.state = initial_state

    def transition(self, raw_state: str) -> WarState | None:
        """Set the state to the API's ``raw_state``.

        Returns the new state, or None if it is unchanged or not one of ``WarState``. An unknown state changes nothing,
        because the API may add states.
        """
        try:
            state = WarState(raw_state)
        except ValueError:
            return None
        if state is self.state:
            return None
        self.state = state
        return state


def war_id(war: Json) -> str | None:
    """Return the identity of a war, None without a war.

    It consists of the start of the preparation and both tags, because a maintenance shifts the other times, and either
    clan may be on either side. If the start is unknown, another time takes its place.
    """
    start = war.get("preparationStartTime")
    if not isinstance(start, str):
        if war.get("state") not in _STATES_WITH_WAR:
            return None
        times = (war.get("startTime"), war.get("endTime"))
        start = next((time for time in times if isinstance(time, str)), "")
    tags = sorted(str((war.get(side) or {}).get("tag") or "") for side in ("clan", "opponent"))
    return "-".join([start, *tags]).replace("#", "")


def preparation_start(identity: str) -> str:
    """Return the start of the preparation from a war's identity: these texts sort like the times."""
    return identity.partition("-")[0]


def is_same_war(old: Json, new: Json, tag: str) -> bool:
    """Return whether two responses are about the same war, judged by the preparation start and the opponent's tag.

    A value that one of them lacks is not compared.
    """
    if war_id(old) is None or war_id(new) is None:
        return False
    starts = [war.get("preparationStartTime") for war in (old, new)]
    others = [war_sides(war, tag)[1].get("tag") for war in (old, new)]
    pairs = [pair for pair in (starts, others) if None not in pair]
    return bool(pairs) and all(before == after for before, after in pairs)


def restore_missing_war_fields(old: Json, new: Json, tag: str) -> Json:
    """Return ``new`` with the fields it lacks from an earlier response about the same war.

    A field that vanishes is not a change in the game.
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


def war_sides(war: Json, tag: str) -> tuple[Json, Json]:
    """Return (own side, other side): in a clan war league war the own clan may be the ``opponent``."""
    clan, opponent = war.get("clan") or {}, war.get("opponent") or {}
    return (opponent, clan) if opponent.get("tag") == tag else (clan, opponent)


def attacks_per_member(war: Json) -> int:
    """Return the number of attacks of each member; a clan war league war has no such field, there it is one."""
    attacks = war.get("attacksPerMember", 1)
    return attacks if isinstance(attacks, int) else 1


def next_war_poll(war: Json, *, final: bool, at: float) -> float:
    """Return in how many seconds the war should be polled next, infinity if its interval is sufficient.

    ``at`` is the current Unix time in seconds. A poll is due right after the start and the end of the battle, then
    every minute until the API shows it; after the end, every minute until the result is ``final``.
    """
    state = war.get("state")
    if state == WarState.WAR_ENDED.value:
        return math.inf if final else _RETRY_INTERVAL_S
    boundary = {WarState.PREPARATION.value: "startTime", WarState.IN_WAR.value: "endTime"}.get(str(state))
    time = None if boundary is None else parse_unix_time(war.get(boundary))
    if time is None:
        return math.inf
    wait = time + _BOUNDARY_DELAY_S - at
    if wait > 0:
        return wait
    return _RETRY_INTERVAL_S if -wait < _MAX_RETRY_TIME_S else math.inf


def attack_orders(war: Json) -> set[int]:
    """Return the orders of all attacks of a war; an order is unique within one war, across both sides."""
    return {attack["order"] for _, attack in _iterate_attacks(war)}


def attack_metadata(war: Json, *, own: Json) -> Iterator[Json]:
    """Yield the metadata of each attack of a war, in the order of the attacks.

    ``own`` is the watched clan's side: ``side`` is ``clan`` for its attacks, ``opponent`` for attacks on it.
    ``new_stars`` is the number of stars that the attack adds to its side's score: each base counts with the best
    attack on it.
    """
    members = {
        member["tag"]: member for side in ("clan", "opponent") for member in (war.get(side) or {}).get("members") or []
    }
    own_tags = {member["tag"] for member in own.get("members") or []}
    best: dict[str, int] = {}
    for attacker, attack in sorted(_iterate_attacks(war), key=lambda pair: pair[1]["order"]):
        defender_tag, stars = attack["defenderTag"], attack.get("stars")
        defender = members.get(defender_tag, {})
        before = best.get(defender_tag, 0)
        best[defender_tag] = max(before, stars or 0)
        yield {
            "attacker_tag": attacker["tag"],
            "attacker_name": attacker.get("name"),
            "attacker_position": attacker.get("mapPosition"),
            "attacker_town_hall": attacker.get("townhallLevel"),
            "defender_tag": defender_tag,
            "defender_name": defender.get("name"),
            "defender_position": defender.get("mapPosition"),
            "defender_town_hall": defender.get("townhallLevel"),
            "stars": stars,
            "new_stars": None if stars is None else best[defender_tag] - before,
            "destruction": attack.get("destructionPercentage"),
            "order": attack["order"],
            "duration": attack.get("duration"),
            "side": "clan" if attacker["tag"] in own_tags else "opponent",
        }


def _iterate_attacks(war: Json) -> Iterator[tuple[Json, Json]]:
    for side in ("clan", "opponent"):
        for member in (war.get(side) or {}).get("members") or []:
            for attack in member.get("attacks") or []:
                yield member, attack
