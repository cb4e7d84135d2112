"""Validate API responses and remove malformed fields.

A response is rejected only if it cannot be about the requested resource. A malformed field is removed, so that the
comparison can rely on the type of every field it uses. Unknown fields and unknown enumeration values are accepted,
because the API adds new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from coc2mqtt.clash.errors import InvalidResponseError
from coc2mqtt.clash.response import REPLACEMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json = dict[str, Any]

# Several times the length of any list in the game. It bounds the comparison and the number of events.
_MAX_ITEMS = 1000
# Five times the size of a war of fifty against fifty.
_MAX_BODY_BYTES = 512 * 1024
# The journal and the payloads wrap the data in objects of their own.
_ENCLOSING_LEVELS = 10
# More than any number in the game. Sums of these are exact in JSON.
_MAX_NUMBER = 2**31
# The API uses a handful of layouts for each kind of object. The limit bounds the memory if every object differs.
_MAX_LAYOUTS = 256

_INT, _TEXT, _LIST, _OBJECT, _BOOL = ((kind,) for kind in (int, str, list, dict, bool))
_NUMBER = (int, float)
_Types = dict[str, tuple[type, ...]]


class MalformedField(NamedTuple):
    """A field that was removed from a response: its path, such as ``memberList.donations``, and its value."""

    path: str
    value: object

    @property
    def top_level(self) -> str:
        """The field of the response itself."""
        return self.path.partition(".")[0]


class Shape:
    """The types of an object's known fields.

    Nearly every object has the ``usual`` fields; ``others`` are optional. An object without one of the ``required``
    fields is dropped. ``nested`` gives the shapes of objects, or of the entries of lists, inside it.
    """

    __slots__ = ("_columns", "_nested", "_required", "_types", "_valid_layouts")

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
        # The types by field that need no closer inspection. Null stands for a missing field.
        self._columns = [(field, {*types}) for field, types in usual.items()]
        self._columns += [(field, {*types, type(None)}) for field, types in (others or {}).items()]
        # The layouts (keys and types of values) that passed the inspection: most objects share one of a few.
        self._valid_layouts: set[tuple[tuple[str, ...], tuple[type, ...]]] = set()

    def remove_malformed(self, item: Any, path: str, found: list[MalformedField]) -> bool:
        """Remove the malformed fields of an object and append them to ``found``.

        Returns whether the object still has all required fields.
        """
        if type(item) is not dict:
            found.append(MalformedField(path.rstrip("."), item))
            return False
        layout = (tuple(item), tuple(map(type, item.values())))
        if layout not in self._valid_layouts and not self._inspect(item, path, found):
            return False
        for field, shape in self._nested.items():
            value = item.get(field)
            if type(value) is list:
                shape.remove_malformed_items(item, field, path, found)
            elif value is not None:
                shape.remove_malformed(value, f"{path}{field}.", found)
        return True

    def remove_malformed_items(self, holder: Json, field: str, path: str, found: list[MalformedField]) -> None:
        """Clean the entries of a list and drop those without a required field.

        Raises InvalidResponseError if the list has more than 1000 entries.
        """
        items = holder[field]
        if len(items) > _MAX_ITEMS:
            raise InvalidResponseError(f"{field} has more than {_MAX_ITEMS} entries: the response is ignored")
        if not items or self._all_valid(items):
            return
        prefix = f"{path}{field}."
        kept = [item for item in items if self.remove_malformed(item, prefix, found)]
        if len(kept) < len(items):
            holder[field] = kept

    def _all_valid(self, items: list[Any]) -> bool:
        """Return whether no item needs inspection; this checks field by field over all items, which is cheap."""
        if {type(item) for item in items} != {dict}:
            return False
        for field, types in self._columns:
            if not types.issuperset({type(item.get(field)) for item in items}):
                return False
        for field, shape in self._nested.items():
            values = [value for item in items if (value := item.get(field)) is not None]
            if values and type(values[0]) is list:
                if max(map(len, values)) > _MAX_ITEMS:
                    return False
                values = [value for entries in values for value in entries]
            if values and not shape._all_valid(values):  # noqa: SLF001 - the same class
                return False
        return True

    def _inspect(self, item: Json, path: str, found: list[MalformedField]) -> bool:
        types = self._types
        malformed = [field for field, value in item.items() if field in types and type(value) not in types[field]]
        found += [MalformedField(f"{path}{field}", item.pop(field)) for field in malformed]
        missing = [field for field in self._required if field not in item]
        if missing:
            found += [MalformedField(f"{path}{field}", None) for field in missing if field not in malformed]
            return False
        if not malformed:
            if len(self._valid_layouts) >= _MAX_LAYOUTS:
                self._valid_layouts.clear()
            self._valid_layouts.add((tuple(item), tuple(map(type, item.values()))))
        return True


def _fields(kind: tuple[type, ...], fields: str) -> _Types:
    return dict.fromkeys(fields.split(), kind)


_NAMED = Shape({}, {**_fields(_INT, "id"), **_fields(_TEXT, "name")})
_LABEL = Shape(_fields(_TEXT, "name"), _fields(_INT, "id"), required=("name",))
_MEMBER = Shape(
    {**_fields(_TEXT, "tag name role"), **_fields(_INT, "townHallLevel expLevel donations donationsReceived")},
    # Trophies and ranks are not used, and each field costs time for each member.
    _fields(_OBJECT, "leagueTier builderBaseLeague playerHouse"),
    required=("tag",),
)
_CAPITAL = Shape({}, {**_fields(_INT, "capitalHallLevel"), **_fields(_LIST, "districts")})
_CLAN = Shape(
    {},
    {
        **_fields(_TEXT, "name type description warFrequency"),
        **_fields(_OBJECT, "location badgeUrls capitalLeague warLeague clanCapital chatLanguage"),
        **_fields(_INT, "clanLevel clanPoints clanBuilderBasePoints clanCapitalPoints requiredTrophies"),
        **_fields(_INT, "warWinStreak warWins warTies warLosses members"),
        **_fields(_BOOL, "isWarLogPublic"),
        **_fields(_LIST, "memberList labels"),
    },
    nested={"memberList": _MEMBER, "warLeague": _NAMED, "capitalLeague": _NAMED, "clanCapital": _CAPITAL},
)
_UNIT_FIELDS = {**_fields(_TEXT, "name village"), **_fields(_INT, "level maxLevel")}
_UNIT = Shape(_UNIT_FIELDS, required=("name",))
_HERO = Shape(_UNIT_FIELDS, _fields(_LIST, "equipment"), required=("name",), nested={"equipment": _UNIT})
_ACHIEVEMENT = Shape(
    {**_fields(_TEXT, "name village info"), **_fields(_INT, "stars")}, _fields(_INT, "value target"), required=("name",)
)
_PLAYER = Shape(
    {},
    {
        **_fields(_TEXT, "name role warPreference"),
        **_fields(_INT, "townHallLevel townHallWeaponLevel builderHallLevel expLevel trophies bestTrophies warStars"),
        **_fields(
            _INT, "attackWins defenseWins builderBaseTrophies bestBuilderBaseTrophies donations donationsReceived"
        ),
        **_fields(_INT, "clanCapitalContributions"),
        **_fields(_OBJECT, "clan league leagueTier builderBaseLeague playerHouse"),
        **_fields(_LIST, "achievements labels troops heroes heroEquipment spells"),
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
    {**_fields(_INT, "order stars"), **_fields(_NUMBER, "destructionPercentage"), **_fields(_TEXT, "defenderTag")},
    _fields(_INT, "duration"),
    required=("order", "defenderTag"),
)
_WAR_MEMBER = Shape(
    {**_fields(_TEXT, "tag name"), **_fields(_INT, "townhallLevel mapPosition")},
    _fields(_LIST, "attacks"),
    required=("tag",),
    nested={"attacks": _ATTACK},
)
_WAR_SIDE = Shape(
    {},
    {
        **_fields(_TEXT, "tag name"),
        **_fields(_INT, "clanLevel attacks stars"),
        **_fields(_NUMBER, "destructionPercentage"),
        **_fields(_LIST, "members"),
    },
    nested={"members": _WAR_MEMBER},
)
_WAR = Shape(
    {},
    {
        **_fields(_INT, "teamSize attacksPerMember"),
        **_fields(_TEXT, "preparationStartTime startTime endTime"),
        **_fields(_OBJECT, "clan opponent"),
    },
    nested={"clan": _WAR_SIDE, "opponent": _WAR_SIDE},
)
_LEAGUE_MEMBER = Shape({**_fields(_TEXT, "tag name"), **_fields(_INT, "townHallLevel")}, required=("tag",))
_LEAGUE_CLAN = Shape(
    {**_fields(_TEXT, "tag name"), **_fields(_INT, "clanLevel")},
    _fields(_LIST, "members"),
    required=("tag",),
    nested={"members": _LEAGUE_MEMBER},
)
_LEAGUE_GROUP = Shape(
    {},
    {**_fields(_TEXT, "season"), **_fields(_LIST, "clans rounds")},
    nested={"clans": _LEAGUE_CLAN, "rounds": Shape({}, _fields(_LIST, "warTags"))},
)


# These are added up.
_DONATIONS = ("donations", "donationsReceived")
# Null for a player without a clan.
_MEMBERSHIP_FIELDS = ("clan", "role")


def validate_size(body: bytes) -> None:
    """Raise InvalidResponseError if a response is so large that comparing it would delay all other polls."""
    _require(len(body) <= _MAX_BODY_BYTES, f"the response is larger than {_MAX_BODY_BYTES // 1024} kB")


def validate_depth(data: Json) -> None:
    """Raise InvalidResponseError if ``data`` is nested too deeply to be encoded again inside a larger object."""
    # orjson decodes four times as many levels as it encodes.
    wrapped: Any = data
    for _ in range(_ENCLOSING_LEVELS):
        wrapped = [wrapped]
    try:
        orjson.dumps(wrapped)
    except TypeError as error:
        raise InvalidResponseError("the response is nested too deeply: it is ignored") from error


def validate_clan(data: Json, tag: str) -> list[MalformedField]:
    """Remove and return the malformed fields of a clan; raise InvalidResponseError if it is not the clan ``tag``."""
    found = _validate(_CLAN, data, tag, "clan")
    for field in _DONATIONS:
        _remove_impossible_numbers(data.get("memberList") or (), field, found)
    return found


def validate_player(data: Json, tag: str) -> list[MalformedField]:
    """Remove and return the malformed fields of a player.

    Raises InvalidResponseError if it is not the player ``tag``.
    """
    for field in _MEMBERSHIP_FIELDS:
        if data.get(field, 0) is None:
            del data[field]
    found = _validate(_PLAYER, data, tag, "player")
    clan = data.get("clan")
    if clan is not None and type(clan.get("tag")) is not str:
        found.append(MalformedField("clan", data.pop("clan")))
    return found


def validate_war(data: Json, tag: str) -> list[MalformedField]:
    """Remove and return the malformed fields of the current war of the clan ``tag``, or of a response without a war.

    Afterwards both sides are objects, and in a war one of them has ``tag``. Raises InvalidResponseError if there is no
    state or if both sides are other clans.
    """
    _require(isinstance(data.get("state"), str), "the war has no state")
    found: list[MalformedField] = []
    _WAR.remove_malformed(data, "", found)
    sides = [data.setdefault(side, {}) for side in ("clan", "opponent")]
    tags = [side.get("tag") for side in sides]
    if is_war(data) and tag not in tags:
        _require(None in tags, "the war belongs to another clan")
        sides[tags.index(None)]["tag"] = tag
    return found


def is_war(data: Json) -> bool:
    """Return whether a response is about a war: it has the state of one, or the start of its preparation."""
    return data.get("state") in ("preparation", "inWar", "warEnded") or "preparationStartTime" in data


def validate_league_group(data: Json, tag: str) -> list[MalformedField]:
    """Remove and return the malformed fields of the league group of the clan ``tag``; it has no clans during sign-up.

    Raises InvalidResponseError without a state, if the clans are malformed, or if ``tag`` is not one of them.
    """
    _require(isinstance(data.get("state"), str), "the league group has no state")
    found: list[MalformedField] = []
    _LEAGUE_GROUP.remove_malformed(data, "", found)
    _require(all(field.path != "clans" for field in found), "the league group has no list of clans")
    clans = data.get("clans")
    _require(not clans or any(clan["tag"] == tag for clan in clans), "the league group is the one of other clans")
    for entry in data.get("rounds") or []:
        tags = entry.get("warTags") or []
        found += [MalformedField("rounds.warTags", value) for value in tags if type(value) is not str]
        entry["warTags"] = [value for value in tags if type(value) is str]
    return found


def validate_league_war(data: Json) -> list[MalformedField]:
    """Remove and return the malformed fields of a war of a clan war league.

    Raises InvalidResponseError without a state, or if one of the clans has no tag.
    """
    _require(isinstance(data.get("state"), str), "the war has no state")
    found: list[MalformedField] = []
    remove_huge_numbers(data, "", found)
    _WAR.remove_malformed(data, "", found)
    for side in ("clan", "opponent"):
        _require(isinstance((data.get(side) or {}).get("tag"), str), f"the war has no tag of the {side}")
    return found


def validate_war_log(data: Json) -> list[MalformedField]:
    """Remove and return the malformed fields of a war log; raise InvalidResponseError if it has no list of wars."""
    items = data.get("items")
    _require(isinstance(items, list), "the response is not a war log")
    found: list[MalformedField] = []
    data["items"] = [item for item in data["items"] if _WAR.remove_malformed(item, "items.", found)]
    return found


def remove_huge_numbers(value: Any, path: str, found: list[MalformedField]) -> None:
    """Remove numbers whose sums could not be published."""
    if type(value) is list:
        for entry in value:
            remove_huge_numbers(entry, path, found)
    elif type(value) is dict:
        for key, item in list(value.items()):
            if type(item) in _NUMBER:
                if abs(item) > _MAX_NUMBER:
                    found.append(MalformedField(f"{path}{key}", value.pop(key)))
            elif type(item) in (dict, list):
                remove_huge_numbers(item, f"{path}{key}.", found)


def _remove_impossible_numbers(members: Sequence[Json], field: str, found: list[MalformedField]) -> None:
    """Remove a number of members that is negative or whose sums could not be published."""
    numbers = [member.get(field, 0) for member in members]
    if numbers and (min(numbers) < 0 or max(numbers) > _MAX_NUMBER):
        for member, number in zip(members, numbers, strict=True):
            if not 0 <= number <= _MAX_NUMBER:
                found.append(MalformedField(f"memberList.{field}", member.pop(field)))


def find_unreadable_texts(value: Any, path: str = "") -> Iterator[MalformedField]:
    """Yield every text of a repaired response that contains replacement characters."""
    if isinstance(value, str):
        if REPLACEMENT in value:
            yield MalformedField(path, value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from find_unreadable_texts(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from find_unreadable_texts(item, path)


def _validate(shape: Shape, data: Json, tag: str, kind: str) -> list[MalformedField]:
    _require(isinstance(data.get("tag"), str), f"the response is not a {kind}")
    _require(data["tag"] == tag, f"the response is about another {kind}")
    found: list[MalformedField] = []
    shape.remove_malformed(data, "", found)
    return found


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidResponseError(f"{problem}: the response is ignored")
