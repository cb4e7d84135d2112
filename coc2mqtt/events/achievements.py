"""A player's achievements: which were completed. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

_ALL_STARS = 3


def highest_achievements(old: list[Json], new: list[Json]) -> list[Json]:
    """Return the achievements of ``new``, each with the most stars that were seen: none is ever lost again."""
    known = {achievement_key(one): one for one in old}
    return [
        known[achievement_key(one)] if _stars(known.get(achievement_key(one), {})) > _stars(one) else one for one in new
    ]


def completed_achievements(old: Json, new: Json) -> Iterator[tuple[Json, Json]]:
    """Yield (before, after) for each achievement of a player that has got its last star between two answers."""
    known = {achievement_key(one): one for one in old.get("achievements") or []}
    for one in new.get("achievements") or []:
        before = known.get(achievement_key(one))
        if before is not None and _stars(before) < _ALL_STARS <= _stars(one):
            yield before, one


def without_completed(player: Json, other: Json) -> Json:
    """Return a player without the achievements that one of two answers shows completed and the other does not."""
    if player.get("achievements") == other.get("achievements"):
        return player
    done = {
        achievement_key(one) for pair in ((player, other), (other, player)) for _, one in completed_achievements(*pair)
    }
    if not done:
        return player
    return {**player, "achievements": [one for one in player["achievements"] if achievement_key(one) not in done]}


def achievement_key(achievement: Json) -> tuple[Any, ...]:
    """Return what tells an achievement from every other: one name occurs twice in the same village."""
    return achievement["name"], achievement.get("village"), achievement.get("info")


def _stars(achievement: Json) -> int:
    return int(achievement.get("stars") or 0)
