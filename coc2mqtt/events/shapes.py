"""Whether an answer is what its endpoint gives: checked once, so that the comparing can rely on it.

Only what the comparing leans on is checked. Unknown fields and unknown values of enumerations pass: the API grows.
"""

from __future__ import annotations

from typing import Any

from coc2mqtt.clash.errors import BadAnswerError

Json = dict[str, Any]

_AT_WAR = ("preparation", "inWar", "warEnded")


def check_clan(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is the clan with this tag."""
    _check_tag(data, tag, "clan")
    # Without it nobody could tell a whole member list from a cut one.
    _check(isinstance(data.get("members"), int), "the clan's number of members is missing")
    _check_items(data, "memberList", "tag")
    for member in data.get("memberList") or []:
        for field in ("donations", "donationsReceived"):
            _check(isinstance(member.get(field), int | None), f"a member's {field} is no number")


def check_player(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is the player with this tag."""
    _check_tag(data, tag, "player")
    for field in ("troops", "spells", "heroes", "heroEquipment", "labels"):
        _check_items(data, field, "name")
    for field in ("troops", "spells", "heroes", "heroEquipment"):
        for unit in data.get(field) or []:
            _check(isinstance(unit.get("level"), int | None), f"a level in {field} is no number")
            _check(isinstance(unit.get("village"), str | None), f"a village in {field} is no name")
    for field in ("townHallLevel", "builderHallLevel"):
        _check(isinstance(data.get(field, 0), int | None), f"the player's {field} is no number")


def check_war(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is a war of the clan with this tag, or says that there is none."""
    _check(isinstance(data.get("state"), str), "the war has no state")
    sides = [data.get(side, {}) for side in ("clan", "opponent")]
    for side in sides:
        _check(isinstance(side, dict), "a side of the war is no object")
        _check_side(side)
    if "preparationStartTime" not in data:
        _check(data["state"] not in _AT_WAR, "the war has no start")
        return
    _check(isinstance(data["preparationStartTime"], str), "the war's start is no time")
    _check(all(isinstance(side.get("tag"), str) for side in sides), "the war lacks a side")
    _check(tag in [side["tag"] for side in sides], "the war is another clan's")


def _check_side(side: Json) -> None:
    for field in ("stars", "destructionPercentage"):
        _check(isinstance(side.get(field), int | float | None), f"a side's {field} is no number")
    _check_items(side, "members", "tag")
    for member in side.get("members") or []:
        _check_items(member, "attacks", "defenderTag")
        for attack in member.get("attacks") or []:
            _check(isinstance(attack.get("order"), int), "an attack has no order")
            _check(isinstance(attack.get("stars"), int | None), "an attack's stars are no number")


def _check_tag(data: Json, tag: str, what: str) -> None:
    _check(isinstance(data.get("tag"), str), f"the answer is no {what}")
    _check(data["tag"] == tag, f"the answer is another {what}")


def _check_items(data: Json, field: str, key: str) -> None:
    items = data.get(field)
    if items is None:
        return
    _check(isinstance(items, list), f"{field} is no list")
    _check(
        all(isinstance(item, dict) and isinstance(item.get(key), str) for item in items),
        f"an entry of {field} has no {key}",
    )


def _check(good: bool, trouble: str) -> None:
    if not good:
        raise BadAnswerError(f"{trouble}: the answer is ignored")
