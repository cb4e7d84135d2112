"""Compare two snapshots field by field, and the result of a comparison. Pure functions on decoded JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.events.event import Change

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from coc2mqtt.events.event import Event, EventType

Json = dict[str, Any]


class CompareResult(NamedTuple):
    """The events in order, and the ``data`` and ``memo`` of the new snapshot.

    If ``final`` is false, the next response must be compared even if it has the same bytes. ``follow_up`` is the type
    of an event about the same changes that another poll will cause, None if there is none.
    """

    events: list[Event]
    data: Json
    memo: Json
    final: bool = True
    follow_up: EventType | None = None


def diff_dicts(
    old: Json,
    new: Json,
    *,
    include_fields: frozenset[str] | None = None,
    exclude_fields: frozenset[str] | None = None,
) -> list[Change]:
    """Compare the top-level keys of two objects; nested values are compared by equality.

    Returns one Change for each key that differs, sorted by key; a missing key counts as None. If ``include_fields`` is
    given, only these keys are compared. Keys in ``exclude_fields`` are never compared.
    """
    # A key that neither object has is None in both.
    fields = old.keys() | new.keys() if include_fields is None else include_fields
    different = [field for field in fields if old.get(field) != new.get(field)]
    if exclude_fields is not None:
        different = [field for field in different if field not in exclude_fields]
    return [Change(field, old.get(field), new.get(field)) for field in sorted(different)]


def diff_fields(
    old: Json,
    new: Json,
    *,
    include_fields: frozenset[str] | None = None,
    exclude_fields: frozenset[str] | None = None,
) -> list[Change]:
    """Compare like ``diff_dicts``, but ignore the order of lists."""
    changes = diff_dicts(old, new, include_fields=include_fields, exclude_fields=exclude_fields)
    return [change for change in changes if not _equal_ignoring_order(change.old_value, change.new_value)]


def diff_paths(old: Json, new: Json, *, exclude_fields: frozenset[str] = frozenset()) -> list[Change]:
    """Compare two objects down to their leaves; nested fields are named by their path, such as ``warLeague.name``.

    Lists are leaves and are compared regardless of their order. An object that appears or vanishes as a whole is one
    change of its own key.
    """
    changes = []
    for change in diff_fields(old, new, exclude_fields=exclude_fields):
        if isinstance(change.old_value, dict) and isinstance(change.new_value, dict):
            changes += [
                Change(f"{change.field}.{inner.field}", inner.old_value, inner.new_value)
                for inner in diff_paths(change.old_value, change.new_value)
            ]
        else:
            changes.append(change)
    return changes


def is_first_number(change: Change) -> bool:
    """Return whether a change is the first value of a number that was unknown before, which is a baseline."""
    return change.old_value is None and type(change.new_value) in (int, float)


def is_subset(part: Json, whole: Json) -> bool:
    """Return whether ``part`` equals ``whole`` except that it may lack fields, at any depth; null counts as lacking."""
    for key, value in part.items():
        other = whole.get(key)
        if value is None or value == other:
            continue
        if not (isinstance(value, dict) and isinstance(other, dict) and is_subset(value, other)):
            return False
    return True


def _equal_ignoring_order(old: Any, new: Any) -> bool:
    return bool(old == new) or order_free_key(old) == order_free_key(new)


def order_free_key(value: Any) -> Hashable:
    """Return a key that is equal for two JSON values if and only if they are equal apart from the order of lists.

    Hashing the entries avoids comparing each entry of a long list with each entry of another one.
    """
    if isinstance(value, dict):
        return "object", frozenset((key, order_free_key(item)) for key, item in value.items())
    if isinstance(value, list):
        return "list", frozenset(Counter(map(order_free_key, value)).items())
    return value  # type: ignore[no-any-return]  # all other JSON values are hashable


def any_decreased(old: Json, new: Json, fields: Iterable[str]) -> bool:
    """Return whether one of these fields is a smaller number than before; values other than numbers are ignored."""
    for field in fields:
        before, after = old.get(field), new.get(field)
        if isinstance(before, int | float) and isinstance(after, int | float) and after < before:
            return True
    return False


def diff_member_tags(
    old_members: list[Json], new_members: list[Json]
) -> tuple[list[Json], list[Json], list[tuple[Json, Json]]]:
    """Compare two member lists by tag, regardless of their order.

    Returns (joined, left, updated): the entries of ``new_members`` that are new, those of ``old_members`` that are
    gone, and pairs (old, new) of the entries that differ in any field. Each list keeps its own order.
    """
    old_by_tag = {member["tag"]: member for member in old_members}
    new_by_tag = {member["tag"]: member for member in new_members}
    joined = [member for tag, member in new_by_tag.items() if tag not in old_by_tag]
    left = [member for tag, member in old_by_tag.items() if tag not in new_by_tag]
    updated = [
        (old_by_tag[tag], member)
        for tag, member in new_by_tag.items()
        if tag in old_by_tag and old_by_tag[tag] != member
    ]
    return joined, left, updated


def diff_named_list(
    old_items: list[Json], new_items: list[Json], key: str = "name", compare_field: str = "level"
) -> list[tuple[str, Any, Any]]:
    """Compare one field of the items of two lists; items are matched by ``key``.

    Returns (name, old value, new value) for each item of ``new_items`` whose field differs. A new item has None as its
    old value; a vanished item is not reported. If an item occurs twice, its last entry counts.
    """
    old_values = {item[key]: item.get(compare_field) for item in old_items}
    new_values = {item[key]: item.get(compare_field) for item in new_items}
    return [
        (name, old_values.get(name), value)
        for name, value in new_values.items()
        if name not in old_values or old_values[name] != value
    ]
