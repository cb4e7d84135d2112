"""How a war ended, from whatever shows it. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Any, NamedTuple

from coc2mqtt.clash.times import parse_unix_time
from coc2mqtt.events.compare.war import attacks_per_member, war_sides

Json = dict[str, Any]

# How far (seconds) the end in the war log may lie from the one that was seen last: maintenances shift it.
_MAX_END_SHIFT_S = 86_400.0
_RESULTS = ("win", "lose", "tie")
_SCORE_FIELDS = ("stars", "destructionPercentage", "attacks")


class WarOutcome(NamedTuple):
    """What was found about a war whose end was not seen.

    It is its last answer, as the opponent's endpoint gives it, else its entry in the war log, else nothing. It was
    ``cancelled`` where it was gone before its battle began.
    """

    war: Json | None = None
    entry: Json | None = None
    cancelled: bool = False


def war_score(war: Json, tag: str) -> list[Any]:
    """Return what must be the same in two answers for the result to be final."""
    return [side.get(key) for side in war_sides(war, tag) for key in _SCORE_FIELDS]


def war_result(war: Json, tag: str, *, observed: bool, source: str = "war") -> Json:
    """Return what a ``war_ended`` says, from an answer about the war after its end.

    ``result`` is win, lose or tie, by stars, then by destruction, and unknown where a figure is missing.
    ``members_attacks_left`` names the clan's members who have attacks left over, those with the most first.
    """
    own, other = war_sides(war, tag)
    return _result_metadata(
        _result(own, other), own, other, observed=observed, source=source, left=_attacks_left(war, own)
    )


def score_result(score: list[Any]) -> Json:
    """Return what a ``war_ended`` says where nothing but the score of the end (``war_score``) is still known."""
    own, other = (dict(zip(_SCORE_FIELDS, side, strict=True)) for side in (score[:3], score[3:]))
    return _result_metadata(_result(own, other), own, other, observed=True, source="war")


def log_result(entry: Json, tag: str) -> Json:
    """Return what a ``war_ended`` says, from the war's entry in the clan's war log: it knows no members."""
    return _result_metadata(entry["result"], *war_sides(entry, tag), observed=False, source="war_log")


def unknown_result(war: Json, tag: str) -> Json:
    """Return what a ``war_ended`` says where nothing shows the end: the figures are those that were seen last."""
    return _result_metadata("unknown", *war_sides(war, tag), observed=False, source="last_seen")


def cancelled_result(war: Json, tag: str) -> Json:
    """Return what a ``war_ended`` says of a war whose battle never began; the figures are those seen last."""
    return _result_metadata("cancelled", *war_sides(war, tag), observed=True, source="last_seen")


def find_war_log_entry(log: Json, war: Json, tag: str) -> Json | None:
    """Return a war's entry in the clan's war log, None where it has none that says who won.

    An entry names the opponent and the end of a war, not its preparation. Wars of the clan war league have no result.
    """
    other, end = war_sides(war, tag)[1].get("tag"), parse_unix_time(war.get("endTime"))
    if other is None or end is None:
        return None
    fitting = [
        (abs(moment - end), entry)
        for entry in log["items"]
        if entry.get("result") in _RESULTS
        and all(isinstance(entry.get(side), dict) for side in ("clan", "opponent"))
        and entry["opponent"].get("tag") == other
        and (moment := parse_unix_time(entry.get("endTime"))) is not None
    ]
    distance, entry = min(fitting, key=lambda pair: pair[0], default=(_MAX_END_SHIFT_S, None))
    return entry if distance < _MAX_END_SHIFT_S else None


def _result(own: Json, other: Json) -> str:
    for field in ("stars", "destructionPercentage"):
        ours, theirs = own.get(field), other.get(field)
        if ours is None or theirs is None:
            return "unknown"
        if ours != theirs:
            return "win" if ours > theirs else "lose"
    return "tie"


def _result_metadata(
    result: str, own: Json, other: Json, *, observed: bool, source: str, left: list[Json] | None = None
) -> Json:
    return {
        "result": result,
        "observed": observed,
        "source": source,
        "stars": own.get("stars"),
        "opponent_stars": other.get("stars"),
        "destruction": own.get("destructionPercentage"),
        "opponent_destruction": other.get("destructionPercentage"),
        "attacks": own.get("attacks"),
        "opponent_attacks": other.get("attacks"),
        "attacks_left": None if left is None else sum(member["attacks_left"] for member in left),
        "members_attacks_left": left,
    }


def _attacks_left(war: Json, own: Json) -> list[Json]:
    each = attacks_per_member(war)
    members = sorted(own.get("members") or [], key=lambda member: (len(member.get("attacks") or []), member["tag"]))
    return [
        {"tag": member["tag"], "name": member.get("name"), "attacks_left": each - made}
        for member in members
        if (made := len(member.get("attacks") or [])) < each
    ]
