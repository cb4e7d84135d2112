"""The payloads of a journal entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.mqtt.payloads.models import ChangePayload, EventPayload, LastEventPayload, iso_time

if TYPE_CHECKING:
    from coc2mqtt.journal.protocol import JournalEntry


def encode_event(entry: JournalEntry) -> bytes:
    """Return the bytes to publish on the event's topic."""
    return event_payload(entry).encode()


def event_payload(entry: JournalEntry) -> EventPayload:
    """Return the payload that is published on the event's topic, at most 2 kB (see ``EventRecord``)."""
    record = entry.record
    return EventPayload(
        id=entry.id,
        seq=entry.seq,
        event_type=record.event_type,
        tag=record.tag,
        name=record.name,
        timestamp=iso_time(record.timestamp),
        summary=record.summary,
        changes=[ChangePayload(**change) for change in record.changes],
        metadata=record.metadata,
    )


def last_event_payload(entry: JournalEntry) -> LastEventPayload:
    """Return the event as ``bridge/health`` shows it."""
    record = entry.record
    return LastEventPayload(
        event_type=record.event_type,
        tag=record.tag,
        name=record.name,
        summary=record.summary,
        timestamp=iso_time(record.timestamp),
        seq=entry.seq,
    )
