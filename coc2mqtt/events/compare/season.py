"""Detect the end of a season, which resets every member's donations. Pure: no clock, no I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from coc2mqtt.events.compare.diff import any_decreased

Json = dict[str, Any]

DONATIONS = ("donations", "donationsReceived")
# Seasons end every 28 days, counted from this end (Unix time in seconds).
_REFERENCE_END = datetime(2025, 10, 6, 5, 0, tzinfo=UTC).timestamp()
_SEASON_LENGTH_S = 28 * 86_400.0
# The API shows the end of a season after this time at the latest.
_MAX_DISPLAY_DELAY_S = 3600.0
# A longer absence means that the wall clock was wrong.
_MAX_ABSENCE_S = 365 * 86_400.0
# A single member whose donations decreased has left and rejoined unobserved.
_MIN_DECREASED_MEMBERS = 2


def season_ended_between(since: float, until: float) -> bool:
    """Return whether the API shows a season's end at ``until`` that it did not show at ``since`` (Unix times)."""
    if until - since > _MAX_ABSENCE_S:
        return False
    ends_until, ends_since = (
        (time - _REFERENCE_END) // _SEASON_LENGTH_S for time in (until - _MAX_DISPLAY_DELAY_S, since)
    )
    return ends_until > ends_since


def detect_season_reset(old_members: list[Json], new_members: list[Json], *, ended: bool = False) -> Json | None:
    """Return the metadata of the season that ended between two member lists, None if none did.

    Unless a season is known to have ``ended``, all of these must be true, because a stale response shows slightly lower
    donations too:

    - The donations of most members who had any decreased.
    - The donations of at least two members decreased.
    - The sum of all donations is less than half of the previous sum.

    The metadata holds the number of members who had any donations, the season's sums, and the top donor.
    """
    after = {member["tag"]: member for member in new_members}
    # This cheap check settles nearly every comparison; the code below sums up all members' donations.
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
    """Return the tags of the members in both lists whose donations decreased."""
    after = {member["tag"]: member for member in new_members}
    return [old["tag"] for old in _with_decreased_donations(old_members, after)]


def _is_reset(active: list[Json], after: dict[str, Json]) -> bool:
    decreased = len(_with_decreased_donations(active, after))
    before = sum(_total_donations(old) for old in active)
    now = sum(_total_donations(after[old["tag"]]) for old in active)
    return decreased >= _MIN_DECREASED_MEMBERS and 2 * decreased > len(active) and 2 * now < before


def _with_decreased_donations(members: list[Json], after: dict[str, Json]) -> list[Json]:
    return [old for old in members if (new := after.get(old["tag"])) is not None and any_decreased(old, new, DONATIONS)]


def _total_donations(member: Json) -> int:
    return sum(_amount(member, field) for field in DONATIONS)


def _amount(member: Json, field: str) -> int:
    return int(member.get(field) or 0)
