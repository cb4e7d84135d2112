"""An event as it is stored and published: with its summary, and cut to the maximum size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson
import structlog

from coc2mqtt.events.compare.diff import order_free_key
from coc2mqtt.events.summary import summarize
from coc2mqtt.util.text import shorten, shorten_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.event import Change, Event

_log = structlog.get_logger()

# The size of a published event in bytes, which every broker accepts and which fits on a screen.
MAX_EVENT_BYTES = 2048
_MAX_TEXT_LENGTH = 160
# As JSON strings; together with the other mandatory fields they stay well below the maximum size of an event.
_MAX_NAME_BYTES = 200
_MAX_SUMMARY_BYTES = 600
_MAX_ITEMS = 5
_MAX_CHANGES = 20
# The number of members of a clan.
_MAX_LIST_LENGTH = 50
# As JSON. A larger value is left out before the event is encoded as a whole.
_MAX_VALUE_BYTES = 8192
# The few fields that identify an item of a list: a troop, an achievement, a label or a district.
_ITEM_KEYS = ("tag", "name", "village", "level", "stars", "value")
# The fields that are added when the event is published, with their longest values: integers of more than 53 bits are
# not exact in JavaScript, so no sequence number has more digits than this.
_PUBLISHED_FIELDS = {"id": "0" * 32, "seq": 2**53, "timestamp": "2026-11-23T12:00:00.123+00:00"}


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event, ready to be encoded as JSON and published. It contains only JSON values.

    ``timestamp`` is Unix time in seconds. Each of ``changes`` has ``field``, ``old_value`` and ``new_value``. The
    published event takes at most 2 kB regardless of the API's response: lists contain only the items that differ, long
    texts are cut, and what is still too large is left out. ``metadata`` then has ``left_out``, the number of changes,
    metadata keys and list entries that are missing.
    """

    event_type: str
    tag: str
    name: str | None
    timestamp: float
    summary: str
    changes: tuple[dict[str, Any], ...]
    metadata: dict[str, Any]

    @classmethod
    def of(cls, event: Event, describe: Callable[[Event], str] = summarize) -> Self:
        """Return the record of an event with the summary that ``describe`` returns.

        Raises TypeError if something in the event cannot be encoded as JSON.
        """
        changes = [change for change in map(_trim_change, event.changes[:_MAX_CHANGES]) if _is_small(change)]
        metadata = {key: value for key, item in event.metadata.items() if _is_small(value := _trim_metadata(item))}
        left_out = len(event.changes) - len(changes) + len(event.metadata) - len(metadata)
        fields: dict[str, Any] = {
            "event_type": event.event_type.value,
            "tag": event.tag,
            # The name comes from the API unvalidated.
            "name": shorten_json(shorten(event.name, _MAX_TEXT_LENGTH), _MAX_NAME_BYTES)
            if isinstance(event.name, str)
            else None,
            "summary": shorten_json(_summary(event, describe), _MAX_SUMMARY_BYTES),
        }
        changes, metadata = _fit(fields, changes, metadata, left_out)
        return cls(**fields, timestamp=float(event.timestamp), changes=tuple(changes), metadata=metadata)


def _summary(event: Event, describe: Callable[[Event], str]) -> str:
    """Return the summary of an event; a bug in a sentence must not cost the event."""
    try:
        return describe(event)
    except Exception:  # noqa: BLE001 - whatever it is, the event matters more
        _log.exception("summary failed", event_type=event.event_type.value, tag=event.tag, hint="please report it")
        return f"{event.name or event.tag}: {event.event_type.value.replace('_', ' ')}"


def _fit(
    fields: dict[str, Any], changes: list[dict[str, Any]], metadata: dict[str, Any], left_out: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the changes and metadata that fit into a published event.

    Changes are left out from the end, then the longest metadata; a list loses its entries from the end one by one.
    """
    while True:
        result = {**metadata, "left_out": left_out} if left_out else metadata
        encoded = orjson.dumps({**_PUBLISHED_FIELDS, **fields, "changes": changes, "metadata": result})
        if len(encoded) <= MAX_EVENT_BYTES or not (changes or metadata):
            return changes, result
        left_out += 1
        if changes:
            changes = changes[:-1]
            continue
        longest = max(metadata, key=lambda key: len(str(metadata[key])))
        value = metadata[longest]
        if isinstance(value, list) and value:
            metadata = {**metadata, longest: value[:-1]}
        else:
            metadata = {key: item for key, item in metadata.items() if key != longest}


def _trim_change(change: Change) -> dict[str, Any]:
    old, new = change.old_value, change.new_value
    if isinstance(old, list) and isinstance(new, list):
        old, new = _different_items(old, new)
    return {"field": change.field, "old_value": _trim(old), "new_value": _trim(new)}


def _different_items(old: list[Any], new: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the items that are in only one of two lists."""
    old_keys, new_keys = [order_free_key(item) for item in old], [order_free_key(item) for item in new]
    in_old, in_new = set(old_keys), set(new_keys)
    return (
        [item for item, key in zip(old, old_keys, strict=True) if key not in in_new],
        [item for item, key in zip(new, new_keys, strict=True) if key not in in_old],
    )


def _is_small(value: Any) -> bool:
    return len(orjson.dumps(value)) <= _MAX_VALUE_BYTES


def _trim_metadata(value: Any) -> Any:
    """Return a value of the metadata with its texts and lists shortened; its objects keep all keys."""
    if isinstance(value, dict):
        return {key: _trim_metadata(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_trim_metadata(item) for item in value[:_MAX_LIST_LENGTH]]
    return _trim(value)


def _trim(value: Any) -> Any:
    if isinstance(value, str):
        return shorten(value, _MAX_TEXT_LENGTH)
    if isinstance(value, dict):
        identity = {key: value[key] for key in _ITEM_KEYS if key in value}
        return {key: _trim(item) for key, item in (identity or value).items()}
    if isinstance(value, list | tuple):
        return [_trim(item) for item in value[:_MAX_ITEMS]]
    if value is None or isinstance(value, int | float):
        return value
    raise TypeError(f"not a JSON value: {value!r}")
