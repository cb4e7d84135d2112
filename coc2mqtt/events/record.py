"""An event as it is kept and published: named, put into a sentence, and trimmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from coc2mqtt.events.summary import summarize

if TYPE_CHECKING:
    from coc2mqtt.events.event import Change, Event

_LONGEST_TEXT = 160
_MOST_ITEMS = 5
_MOST_CHANGES = 20
# As many as a clan has members.
_LONGEST_LIST = 50
# What tells one item of a list (a troop, an achievement, a label, a district) from another, in few bytes.
_ITEM_KEYS = ("tag", "name", "village", "level", "stars", "value")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What is said of an event; every value can be written as JSON.

    ``timestamp`` is Unix time in seconds. Each of ``changes`` has ``field``, ``old_value`` and ``new_value``; of a
    list only the items that differ are kept, of a long text its beginning, so that a record stays small whatever
    the API sent.
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
        left_out = len(event.changes) - _MOST_CHANGES
        metadata = {**event.metadata, "left_out": left_out} if left_out > 0 else event.metadata
        return cls(
            event_type=event.event_type.value,
            tag=event.tag,
            name=event.name,
            timestamp=event.timestamp,
            summary=summarize(event),
            changes=tuple(_trim_change(change) for change in event.changes[:_MOST_CHANGES]),
            metadata={key: _shorten(value) for key, value in metadata.items()},
        )


def _trim_change(change: Change) -> dict[str, Any]:
    old, new = change.old_value, change.new_value
    if isinstance(old, list) and isinstance(new, list):
        old, new = [item for item in old if item not in new], [item for item in new if item not in old]
    return {"field": change.field, "old_value": _trim(old), "new_value": _trim(new)}


def _shorten(value: Any) -> Any:
    """Return a value of the metadata, which the engine has put together, with no text and no list too long."""
    if isinstance(value, dict):
        return {key: _shorten(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shorten(item) for item in value[:_LONGEST_LIST]]
    return _trim(value)


def _trim(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return value[: _LONGEST_TEXT - 1] + "…"
    if isinstance(value, dict):
        short = {key: value[key] for key in _ITEM_KEYS if key in value}
        return {key: _trim(item) for key, item in (short or value).items()}
    if isinstance(value, list | tuple):
        return [_trim(item) for item in value[:_MOST_ITEMS]]
    return value
