"""A player's achievements: which were completed. Pure: no clock, no I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
Key = tuple[str, str | None, str | None]

_ALL_STARS = 3


def highest_achievements(old: list[Json], new: list[Json]) -> list[Json]:
    """Return the achievements of ``new``, then those that only ``old`` has, each with the most stars that were seen."""
    known, shown = _keyed(old, new)
    best = [known[key] if key in known and _stars(known[key]) > _stars(one) else one for key, one in shown.items()]
    return [*best, *(one for key, one in known.items() if key not in shown)]


def completed_achievements(old: list[Json], new: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield (before, after) for each achievement that has got its last star between two answers."""
    known, shown = _keyed(old, new)
    for key, one in shown.items():
        if key in known and _stars(known[key]) < _ALL_STARS <= _stars(one):
            yield known[key], one


def without_completed(achievements: list[Json], old: list[Json], new: list[Json]) -> list[Json]:
    """Return one of two lists of achievements without those that were completed between them."""
    done = [one for pair in completed_achievements(old, new) for one in pair]
    return [one for one in achievements if one not in done] if done else achievements


def with_shared_fields(old: list[Json], new: list[Json]) -> tuple[list[Json], list[Json]]:
    """Return both lists without the fields of an achievement that it lacks in the other: that says nothing of it."""
    known, shown = _keyed(old, new)
    return _shared(old, known, shown), _shared(new, shown, known)


def _shared(side: list[Json], own: dict[Key, Json], other: dict[Key, Json]) -> list[Json]:
    counterparts = {id(one): other.get(key) for key, one in own.items()}
    return [
        one
        if (counterpart := counterparts.get(id(one))) is None
        else {field: value for field, value in one.items() if value is not None and counterpart.get(field) is not None}
        for one in side
    ]


def _keyed(old: list[Json], new: list[Json]) -> tuple[dict[Key, Json], dict[Key, Json]]:
    """Return both lists by what tells their achievements from one another.

    That is the name and the village, and where one name occurs twice in a village its text: it is no part of the key
    elsewhere, because it names the next goal and changes with every star.
    """
    twice = {name for side in (old, new) for name, times in Counter(map(_named, side)).items() if times > 1}

    def key(one: Json) -> Key:
        return (*_named(one), one.get("info") if _named(one) in twice else None)

    return {key(one): one for one in old}, {key(one): one for one in new}


def _named(achievement: Json) -> tuple[str, str | None]:
    return achievement["name"], achievement.get("village")


def _stars(achievement: Json) -> int:
    return int(achievement.get("stars") or 0)
