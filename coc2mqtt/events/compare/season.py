"""The end of a season: every member's donations begin again at nothing. Pure: no clock, no I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from coc2mqtt.events.compare.diff import any_decreased

Json = dict[str, Any]

DONATIONS = ("donations", "donationsReceived")
# Seasons end every 28 days, counted from this one on (Unix time in seconds).
_REFERENCE_END = datetime(2025, 10, 6, 5, 0, tzinfo=UTC).timestamp()
_SEASON_LENGTH_S = 28 * 86_400.0
# So long (seconds) after it the API surely shows it.
_MAX_DISPLAY_DELAY_S = 3600.0
# More (seconds) is no absence but a wall clock that was wrong.
_MAX_ABSENCE_S = 365 * 86_400.0
# One figure that falls is somebody who left and came back unseen.
_MIN_DECREASED_MEMBERS = 2


def season_ended_between(since: float, until: float) -> bool:
    """Tell whether the API shows the end of a season at ``until`` that it did not show at ``since`` (Unix times)."""
    if until - since > _MAX_ABSENCE_S:
        return False
    return (until - _MAX_DISPLAY_DELAY_S - _REFERENCE_END) // _SEASON_LENGTH_S > (
        since - _REFERENCE_END
    ) // _SEASON_LENGTH_S


def detect_season_reset(old_members: list[Json], new_members: list[Json], *, ended: bool = False) -> Json | None:
    """Return what the season that ended between two member lists was, None where none did.

    Where it is not known that one has ``ended``, it has if the donations of most of those who had any, and of two at
    least, are less than before, and all together less than half: an older answer shows a little less. The result says
    how many had any, the season's sums, and who had donated most.
    """
    after = {member["tag"]: member for member in new_members}
    # Cheap, and nearly always the end of it: what follows adds up everybody's figures.
    if not ended and len(_with_decreased_donations(old_members, after)) < _MIN_DECREASED_MEMBERS:
        return None
    active = [old for old in old_members if old["tag"] in after and _total_donations(old)]
    if not active or not (ended or _is_reset(active, after)):
        return None
    first = max(active, key=lambda member: _amount(member, "donations"))
    return {
        "members": len(active),
        "season_donations": sum(_amount(old, "donations") for old in active),
        "season_donations_received": sum(_amount(old, "donationsReceived") for old in active),
        "top_donor_tag": first["tag"],
        "top_donor_name": first.get("name"),
        "top_donations": _amount(first, "donations"),
    }


def tags_with_decreased_donations(old_members: list[Json], new_members: list[Json]) -> list[str]:
    """Return the tags of the members of both lists whose donations are less than before."""
    return [
        old["tag"] for old in _with_decreased_donations(old_members, {member["tag"]: member for member in new_members})
    ]


def _is_reset(active: list[Json], after: dict[str, Json]) -> bool:
    fallen = len(_with_decreased_donations(active, after))
    before, now = sum(map(_total_donations, active)), sum(_total_donations(after[old["tag"]]) for old in active)
    return fallen >= _MIN_DECREASED_MEMBERS and 2 * fallen > len(active) and 2 * now < before


def _with_decreased_donations(members: list[Json], after: dict[str, Json]) -> list[Json]:
    return [old for old in members if (new := after.get(old["tag"])) is not None and any_decreased(old, new, DONATIONS)]


def _total_donations(member: Json) -> int:
    return sum(_amount(member, field) for field in DONATIONS)


def _amount(member: Json, field: str) -> int:
    return int(member.get(field) or 0)
