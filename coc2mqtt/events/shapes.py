"""Whether an answer is what its endpoint gives: checked once, so that the comparing can rely on it.

Only what the comparing leans on is checked. Unknown fields and unknown values of enumerations pass: the API grows.
"""

from __future__ import annotations

from typing import Any

from coc2mqtt.clash.errors import BadAnswerError

Json = dict[str, Any]


def check_clan(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is the clan with this tag."""
    _check_tag(data, tag, "clan")
    _check(isinstance(data.get("members", 0), int), "the clan's number of members is no number")
    _check_items(data, "memberList", "tag")


def check_player(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is the player with this tag."""
    _check_tag(data, tag, "player")
    for field in ("troops", "spells", "heroes", "heroEquipment", "labels"):
        _check_items(data, field, "name")
    for field in ("townHallLevel", "builderHallLevel"):
        _check(isinstance(data.get(field, 0), int | None), f"the player's {field} is no number")


def check_war(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is a war of the clan with this tag, or says that there is none."""
    _check(isinstance(data.get("state"), str), "the war has no state")
    sides = [data.get("clan"), data.get("opponent")]
    if "preparationStartTime" not in data:
        _check(data["state"] == "notInWar", "the war has no start")
        return
    _check(isinstance(data["preparationStartTime"], str), "the war's start is no time")
    tags = []
    for side in sides:
        _check(isinstance(side, dict) and isinstance(side.get("tag"), str), "the war lacks a side")
        tags.append(side["tag"])  # type: ignore[index]  # a dict, as just checked
        _check_side(side)  # type: ignore[arg-type]  # the same
    _check(tag in tags, "the war is another clan's")


def _check_side(side: Json) -> None:
    _check_items(side, "members", "tag")
    for member in side.get("members") or []:
        _check_items(member, "attacks", "defenderTag")
        for attack in member.get("attacks") or []:
            _check(isinstance(attack.get("order"), int), "an attack has no order")
            _check(isinstance(attack.get("stars", 0), int), "an attack's stars are no number")


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
