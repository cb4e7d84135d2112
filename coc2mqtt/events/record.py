"""An event as it is kept and published: named, put into a sentence, and trimmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson

from coc2mqtt.events.compare.diff import order_free_key
from coc2mqtt.events.summary import summarize

if TYPE_CHECKING:
    from coc2mqtt.events.event import Change, Event

_LONGEST_TEXT = 160
_LONGEST_SUMMARY = 600
_MOST_ITEMS = 5
_MOST_CHANGES = 20
# As many as a clan has members.
_LONGEST_LIST = 50
# As JSON, in bytes: far more than the largest list that is cut to what fits when it is published.
_LARGEST_VALUE = 8192
# What tells one item of a list (a troop, an achievement, a label, a district) from another, in few bytes.
_ITEM_KEYS = ("tag", "name", "village", "level", "stars", "value")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What is said of an event; every value can be written as JSON.

    ``timestamp`` is Unix time in seconds. Each of ``changes`` has ``field``, ``old_value`` and ``new_value``; of a
    list only the items that differ are kept, of a long text its beginning, and what is large even so is left out, so
    that a record stays small whatever the API sent.
    """

    event_type: str
    tag: str
    name: str | None
    timestamp: float
    summary: str
    changes: tuple[dict[str, Any], ...]
    metadata: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> Self:
        """Return what is to be said of the event; of very many changes the first, and how many were left out."""
        changes = [change for change in map(_trim_change, event.changes[:_MOST_CHANGES]) if _is_small(change)]
        metadata = {key: value for key, item in event.metadata.items() if _is_small(value := _shorten(item))}
        left_out = len(event.changes) - len(changes) + len(event.metadata) - len(metadata)
        return cls(
            event_type=event.event_type.value,
            tag=event.tag,
            # The API's word, which nobody has checked.
            name=_cut(event.name, _LONGEST_TEXT) if isinstance(event.name, str) else None,
            timestamp=event.timestamp,
            summary=_cut(summarize(event), _LONGEST_SUMMARY),
            changes=tuple(changes),
            metadata={**metadata, "left_out": left_out} if left_out else metadata,
        )


def _trim_change(change: Change) -> dict[str, Any]:
    old, new = change.old_value, change.new_value
    if isinstance(old, list) and isinstance(new, list):
        old, new = _difference(old, new)
    return {"field": change.field, "old_value": _trim(old), "new_value": _trim(new)}


def _difference(old: list[Any], new: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the items that are in only one of two lists."""
    before, after = [order_free_key(item) for item in old], [order_free_key(item) for item in new]
    known, shown = set(before), set(after)
    return (
        [item for item, key in zip(old, before, strict=True) if key not in shown],
        [item for item, key in zip(new, after, strict=True) if key not in known],
    )


def _is_small(value: Any) -> bool:
    return len(orjson.dumps(value)) <= _LARGEST_VALUE


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _shorten(value: Any) -> Any:
    """Return a value of the metadata, which the engine has put together, with no text and no list too long."""
    if isinstance(value, dict):
        return {key: _shorten(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shorten(item) for item in value[:_LONGEST_LIST]]
    return _trim(value)


def _trim(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value, _LONGEST_TEXT)
    if isinstance(value, dict):
        short = {key: value[key] for key in _ITEM_KEYS if key in value}
        return {key: _trim(item) for key, item in (short or value).items()}
    if isinstance(value, list | tuple):
        return [_trim(item) for item in value[:_MOST_ITEMS]]
    return value
