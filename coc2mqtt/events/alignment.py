"""Entries of lists that lack a part of what identifies them. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]


def align(old: list[Json], new: list[Json], *, identity: tuple[str, ...]) -> tuple[list[Json], list[Json]]:
    """Return both lists with the fields of ``identity`` that only the same entry of the other list has.

    The entries have names; an entry of ``new`` that could be several known ones is left out, because nothing tells
    which it is.
    """
    if all(field in entry for side in (old, new) for entry in side for field in identity):
        return old, new
    new = [entry for entry, certain in _completed(new, old, identity) if certain]
    return [entry for entry, _ in _completed(old, new, identity)], new


def _completed(entries: list[Json], others: list[Json], identity: tuple[str, ...]) -> Iterator[tuple[Json, bool]]:
    by_name: dict[str, list[Json]] = {}
    for other in others:
        by_name.setdefault(other["name"], []).append(other)
    for entry in entries:
        missing = [field for field in identity if field not in entry]
        if not missing:
            yield entry, True
            continue
        given = [field for field in identity if field in entry]
        fitting = [one for one in by_name.get(entry["name"], []) if all(one.get(key) == entry[key] for key in given)]
        known = {key: fitting[0][key] for key in missing if key in fitting[0]} if len(fitting) == 1 else {}
        yield {**entry, **known}, len(fitting) <= 1
