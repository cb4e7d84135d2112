"""An event of the journal as it is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from coc2mqtt.mqtt.payloads.models import ChangePayload, EventPayload, LastEventPayload, iso_time

if TYPE_CHECKING:
    from coc2mqtt.journal.protocol import JournalEntry

# What fits every broker, and a screen.
EVENT_LIMIT = 2048
# As JSON, in bytes: together with what an event always has, well below the limit.
_LONGEST_NAME = 200
_LONGEST_SUMMARY = 600
_LONGEST_CHARACTER = len(orjson.dumps("\0")) - 2


def encode_event(entry: JournalEntry) -> bytes:
    """Return an event as it is published, at most EVENT_LIMIT bytes."""
    return _fitted(entry)[1]


def event_payload(entry: JournalEntry) -> EventPayload:
    """Return an event's payload, which takes at most EVENT_LIMIT bytes.

    A very long name or summary is cut. What is larger even so loses changes from the end, then its longest metadata, of
    a list entry by entry from the end; ``metadata.left_out`` says how many.
    """
    return _fitted(entry)[0]


def _fitted(entry: JournalEntry) -> tuple[EventPayload, bytes]:
    record = entry.record
    # The API's word, which nobody has checked: an event that could not be published would block all that follow.
    name = _shorten(record.name, _LONGEST_NAME) if isinstance(record.name, str) else None
    summary = _shorten(record.summary, _LONGEST_SUMMARY)
    changes = [ChangePayload(**change) for change in record.changes]
    metadata = dict(record.metadata)
    before = metadata.pop("left_out", 0)
    left_out = before if isinstance(before, int) else 0
    while True:
        payload = EventPayload(
            id=entry.id,
            seq=entry.seq,
            event_type=record.event_type,
            tag=record.tag,
            name=name,
            timestamp=iso_time(record.timestamp),
            summary=summary,
            changes=changes,
            metadata={**metadata, "left_out": left_out} if left_out else metadata,
        )
        encoded = payload.encode()
        if len(encoded) <= EVENT_LIMIT or not (changes or metadata):
            return payload, encoded
        left_out += 1
        if changes:
            changes.pop()
        else:
            longest = max(metadata, key=lambda key: len(str(metadata[key])))
            if isinstance(metadata[longest], list) and metadata[longest]:
                metadata[longest] = metadata[longest][:-1]
            else:
                del metadata[longest]


def last_event(entry: JournalEntry) -> LastEventPayload:
    """Return an event as ``bridge/health`` tells of it."""
    record = entry.record
    return LastEventPayload(
        event_type=record.event_type,
        tag=record.tag,
        name=_shorten(record.name, _LONGEST_NAME) if isinstance(record.name, str) else None,
        summary=_shorten(record.summary, _LONGEST_SUMMARY),
        timestamp=iso_time(record.timestamp),
        seq=entry.seq,
    )


def _shorten(text: str, limit: int) -> str:
    """Return a text that takes at most ``limit`` bytes as JSON: there a control character is six."""
    # No character takes more than that.
    if 2 + _LONGEST_CHARACTER * len(text) <= limit or len(orjson.dumps(text)) <= limit:
        return text
    kept = text[:limit]
    while len(orjson.dumps(f"{kept}…")) > limit:
        kept = kept[:-1]
    return f"{kept}…"
