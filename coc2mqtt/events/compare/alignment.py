"""Entries of lists that lack a part of what identifies them. Pure: no clock, no I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]


def align(old: list[Json], new: list[Json], *, identity: tuple[str, ...]) -> tuple[list[Json], list[Json]]:
    """Return both lists with the fields of ``identity`` that only the same entry of the other list has.

    The entries have names. An entry of ``new`` is left out if others of its name are known and nothing tells which of
    them it is.
    """
    if all(field in entry for side in (old, new) for entry in side for field in identity):
        return old, new
    new = [entry for entry, certain in _completed(new, old, identity) if certain]
    return [entry for entry, _ in _completed(old, new, identity)], new


def _completed(entries: list[Json], others: list[Json], identity: tuple[str, ...]) -> Iterator[tuple[Json, bool]]:
    """Yield each entry with what the other list knows of its identity, and whether it is certain which one it is."""
    whole = {_key(entry, identity) for entry in entries if all(field in entry for field in identity)}
    partial = Counter(entry["name"] for entry in entries if any(field not in entry for field in identity))
    by_name: dict[str, list[Json]] = {}
    for other in others:
        by_name.setdefault(other["name"], []).append(other)
    for entry in entries:
        missing = [field for field in identity if field not in entry]
        known = by_name.get(entry["name"], [])
        if not missing or not known:
            yield entry, True
            continue
        given = [field for field in identity if field in entry]
        fitting = [
            one
            for one in known
            if all(one.get(field) == entry[field] for field in given) and _key(one, identity) not in whole
        ]
        if len(fitting) == partial[entry["name"]] == 1:
            yield {**entry, **{field: fitting[0][field] for field in missing if field in fitting[0]}}, True
        else:
            yield entry, False


def _key(entry: Json, identity: tuple[str, ...]) -> tuple[Any, ...]:
    return entry["name"], *(entry.get(field) for field in identity)
