"""Fields that a response lacks: their last known values serve for comparing. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import REPLACEMENT
from coc2mqtt.events.compare.diff import is_subset

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

_MEMO_KEY = "absent"
_NUMBER_TYPES = (int, float)


class RestoredFields(NamedTuple):
    """What is compared with each other: ``old`` and ``new`` with the last known values of fields that they lack.

    ``absent`` are those of ``new``. A field that vanishes is no change in the game, and when it returns it is compared
    with what it was before.
    """

    old: Json
    new: Json
    absent: Json

    def believed(self, data: Json) -> Json:
        """Return ``data``, which is what is believed of ``new``, without what the response lacks."""
        return {key: value for key, value in data.items() if key not in self.absent} if self.absent else data

    @property
    def memo(self) -> Json:
        """What is remembered beside the snapshot."""
        return {_MEMO_KEY: self.absent} if self.absent else {}


def restore_missing_fields(
    old: Snapshot, new: Json, *, lasting: Callable[[str], bool], malformed: Collection[str]
) -> RestoredFields:
    """Return the snapshot's data and the new response with what they lack.

    The first value of a lasting number is taken for its value before: it is a baseline. An object that only lost
    fields, or in which some were ``malformed``, keeps the last known ones. ``lasting`` tells of a field
    whether a response can lack it by mistake only; of a ``malformed`` field nothing is known, whatever it is.
    """
    before = old.data or {}
    remembered = old.memo.get(_MEMO_KEY)
    if remembered:
        before = {**before, **remembered}
    new = _restore_object_fields(before, new, malformed)
    if before.keys() == new.keys():
        return RestoredFields(before, new, {})
    baseline = {
        field: new[field]
        for field in new.keys() - before.keys()
        if type(new[field]) in _NUMBER_TYPES and lasting(field)
    }
    if baseline:
        before = {**before, **baseline}
    gone = before.keys() - new.keys()
    absent = {field: before[field] for field in gone if field in malformed or lasting(field)}
    return RestoredFields(before, {**new, **absent} if absent else new, absent)


def _restore_object_fields(old: Json, new: Json, malformed: Collection[str]) -> Json:
    known = {
        field: {**was, **value} if field in malformed else was
        for field, value in new.items()
        if type(value) is dict
        and type(was := old.get(field)) is dict
        and was != value
        # One that is empty may well be so: a clan without a capital.
        and (field in malformed or (value and is_subset(value, was)))
    }
    return {**new, **known} if known else new


def keep_readable_names(old: Json, new: Json) -> None:
    """Keep the known names of a clan and its members, or a player, where ``new`` has them with replaced characters."""
    _keep_readable_name(old, new)
    members, known = new.get("memberList"), old.get("memberList")
    if members and known:
        by_tag = {member["tag"]: member for member in known}
        for member in members:
            _keep_readable_name(by_tag.get(member["tag"], {}), member)


def _keep_readable_name(old: Json, new: Json) -> None:
    name = old.get("name")
    if name is not None and REPLACEMENT in new.get("name", ""):
        new["name"] = name
