"""An event of the journal as it is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.mqtt.payloads import ChangePayload, EventPayload, iso_time

if TYPE_CHECKING:
    from coc2mqtt.journal.protocol import JournalEntry

# What fits every broker, and a screen.
EVENT_LIMIT = 2048


def encode_event(entry: JournalEntry) -> bytes:
    """Return an event's payload, at most EVENT_LIMIT bytes.

    One that is larger loses changes from the end, then its longest metadata; ``metadata.left_out`` says how many.
    """
    record = entry.record
    changes = [ChangePayload(**change) for change in record.changes]
    metadata = dict(record.metadata)
    left_out = 0
    while True:
        payload = EventPayload(
            id=entry.id,
            seq=entry.seq,
            event_type=record.event_type,
            tag=record.tag,
            name=record.name,
            timestamp=iso_time(record.timestamp),
            summary=record.summary,
            changes=changes,
            metadata={**metadata, "left_out": left_out} if left_out else metadata,
        ).encode()
        if len(payload) <= EVENT_LIMIT or not (changes or metadata):
            return payload
        left_out += 1
        if changes:
            changes.pop()
        else:
            del metadata[max(metadata, key=lambda key: len(str(metadata[key])))]
