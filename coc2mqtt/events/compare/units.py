"""What a player can upgrade, and what sort of thing it is. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

# The player's lists of things with levels.
UNIT_FIELDS = ("troops", "spells", "heroes", "heroEquipment")

_CATEGORIES = {"spells": "spell", "heroes": "hero", "heroEquipment": "equipment"}
# The API lists both among the troops and says no more of them than their names: recorded answers, to March 2026. One
# that is new to the game counts as a troop until it is named here.
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


def unit_key(unit: Json) -> tuple[str, str | None]:
    """Return what tells a unit from every other of its list: there is a Baby Dragon in each village."""
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


def highest_units(old: list[Json], new: list[Json]) -> list[Json]:
    """Return the units of ``new``, then those that only ``old`` has, each at the highest level that was seen.

    A level that fell or a unit that vanished is stale data or a seasonal troop's end, and its coming back is no
    upgrade. What else is said of a unit is the newest; what a hero wears is kept where nothing is said of it.
    """
    best = {unit_key(unit): unit for unit in old}
    units = [_highest(best.pop(unit_key(unit), None), unit) for unit in new]
    return [*units, *best.values()]


def _highest(known: Json | None, unit: Json) -> Json:
    if known is None:
        return unit
    kept = {"level": known["level"]} if (known.get("level") or 0) > (unit.get("level") or 0) else {}
    if known.get("equipment") is not None and unit.get("equipment") is None:
        kept["equipment"] = known["equipment"]
    return {**unit, **kept} if kept else unit
