"""Whether a response can be what its endpoint returns, and which of its fields are malformed.

A response is refused only if it cannot be what was asked for. A malformed field is removed, so that comparing can rely
on the type of every field that it uses. Unknown fields and unknown enumeration values pass: the API grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.clash.errors import InvalidResponseError
from coc2mqtt.clash.response import REPLACEMENT
from coc2mqtt.events.polling.malformed_fields import MalformedField

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]

# Several times what the game has of anything: comparing must end, and each entry can be an event.
_MOST_ITEMS = 1000
_LARGEST_BODY = 512 * 1024  # a war of fifty against fifty has a fifth of it
_WRITTEN_AROUND = 10
# The API has a handful of layouts for each kind of object; the limit bounds the memory if every object differs.
_MOST_LAYOUTS = 256

_INT, _TEXT, _LIST, _OBJECT, _BOOL = ((kind,) for kind in (int, str, list, dict, bool))
_NUMBER = (int, float)
_Types = dict[str, tuple[type, ...]]


class Shape:
    """The types of an object's known fields.

    ``usual`` are the fields that nearly every object has, ``others`` come and go. ``required`` are those without which
    the object means nothing. ``nested`` are the shapes of objects, or of the entries of lists, within it.
    """

    __slots__ = ("_columns", "_good", "_nested", "_required", "_types")

    def __init__(
        self,
        usual: _Types,
        others: _Types | None = None,
        *,
        required: tuple[str, ...] = (),
        nested: Mapping[str, Shape] | None = None,
    ) -> None:
        self._types = {**usual, **(others or {})}
        self._required = required
        self._nested = nested or {}
        # By field the types that need no closer look; null passes for a field that is missing.
        self._columns = [(field, {*types}) for field, types in usual.items()]
        self._columns += [(field, {*types, type(None)}) for field, types in (others or {}).items()]
        # The layouts (keys and types of values) that were found good: most objects share one of a few.
        self._good: set[tuple[tuple[str, ...], tuple[type, ...]]] = set()

    def clean(self, item: Any, path: str, found: list[MalformedField]) -> bool:
        """Remove the malformed fields of an object and note them; returns whether all required ones are left."""
        if type(item) is not dict:
            found.append(MalformedField(path.rstrip("."), item))
            return False
        layout = (tuple(item), tuple(map(type, item.values())))
        if layout not in self._good and not self._inspect(item, path, found):
            return False
        for field, shape in self._nested.items():
            value = item.get(field)
            if type(value) is list:
                shape.clean_list(item, field, path, found)
            elif value is not None:
                shape.clean(value, f"{path}{field}.", found)
        return True

    def clean_list(self, holder: Json, field: str, path: str, found: list[MalformedField]) -> None:
        """Clean the entries of a list, and leave out those that mean nothing; raises BadAnswerError if it is huge."""
        items = holder[field]
        if len(items) > _MOST_ITEMS:
            raise InvalidResponseError(f"{field} has more than {_MOST_ITEMS} entries: the answer is ignored")
        if not items or self._all_good(items):
            return
        prefix = f"{path}{field}."
        kept = [item for item in items if self.clean(item, prefix, found)]
        if len(kept) < len(items):
            holder[field] = kept

    def _all_good(self, items: list[Any]) -> bool:
        """Tell cheaply, field by field over all items, whether nothing about them needs a closer look."""
        if {type(item) for item in items} != {dict}:
            return False
        for field, types in self._columns:
            if not types.issuperset({type(item.get(field)) for item in items}):
                return False
        for field, shape in self._nested.items():
            values = [value for item in items if (value := item.get(field)) is not None]
            if values and type(values[0]) is list:
                if max(map(len, values)) > _MOST_ITEMS:
                    return False
                values = [value for entries in values for value in entries]
            if values and not shape._all_good(values):  # noqa: SLF001 - of the same class
                return False
        return True

    def _inspect(self, item: Json, path: str, found: list[MalformedField]) -> bool:
        types = self._types
        odd = [field for field, value in item.items() if field in types and type(value) not in types[field]]
        found += [MalformedField(f"{path}{field}", item.pop(field)) for field in odd]
        missing = [field for field in self._required if field not in item]
        if missing:
            found += [MalformedField(f"{path}{field}", None) for field in missing if field not in odd]
            return False
        if not odd:
            if len(self._good) >= _MOST_LAYOUTS:
                self._good.clear()
            self._good.add((tuple(item), tuple(map(type, item.values()))))
        return True


def _of(kind: tuple[type, ...], fields: str) -> _Types:
    return dict.fromkeys(fields.split(), kind)


_NAMED = Shape({}, {**_of(_INT, "id"), **_of(_TEXT, "name")})
_LABEL = Shape(_of(_TEXT, "name"), _of(_INT, "id"), required=("name",))
_MEMBER = Shape(
    {**_of(_TEXT, "tag name role"), **_of(_INT, "townHallLevel expLevel donations donationsReceived")},
    # Nothing uses the trophies and ranks, and each field costs time for each member.
    _of(_OBJECT, "leagueTier builderBaseLeague playerHouse"),
    required=("tag",),
)
_CLAN = Shape(
    {},
    {
        **_of(_TEXT, "name type description warFrequency"),
        **_of(_OBJECT, "location badgeUrls capitalLeague warLeague clanCapital chatLanguage"),
        **_of(_INT, "clanLevel clanPoints clanBuilderBasePoints clanCapitalPoints requiredTrophies"),
        **_of(_INT, "warWinStreak warWins warTies warLosses members"),
        **_of(_BOOL, "isWarLogPublic"),
        **_of(_LIST, "memberList labels"),
    },
    nested={"memberList": _MEMBER, "warLeague": _NAMED, "capitalLeague": _NAMED},
)
_UNIT_FIELDS = {**_of(_TEXT, "name village"), **_of(_INT, "level maxLevel")}
_UNIT = Shape(_UNIT_FIELDS, required=("name",))
_HERO = Shape(_UNIT_FIELDS, _of(_LIST, "equipment"), required=("name",), nested={"equipment": _UNIT})
_ACHIEVEMENT = Shape(
    {**_of(_TEXT, "name village info"), **_of(_INT, "stars")}, _of(_INT, "value target"), required=("name",)
)
_PLAYER = Shape(
    {},
    {
        **_of(_TEXT, "name role warPreference"),
        **_of(_INT, "townHallLevel townHallWeaponLevel builderHallLevel expLevel trophies bestTrophies warStars"),
        **_of(_INT, "attackWins defenseWins builderBaseTrophies bestBuilderBaseTrophies donations donationsReceived"),
        **_of(_INT, "clanCapitalContributions"),
        **_of(_OBJECT, "clan league leagueTier builderBaseLeague playerHouse"),
        **_of(_LIST, "achievements labels troops heroes heroEquipment spells"),
    },
    nested={
        **dict.fromkeys(("troops", "spells", "heroEquipment"), _UNIT),
        "heroes": _HERO,
        "achievements": _ACHIEVEMENT,
        "labels": _LABEL,
        "leagueTier": _NAMED,
        "league": _NAMED,
    },
)
_ATTACK = Shape(
    {**_of(_INT, "order stars"), **_of(_NUMBER, "destructionPercentage"), **_of(_TEXT, "defenderTag")},
    _of(_INT, "duration"),
    required=("order", "defenderTag"),
)
_FIGHTER = Shape(
    {**_of(_TEXT, "tag name"), **_of(_INT, "townhallLevel mapPosition")},
    _of(_LIST, "attacks"),
    required=("tag",),
    nested={"attacks": _ATTACK},
)
_SIDE = Shape(
    {},
    {
        **_of(_TEXT, "tag name"),
        **_of(_INT, "clanLevel attacks stars"),
        **_of(_NUMBER, "destructionPercentage"),
        **_of(_LIST, "members"),
    },
    nested={"members": _FIGHTER},
)
_WAR = Shape(
    {},
    {
        **_of(_INT, "teamSize attacksPerMember"),
        **_of(_TEXT, "preparationStartTime startTime endTime"),
        **_of(_OBJECT, "clan opponent"),
    },
    nested={"clan": _SIDE, "opponent": _SIDE},
)


# What a player has who is in a clan, and nobody else.
_MEMBERSHIP = ("clan", "role")


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
        raise InvalidResponseError("the answer is nested too deeply: it is ignored") from error


def check_clan(data: Json, tag: str) -> list[MalformedField]:
    """Remove and return the malformed fields of a clan; raises BadAnswerError if it is not the clan with this tag."""
    return _checked(_CLAN, data, tag, "clan")


def check_player(data: Json, tag: str) -> list[MalformedField]:
    """Remove and return the malformed fields of a player; raises BadAnswerError if it is not the one with this tag."""
    for field in _MEMBERSHIP:
        if data.get(field, 0) is None:
            del data[field]  # as the API does for a player who is in no clan
    found = _checked(_PLAYER, data, tag, "player")
    clan = data.get("clan")
    if clan is not None and type(clan.get("tag")) is not str:
        found.append(MalformedField("clan", data.pop("clan")))
    return found


def check_war(data: Json, tag: str) -> list[MalformedField]:
    """Remove and return the malformed fields of the war of the clan with this tag, or of the answer that there is none.

    Afterwards both sides are objects, and in a war the clan's own has its tag. Raises BadAnswerError if there is no
    state or both sides are other clans'.
    """
    _check(isinstance(data.get("state"), str), "the war has no state")
    found: list[MalformedField] = []
    _WAR.clean(data, "", found)
    sides = [data.setdefault(side, {}) for side in ("clan", "opponent")]
    tags = [side.get("tag") for side in sides]
    if is_at_war(data) and tag not in tags:
        _check(None in tags, "the war is another clan's")
        sides[tags.index(None)]["tag"] = tag
    return found


def is_at_war(war: Json) -> bool:
    """Tell whether a response is about a war: by its state, or because it says when the war began."""
    return war.get("state") in ("preparation", "inWar", "warEnded") or "preparationStartTime" in war


def check_war_log(data: Json) -> list[MalformedField]:
    """Remove and return the malformed fields of a war log; raises BadAnswerError if it has no list of wars."""
    items = data.get("items")
    _check(isinstance(items, list), "the answer is no war log")
    found: list[MalformedField] = []
    data["items"] = [item for item in data["items"] if _WAR.clean(item, "items.", found)]
    return found


def unreadable_texts(value: Any, path: str = "") -> Iterator[MalformedField]:
    """Yield every text of a repaired response in which characters had to be replaced."""
    if isinstance(value, str):
        if REPLACEMENT in value:
            yield MalformedField(path, value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from unreadable_texts(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from unreadable_texts(item, path)


def _checked(shape: Shape, data: Json, tag: str, what: str) -> list[MalformedField]:
    _check(isinstance(data.get("tag"), str), f"the answer is no {what}")
    _check(data["tag"] == tag, f"the answer is another {what}")
    found: list[MalformedField] = []
    shape.clean(data, "", found)
    return found


def _check(good: bool, trouble: str) -> None:
    if not good:
        raise InvalidResponseError(f"{trouble}: the answer is ignored")
