"""The attacks of a war, each told in full. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]


def attack_orders(war: Json) -> set[int]:
    """Return the orders of all attacks of a war; an order is unique within one war, over both sides."""
    return {attack["order"] for _, attack in _attacks(war)}


def describe_attacks(war: Json, *, own: Json) -> Iterator[Json]:
    """Yield what is to be said of each attack of a war, in the order of the attacks.

    ``own`` is the watched clan's side: ``side`` is ``clan`` for its attacks, ``opponent`` for those on it.
    ``new_stars`` is how many stars the attack adds to its side's score: a base counts with the best attack on it.
    """
    members = {
        member["tag"]: member for side in ("clan", "opponent") for member in (war.get(side) or {}).get("members") or []
    }
    own_tags = {member["tag"] for member in own.get("members") or []}
    best: dict[str, int] = {}
    for attacker, attack in sorted(_attacks(war), key=lambda pair: pair[1]["order"]):
        defender_tag, stars = attack["defenderTag"], attack.get("stars")
        defender = members.get(defender_tag, {})
        before = best.get(defender_tag, 0)
        best[defender_tag] = max(before, stars or 0)
        yield {
            "attacker_tag": attacker["tag"],
            "attacker_name": attacker.get("name"),
            "attacker_position": attacker.get("mapPosition"),
            "attacker_town_hall": attacker.get("townhallLevel"),
            "defender_tag": defender_tag,
            "defender_name": defender.get("name"),
            "defender_position": defender.get("mapPosition"),
            "defender_town_hall": defender.get("townhallLevel"),
            "stars": stars,
            "new_stars": None if stars is None else best[defender_tag] - before,
            "destruction": attack.get("destructionPercentage"),
            "order": attack["order"],
            "duration": attack.get("duration"),
            "side": "clan" if attacker["tag"] in own_tags else "opponent",
        }


def _attacks(war: Json) -> Iterator[tuple[Json, Json]]:
    for side in ("clan", "opponent"):
        for member in (war.get(side) or {}).get("members") or []:
            for attack in member.get("attacks") or []:
                yield member, attack
