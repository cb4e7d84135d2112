"""The result of a war, from whichever source shows it. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Any, NamedTuple

from coc2mqtt.clash.response import parse_unix_time
from coc2mqtt.events.compare.war import attacks_per_member, war_sides

Json = dict[str, Any]

# Maintenances shift the end of a war: its end in the war log may differ this much from the last known one.
_MAX_END_SHIFT_S = 86_400.0
_RESULTS = ("win", "lose", "tie")
_SCORE_FIELDS = ("stars", "destructionPercentage", "attacks")
# The metadata of ``war_ended`` that is kept after the next war has started.
_KEPT_KEYS = (
    *("war_id", "opponent_tag", "opponent_name", "result"),
    *("stars", "opponent_stars", "destruction", "opponent_destruction"),
)


class WarOutcome(NamedTuple):
    """The outcome of a war whose end was not observed.

    It is the war's last response from the opponent's endpoint, or its entry in the war log, or neither. ``cancelled``
    means that the war disappeared before its battle started.
    """

    war: Json | None = None
    log_entry: Json | None = None
    cancelled: bool = False


def war_score(war: Json, tag: str) -> list[Any]:
    """Return the values that must be equal in two responses for the result to be final."""
    return [side.get(key) for side in war_sides(war, tag) for key in _SCORE_FIELDS]


def war_result(war: Json, tag: str, *, observed: bool, source: str = "war") -> Json:
    """Return the metadata of ``war_ended`` from a response about the war after its end.

    ``result`` is win, lose or tie, by stars, then by destruction, and unknown if a value is missing.
    ``members_attacks_left`` lists the clan's members with unused attacks, those with the most first.
    """
    own, other = war_sides(war, tag)
    left = _members_with_attacks_left(war, own)
    return _result_metadata(_result(own, other), own, other, observed=observed, source=source, left=left)


def score_result(score: list[Any]) -> Json:
    """Return the metadata of ``war_ended`` if only the final score (``war_score``) is known."""
    own, other = (dict(zip(_SCORE_FIELDS, side, strict=True)) for side in (score[:3], score[3:]))
    return _result_metadata(_result(own, other), own, other, observed=True, source="war")


def log_result(entry: Json, tag: str) -> Json:
    """Return the metadata of ``war_ended`` from the war's entry in the clan's war log, which has no members."""
    return _result_metadata(entry["result"], *war_sides(entry, tag), observed=False, source="war_log")


def unknown_result(war: Json, tag: str) -> Json:
    """Return the metadata of ``war_ended`` if no source shows the end, with the last known score."""
    return _result_metadata("unknown", *war_sides(war, tag), observed=False, source="last_seen")


def cancelled_result(war: Json, tag: str) -> Json:
    """Return the metadata of ``war_ended`` for a war whose battle never started, with the last known score."""
    return _result_metadata("cancelled", *war_sides(war, tag), observed=True, source="last_seen")


def ended_war(ended: Json, latest: Json, *, at: float) -> Json:
    """Return what is kept of an ended war: the result in the metadata of its ``war_ended``, its size, and its end.

    ``latest`` is the last response or the log entry about the war, ``at`` the Unix time of the event in seconds. A war
    that was cancelled has no end.
    """
    end = None if ended["result"] == "cancelled" else latest.get("endTime")
    kept = {key: ended[key] for key in _KEPT_KEYS}
    return {**kept, "team_size": latest.get("teamSize"), "end_time": end, "at": at}


def find_war_log_entry(log: Json, war: Json, tag: str) -> Json | None:
    """Return a war's entry in the clan's war log, None without an entry with a result.

    An entry has the opponent and the end of a war, but not its preparation. Clan war league wars have no result.
    """
    other, end = war_sides(war, tag)[1].get("tag"), parse_unix_time(war.get("endTime"))
    if other is None or end is None:
        return None
    matches = [
        (abs(entry_end - end), entry)
        for entry in log["items"]
        if entry.get("result") in _RESULTS
        and all(isinstance(entry.get(side), dict) for side in ("clan", "opponent"))
        and entry["opponent"].get("tag") == other
        and (entry_end := parse_unix_time(entry.get("endTime"))) is not None
    ]
    shift, entry = min(matches, key=lambda match: match[0], default=(_MAX_END_SHIFT_S, None))
    return entry if shift < _MAX_END_SHIFT_S else None


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


def _members_with_attacks_left(war: Json, own: Json) -> list[Json]:
    each = attacks_per_member(war)
    members = sorted(own.get("members") or [], key=lambda member: (len(member.get("attacks") or []), member["tag"]))
    return [
        {"tag": member["tag"], "name": member.get("name"), "attacks_left": each - used}
        for member in members
        if (used := len(member.get("attacks") or [])) < each
    ]
