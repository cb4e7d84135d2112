"""The units and achievements of a player. Pure: no clock, no I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
_AchievementKey = tuple[str, str | None, str | None]

# The player's lists of items with levels.
UNIT_FIELDS = ("troops", "spells", "heroes", "heroEquipment")

_CATEGORIES = {"spells": "spell", "heroes": "hero", "heroEquipment": "equipment"}
# The API lists siege machines and pets among the troops and distinguishes them by name only. Source: recorded
# responses up to March 2026. A unit that is new to the game counts as a troop until it is added here.
_SIEGE_MACHINES = frozenset(
    {
        *("Wall Wrecker", "Battle Blimp", "Stone Slammer", "Siege Barracks", "Log Launcher", "Flame Flinger"),
        *("Battle Drill", "Troop Launcher"),
    }
)
_PETS = frozenset(
    {
        *("L.A.S.S.I", "Electro Owl", "Mighty Yak", "Unicorn", "Frosty", "Diggy", "Poison Lizard", "Phoenix"),
        *("Spirit Fox", "Angry Jelly", "Sneezy"),
    }
)
_MAX_STARS = 3


def unit_key(unit: Json) -> tuple[str, str | None]:
    """Return the key that identifies a unit in its list: its name alone does not, each village has a Baby Dragon."""
    return unit["name"], unit.get("village")


def unit_category(field: str, unit: Json) -> str:
    """Return troop, siege_machine, pet, builder_base_unit, spell, hero or equipment; ``field`` is the unit's list."""
    if field in _CATEGORIES:
        return _CATEGORIES[field]
    if unit.get("village") == "builderBase":
        return "builder_base_unit"
    if unit["name"] in _SIEGE_MACHINES:
        return "siege_machine"
    return "pet" if unit["name"] in _PETS else "troop"


def merge_highest_units(old: list[Json], new: list[Json]) -> list[Json]:
    """Return the units of ``new``, then those only in ``old``, each with the highest level ever seen.

    A lower level or a missing unit comes from a stale response or the end of a seasonal troop, so its return is not an
    upgrade. All other fields are those of ``new``; a hero's equipment is kept if ``new`` has none.
    """
    best = {unit_key(unit): unit for unit in old}
    units = [_highest_unit(best.pop(unit_key(unit), None), unit) for unit in new]
    return [*units, *best.values()]


def _highest_unit(known: Json | None, unit: Json) -> Json:
    if known is None:
        return unit
    kept = {"level": known["level"]} if (known.get("level") or 0) > (unit.get("level") or 0) else {}
    if known.get("equipment") is not None and unit.get("equipment") is None:
        kept["equipment"] = known["equipment"]
    return {**unit, **kept} if kept else unit


def merge_highest_achievements(old: list[Json], new: list[Json]) -> list[Json]:
    """Return the achievements of ``new``, then those only in ``old``, each from the list where it has more stars."""
    before, after = _by_key(old, new)
    best = [before[key] if key in before and _stars(before[key]) > _stars(one) else one for key, one in after.items()]
    return [*best, *(one for key, one in before.items() if key not in after)]


def completed_achievements(old: list[Json], new: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield (old, new) for each achievement that reached its last star."""
    before, after = _by_key(old, new)
    for key, one in after.items():
        if key in before and _stars(before[key]) < _MAX_STARS <= _stars(one):
            yield before[key], one


def without_completed(achievements: list[Json], old: list[Json], new: list[Json]) -> list[Json]:
    """Return ``achievements``, which is one of the two lists, without those that were completed between the lists."""
    completed = [one for pair in completed_achievements(old, new) for one in pair]
    return [one for one in achievements if one not in completed] if completed else achievements


def keep_shared_fields(old: list[Json], new: list[Json]) -> tuple[list[Json], list[Json]]:
    """Return both lists with only the fields that an achievement has in both, so that a missing field is ignored."""
    before, after = _by_key(old, new)
    return _fields_of_both(old, before, after), _fields_of_both(new, after, before)


def _fields_of_both(
    achievements: list[Json], own: dict[_AchievementKey, Json], other: dict[_AchievementKey, Json]
) -> list[Json]:
    counterparts = {id(one): other.get(key) for key, one in own.items()}
    return [
        one
        if (counterpart := counterparts.get(id(one))) is None
        else {field: value for field, value in one.items() if value is not None and counterpart.get(field) is not None}
        for one in achievements
    ]


def _by_key(old: list[Json], new: list[Json]) -> tuple[dict[_AchievementKey, Json], dict[_AchievementKey, Json]]:
    """Return both lists by the keys that identify their achievements.

    The key is the name and the village, and also the info text if a name occurs twice in a village. Elsewhere the text
    is not part of the key, because it describes the next goal and changes with every star.
    """
    ambiguous = {
        name for side in (old, new) for name, count in Counter(map(_name_and_village, side)).items() if count > 1
    }

    def key(one: Json) -> _AchievementKey:
        return (*_name_and_village(one), one.get("info") if _name_and_village(one) in ambiguous else None)

    return {key(one): one for one in old}, {key(one): one for one in new}


def _name_and_village(achievement: Json) -> tuple[str, str | None]:
    return achievement["name"], achievement.get("village")


def _stars(achievement: Json) -> int:
    return int(achievement.get("stars") or 0)


def align_entries(old: list[Json], new: list[Json], *, identity: tuple[str, ...]) -> tuple[list[Json], list[Json]]:
    """Return both lists with missing ``identity`` fields filled in from the matching entry of the other list.

    Every entry has a name. An entry of ``new`` is dropped if the old list has entries of its name and it cannot be
    matched to exactly one of them.
    """
    if all(field in entry for side in (old, new) for entry in side for field in identity):
        return old, new
    new = [entry for entry, unambiguous in _complete_identities(new, old, identity) if unambiguous]
    return [entry for entry, _ in _complete_identities(old, new, identity)], new


def _complete_identities(
    entries: list[Json], others: list[Json], identity: tuple[str, ...]
) -> Iterator[tuple[Json, bool]]:
    """Yield each entry with its identity completed from the other list, and whether it is unambiguous."""
    complete = {_identity_key(entry, identity) for entry in entries if all(field in entry for field in identity)}
    incomplete = Counter(entry["name"] for entry in entries if any(field not in entry for field in identity))
    by_name: dict[str, list[Json]] = {}
    for other in others:
        by_name.setdefault(other["name"], []).append(other)
    for entry in entries:
        missing = [field for field in identity if field not in entry]
        same_name = by_name.get(entry["name"], [])
        if not missing or not same_name:
            yield entry, True
            continue
        given = [field for field in identity if field in entry]
        matches = [
            other
            for other in same_name
            if all(other.get(field) == entry[field] for field in given)
            and _identity_key(other, identity) not in complete
        ]
        if len(matches) == incomplete[entry["name"]] == 1:
            yield {**entry, **{field: matches[0][field] for field in missing if field in matches[0]}}, True
        else:
            yield entry, False


def _identity_key(entry: Json, identity: tuple[str, ...]) -> tuple[Any, ...]:
    return entry["name"], *(entry.get(field) for field in identity)
