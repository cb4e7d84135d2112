"""The result of a raid weekend. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Any

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.raid import attacks_left, raids_completed, rewards, total_attacks, total_districts

Json = dict[str, Any]

_TOP_MEMBERS = 5


def raid_result(season: Json, *, roster: list[Json] | None, partial: bool) -> Json:
    """Return the metadata of ``raid_ended`` from the last response about a weekend.

    ``roster`` is the clan's member list at the end, None if it is unknown; ``partial`` is whether the end was not
    observed.
    """
    members = season.get("members")
    known = members or []
    left = sorted(filter(attacks_left, known), key=attacks_left, reverse=True)
    offensive, defensive, max_medals = rewards(season)
    return {
        "start_at": api_time(season["startTime"]),
        "end_at": api_time(season.get("endTime")),
        "attacks": total_attacks(season),
        "loot": season.get("capitalTotalLoot"),
        "districts_destroyed": total_districts(season),
        "raids_completed": raids_completed(season),
        "offensive_reward": offensive,
        "defensive_reward": defensive,
        "max_medals": max_medals,
        "members": sum(member.get("attacks", 0) > 0 for member in known),
        "attacks_left": None if members is None and total_attacks(season) else sum(map(attacks_left, known)),
        "members_attacks_left": [{**_member(member), "attacks_left": attacks_left(member)} for member in left],
        "members_not_started": None if roster is None else _not_started(known, roster),
        "top_members": [
            {**_member(member), "loot": _loot(member), "attacks": member.get("attacks", 0)}
            for member in sorted(known, key=_loot, reverse=True)[:_TOP_MEMBERS]
        ],
        "partial": partial,
    }


def _not_started(members: list[Json], roster: list[Json]) -> list[Json]:
    started = {member["tag"] for member in members}
    return [_member(one) for one in roster if one["tag"] not in started]


def _member(member: Json) -> Json:
    return {"tag": member["tag"], "name": member.get("name")}


def _loot(member: Json) -> int:
    loot: int = member.get("capitalResourcesLooted", 0)
    return loot
