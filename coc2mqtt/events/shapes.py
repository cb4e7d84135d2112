"""Whether an answer is what its endpoint gives: checked once, so that the comparing can rely on it.

Only what the comparing leans on is checked, and that the keys which no answer lacks are there: without them it is half
a body. Unknown fields and unknown values of enumerations pass: the API grows.
"""

from __future__ import annotations

from typing import Any

import orjson

from coc2mqtt.clash.errors import BadAnswerError

Json = dict[str, Any]

# Several times what the game has of anything: comparing must end, and each entry can be an event.
_MOST_ITEMS = 1000
_LARGEST_BODY = 512 * 1024  # a war of fifty against fifty has a fifth of it
_WRITTEN_AROUND = 10
_AT_WAR = ("preparation", "inWar", "warEnded")


def check_size(body: bytes) -> None:
    """Raise BadAnswerError where an answer is so long that comparing it would hold up everything else."""
    _check(len(body) <= _LARGEST_BODY, f"the answer is longer than {_LARGEST_BODY // 1024} kB")


def check_depth(data: Json) -> None:
    """Raise BadAnswerError where ``data`` is nested too deeply to be written down again with all that goes with it."""
    # orjson reads four times as deep as it writes; what is written around an answer needs some of that as well.
    wrapped: Any = data
    for _ in range(_WRITTEN_AROUND):
        wrapped = [wrapped]
    try:
        orjson.dumps(wrapped)
    except TypeError as error:
        raise BadAnswerError("the answer is nested too deeply: it is ignored") from error


def check_clan(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is the clan with this tag."""
    _check_tag(data, tag, "clan")
    _check(isinstance(data.get("name"), str), "the clan has no name")
    _check(_is_number(data.get("clanLevel")), "the clan has no level")
    # Without it nobody could tell a whole member list from a cut one.
    _check(_is_number(data.get("members")), "the clan's number of members is missing")
    _check_items(data, "memberList", "tag")
    for member in data.get("memberList") or []:
        # By type alone, because bool is an int to isinstance; and no helper, because this is done 100 times a poll.
        if type(member.get("donations", 0)) is not int or type(member.get("donationsReceived", 0)) is not int:
            raise BadAnswerError("a member's donations are no number: the answer is ignored")


def check_player(data: Json, tag: str) -> None:
    """Raise BadAnswerError unless ``data`` is the player with this tag."""
    _check_tag(data, tag, "player")
    _check(isinstance(data.get("name"), str), "the player has no name")
    _check(_is_number(data.get("townHallLevel")), "the player has no town hall")
    _check(_is_number(data.get("trophies")), "the player has no trophies")
    _check(isinstance(data.get("troops"), list), "the player has no troops")
    for field in ("builderHallLevel", "townHallWeaponLevel"):
        _check(_is_number(data.get(field, 0)), f"the player's {field} is no number")
    _check_items(data, "labels", "name")
    for field in ("troops", "spells", "heroes", "heroEquipment"):
        _check_items(data, field, "name")
        for unit in data.get(field) or []:
            _check(_is_number(unit.get("level", 0)), f"a level in {field} is no number")
            _check(isinstance(unit.get("village"), str | None), f"a village in {field} is no name")
    for hero in data.get("heroes") or []:
        _check_items(hero, "equipment", "name")
    _check_items(data, "achievements", "name")
    for achievement in data.get("achievements") or []:
        _check(_is_number(achievement.get("stars") or 0), "the stars of an achievement are no number")
        _check(
            all(isinstance(achievement.get(key), str | None) for key in ("village", "info")), "an achievement is odd"
        )


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
    _check(all(isinstance(side.get("members"), list) for side in sides), "a side of the war has no members")


def check_war_log(data: Json) -> None:
    """Raise BadAnswerError unless ``data`` is a war log: what its entries hold is looked at where it is used."""
    items = data.get("items")
    _check(isinstance(items, list) and all(isinstance(item, dict) for item in items), "the answer is no war log")


def _check_side(side: Json) -> None:
    for field in ("stars", "destructionPercentage"):
        _check(isinstance(side.get(field), int | float | None), f"a side's {field} is no number")
    _check_items(side, "members", "tag")
    for member in side.get("members") or []:
        _check_items(member, "attacks", "defenderTag")
        for attack in member.get("attacks") or []:
            _check(_is_number(attack.get("order")), "an attack has no order")
            _check(_is_number(attack.get("stars", 0)), "an attack's stars are no number")


def _check_tag(data: Json, tag: str, what: str) -> None:
    _check(isinstance(data.get("tag"), str), f"the answer is no {what}")
    _check(data["tag"] == tag, f"the answer is another {what}")


def _check_items(data: Json, field: str, key: str) -> None:
    items = data.get(field)
    if items is None:
        return
    _check(isinstance(items, list), f"{field} is no list")
    _check(len(items) <= _MOST_ITEMS, f"{field} has more than {_MOST_ITEMS} entries")
    _check(
        all(isinstance(item, dict) and isinstance(item.get(key), str) for item in items),
        f"an entry of {field} has no {key}",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(good: bool, trouble: str) -> None:
    if not good:
        raise BadAnswerError(f"{trouble}: the answer is ignored")
