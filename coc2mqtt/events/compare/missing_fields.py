"""Restore the last known values of fields that a response lacks. Pure: no clock, no I/O."""

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
    """The two snapshots to compare: ``old`` and ``new``, each with the last known values of the fields it lacks.

    ``absent`` holds the restored fields of ``new``. A field that vanishes is not a change in the game; when it returns,
    it is compared with its last known value.
    """

    old: Json
    new: Json
    absent: Json

    def without_absent(self, data: Json) -> Json:
        """Return ``data``, which is based on ``new``, without the fields that the response lacks."""
        return {key: value for key, value in data.items() if key not in self.absent} if self.absent else data

    @property
    def memo(self) -> Json:
        """The part of the snapshot's memo that keeps the absent fields."""
        return {_MEMO_KEY: self.absent} if self.absent else {}


def restore_missing_fields(
    old: Snapshot, new: Json, *, is_permanent: Callable[[str], bool], malformed: Collection[str]
) -> RestoredFields:
    """Return the snapshot's data and the new response with the fields they lack.

    ``is_permanent`` returns whether a response lacks a field by mistake only; ``malformed`` are the fields that were
    removed from the response. The first value of a permanent number also counts as its old value: it is a baseline. An
    object that only lost fields, or had malformed ones, keeps the last known values.
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
        if type(new[field]) in _NUMBER_TYPES and is_permanent(field)
    }
    if baseline:
        before = {**before, **baseline}
    gone = before.keys() - new.keys()
    absent = {field: before[field] for field in gone if field in malformed or is_permanent(field)}
    return RestoredFields(before, {**new, **absent} if absent else new, absent)


def _restore_object_fields(old: Json, new: Json, malformed: Collection[str]) -> Json:
    restored = {
        field: {**was, **value} if field in malformed else was
        for field, value in new.items()
        if type(value) is dict
        and type(was := old.get(field)) is dict
        and was != value
        # An empty object can be correct: a clan without a capital.
        and (field in malformed or (value and is_subset(value, was)))
    }
    return {**new, **restored} if restored else new


def keep_readable_names(old: Json, new: Json) -> None:
    """Replace names with replacement characters in ``new`` by the known names of the player, the clan or its members.

    This changes ``new`` in place.
    """
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
