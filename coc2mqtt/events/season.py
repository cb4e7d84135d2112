"""The end of a season: every member's donations begin again at nothing. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DONATIONS = ("donations", "donationsReceived")
# One figure that falls is somebody who left and came back unseen.
_FEWEST = 2


def season_reset(old_members: list[Json], new_members: list[Json]) -> Json | None:
    """Return what the season that ended between two member lists was, None where none did.

    A season has ended where the donations of most of those who had any, and of two at least, are less than before.
    The result says how many were reset, the season's sums, and who had donated most.
    """
    after = {member["tag"]: member for member in new_members}
    active = [old for old in old_members if old["tag"] in after and any(_amount(old, field) for field in DONATIONS)]
    reset = [
        old for old in active if any(_amount(after[old["tag"]], field) < _amount(old, field) for field in DONATIONS)
    ]
    if len(reset) < _FEWEST or 2 * len(reset) <= len(active):
        return None
    first = max(active, key=lambda member: _amount(member, "donations"))
    return {
        "members": len(reset),
        "season_donations": sum(_amount(old, "donations") for old in active),
        "season_donations_received": sum(_amount(old, "donationsReceived") for old in active),
        "top_donor_tag": first["tag"],
        "top_donor_name": first.get("name"),
        "top_donations": _amount(first, "donations"),
    }


def _amount(member: Json, field: str) -> int:
    return int(member.get(field) or 0)
