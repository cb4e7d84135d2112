"""Validate the response about a clan's raid weekends and remove malformed fields, like ``validate``."""

from __future__ import annotations

from typing import Any

from coc2mqtt.clash.errors import InvalidResponseError
from coc2mqtt.clash.response import parse_unix_time
from coc2mqtt.events.compare.validate import MalformedField, Shape, remove_huge_numbers

Json = dict[str, Any]

# A later weekend replaces the present one for good, so its start must be plausible, even if the wall clock is behind.
_MAX_AHEAD_S = 366 * 86_400.0

_INT, _TEXT, _LIST, _OBJECT, _NUMBER = (int,), (str,), (list,), (dict,), (int, float)

_CLAN = Shape({}, {**dict.fromkeys(("tag", "name"), _TEXT), "level": _INT})
_ATTACKER = Shape({}, dict.fromkeys(("tag", "name"), _TEXT))
_ATTACK = Shape({}, {"attacker": _OBJECT, "destructionPercent": _NUMBER, "stars": _INT}, nested={"attacker": _ATTACKER})
_DISTRICT = Shape(
    dict.fromkeys(("id", "attackCount", "totalLooted"), _INT),
    {"name": _TEXT, "districtHallLevel": _INT, "destructionPercent": _NUMBER, "stars": _INT, "attacks": _LIST},
    required=("id",),
    nested={"attacks": _ATTACK},
)
_RAID = Shape(
    {},
    {
        **dict.fromkeys(("attacker", "defender"), _OBJECT),
        **dict.fromkeys(("attackCount", "districtCount", "districtsDestroyed"), _INT),
        "districts": _LIST,
    },
    nested={"attacker": _CLAN, "defender": _CLAN, "districts": _DISTRICT},
)
_MEMBER = Shape(
    {
        **dict.fromkeys(("tag", "name"), _TEXT),
        **dict.fromkeys(("attacks", "attackLimit", "bonusAttackLimit", "capitalResourcesLooted"), _INT),
    },
    required=("tag",),
)
_SEASON = Shape(
    dict.fromkeys(("state", "startTime"), _TEXT),
    {
        "endTime": _TEXT,
        **dict.fromkeys(("capitalTotalLoot", "raidsCompleted", "totalAttacks", "enemyDistrictsDestroyed"), _INT),
        **dict.fromkeys(("offensiveReward", "defensiveReward"), _INT),
        **dict.fromkeys(("members", "attackLog", "defenseLog"), _LIST),
    },
    nested={"members": _MEMBER, "attackLog": _RAID, "defenseLog": _RAID},
)


def validate_raid_seasons(data: Json, *, at: float) -> list[MalformedField]:
    """Remove and return the malformed fields of a clan's raid weekends; ``at`` is the Unix time in seconds.

    Raids and attacks are identified by their position, so a malformed one is replaced with an empty object. Raises
    InvalidResponseError if the response has no list of weekends, or if a weekend has no state or no possible start.
    """
    items = data.get("items")
    _require(type(items) is list, "the response is not a list of raid weekends")
    found: list[MalformedField] = []
    for season in data["items"]:
        remove_huge_numbers(season, "items.", found)
        _fill_gaps(season, "items.", found)
        valid = _SEASON.remove_malformed(season, "items.", found)
        for key in ("state", "startTime"):
            _require(valid and type(season.get(key)) is str, f"the raid weekend has no {key}")
        start = parse_unix_time(season["startTime"])
        _require(start is not None and start < at + _MAX_AHEAD_S, "the raid weekend has an invalid startTime")
    return found


def _fill_gaps(season: Any, path: str, found: list[MalformedField]) -> None:
    """Replace the entries of logs and of lists of attacks that are not objects."""
    for log in ("attackLog", "defenseLog"):
        for raid in _objects(season, log, path, found):
            districts = raid.get("districts")
            for district in districts if type(districts) is list else ():
                if type(district) is dict:
                    _objects(district, "attacks", f"{path}{log}.districts.", found)


def _objects(holder: Any, field: str, path: str, found: list[MalformedField]) -> list[Json]:
    """Return the entries of a list, after each that is not an object was replaced; empty if it is not a list."""
    entries = holder.get(field) if type(holder) is dict else None
    if type(entries) is not list:
        return []
    if {*map(type, entries)} <= {dict}:
        return entries
    found += [MalformedField(f"{path}{field}", entry) for entry in entries if type(entry) is not dict]
    holder[field] = [entry if type(entry) is dict else {} for entry in entries]
    return holder[field]  # type: ignore[no-any-return]  # they are objects now


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidResponseError(f"{problem}: the response is ignored")
