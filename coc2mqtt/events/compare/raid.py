"""A raid weekend: its raids, districts, attacks, members and medals. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import parse_unix_time

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

ENDED = "ended"
ATTACKS_PER_MEMBER = 5
# A member who destroys a district gets a sixth attack.
MAX_ATTACKS_PER_MEMBER = 6

_COMPLETE = 100
_CAPITAL_PEAK_ID = 70_000_000
# The medals for a destroyed district by the level of its hall; the capital peak has its own. Reproduces the reward of
# all 26 recorded weekends.
_DISTRICT_MEDALS = {1: 135, 2: 225, 3: 350, 4: 405, 5: 460}
_PEAK_MEDALS = {2: 180, 3: 360, 4: 585, 5: 810, 6: 1115, 7: 1240, 8: 1260, 9: 1375, 10: 1450}


def latest_season(data: Json) -> Json | None:
    """Return the latest raid weekend of a validated response, None if the clan has none.

    It is last week's until the clan starts to raid.
    """
    items = data.get("items")
    return items[0] if items else None


def find_season(data: Json, start: str) -> Json | None:
    """Return the weekend of a validated response that started at ``start``, None if there is none."""
    return next((season for season in data["items"] if season["startTime"] == start), None)


def start_of(season: Json) -> float:
    """Return the start of a validated weekend as Unix time in seconds."""
    return parse_unix_time(season.get("startTime")) or 0.0


def own_raids(season: Json) -> list[Json]:
    """Return the clan's raids on other clans, the oldest first; the same clan may occur twice."""
    return season.get("attackLog") or []


def raids_on_us(season: Json) -> list[Json]:
    """Return the raids on the clan, the oldest first."""
    return season.get("defenseLog") or []


def districts(raid: Json) -> list[Json]:
    """Return the districts of a raided clan."""
    return list({district["id"]: district for district in raid.get("districts") or []}.values())


def attacks(district: Json) -> list[Json]:
    """Return the attacks on a district, the oldest first; the API has the newest first."""
    return list(reversed(district.get("attacks") or []))


def attack_gains(district: Json) -> Iterator[tuple[float, float]]:
    """Yield the destruction after each attack, and what it added; the API's destruction is that of the district."""
    reached = [0, *(attack.get("destructionPercent") or 0 for attack in attacks(district))]
    for before, after in pairwise(reached):
        yield after, round(max(0, after - before), 2)


def is_destroyed(district: Json) -> bool:
    """Return whether a district is destroyed; its ``stars`` may be 0 nevertheless."""
    reached = [district, *(district.get("attacks") or [])[:1]]
    return any((one.get("destructionPercent") or 0) >= _COMPLETE for one in reached)


def destroyed_districts(raid: Json) -> int:
    """Return the number of destroyed districts of a raided clan."""
    return max(raid.get("districtsDestroyed") or 0, sum(map(is_destroyed, districts(raid))))


def district_count(raid: Json) -> int:
    """Return the number of districts of a raided clan."""
    return raid.get("districtCount") or len(districts(raid))


def is_completed(raid: Json) -> bool:
    """Return whether all districts of a raided clan are destroyed."""
    return destroyed_districts(raid) >= district_count(raid) > 0


def raids_completed(season: Json) -> int:
    """Return the number of clans that the clan destroyed; the API's number includes the raids on the clan."""
    return sum(map(is_completed, own_raids(season)))


def total_attacks(season: Json) -> int:
    """Return the number of the clan's attacks."""
    known = season.get("totalAttacks")
    return sum(raid.get("attackCount") or 0 for raid in own_raids(season)) if known is None else known


def total_districts(season: Json) -> int:
    """Return the number of districts that the clan destroyed."""
    known = season.get("enemyDistrictsDestroyed")
    return sum(map(destroyed_districts, own_raids(season))) if known is None else known


def attacks_left(member: Json) -> int:
    """Return the number of attacks a member has left; it increases when they destroy a district."""
    limit: int = member.get("attackLimit", ATTACKS_PER_MEMBER) + member.get("bonusAttackLimit", 0)
    used: int = member.get("attacks", 0)
    return max(0, limit - used)


def estimated_reward(season: Json) -> int | None:
    """Return the raid medals for each attack, estimated from the destroyed districts.

    None without an attack, or if the medals of a destroyed district are unknown.
    """
    count, medals = total_attacks(season), 0
    for raid in own_raids(season):
        for district in filter(is_destroyed, districts(raid)):
            table = _PEAK_MEDALS if district["id"] == _CAPITAL_PEAK_ID else _DISTRICT_MEDALS
            reward = table.get(district.get("districtHallLevel", 0))
            if reward is None:
                return None
            medals += reward
    return math.ceil(medals / count) if count > 0 else None


def rewards(season: Json) -> tuple[int | None, int | None, int | None]:
    """Return the offensive and the defensive reward, and the medals of a member with six attacks.

    They are None while the API does not show them: they are 0 until some time after the end.
    """
    offensive, defensive = season.get("offensiveReward"), season.get("defensiveReward")
    if not offensive and not defensive and total_attacks(season) > 0:
        return None, None, None
    if offensive is None or defensive is None:
        return offensive, defensive, None
    return offensive, defensive, MAX_ATTACKS_PER_MEMBER * offensive + defensive
