"""Conversion between table rows, with their checksums, and the objects that they store."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.codec import (
    checksum,
    decode_record,
    decode_snapshot,
    decode_watch,
    encode_record,
    verify_checksum,
)
from coc2mqtt.journal.protocol import JournalEntry, StoredWatch

if TYPE_CHECKING:
    import random

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Resource, Snapshot


class NewEvent(NamedTuple):
    """An encoded event without a number. ``timestamp`` is Unix time in seconds, ``record`` is JSON."""

    id: str
    kind: str
    timestamp: float
    record: str
    checksum: int


class EventRow(NamedTuple):
    """The columns that are read of an event."""

    seq: int
    id: str
    kind: str
    record: str
    checksum: int


def encode_new_event(kind: Kind, event: Event, rng: random.Random) -> NewEvent:
    """Return the columns of a new event, with a new id. Raises TypeError if the event cannot be encoded."""
    record = EventRecord.of(event)
    id_, text = uuid.UUID(int=rng.getrandbits(128), version=4).hex, encode_record(record)
    return NewEvent(id_, kind, record.timestamp, text, checksum(id_, kind, text))


def decode_event_row(seq: int, id_: str, kind: str, record: str, stored_checksum: int) -> JournalEntry:
    """Return the event of a row. Raises ValueError if the row is corrupt."""
    verify_checksum(stored_checksum, id_, kind, record)
    return JournalEntry(seq, id_, Kind(kind), decode_record(record))


def encode_snapshot_row(resource: Resource, taken_at: float, body: bytes) -> tuple[str, str, float, bytes, int]:
    """Return the columns of a snapshot with an encoded and compressed body."""
    # SQLite returns a float, and the checksum of 7 differs from that of 7.0.
    taken_at = float(taken_at)
    return *resource, taken_at, body, checksum(*resource, taken_at, body)


def decode_snapshot_row(resource: Resource, body: bytes, taken_at: float, stored_checksum: int) -> Snapshot:
    """Return the snapshot of a row. Raises ValueError if the row is corrupt."""
    verify_checksum(stored_checksum, *resource, taken_at, body)
    return decode_snapshot(body, taken_at=taken_at)


def encode_watch_row(kind: Kind, tag: str, body: str | None) -> tuple[str, str, str | None, int]:
    """Return the columns of an encoded watch, or of a removed watch (None)."""
    return kind, tag, body, checksum(kind, tag, body)


def decode_watch_row(kind: str, tag: str, body: str | None, stored_checksum: int) -> StoredWatch:
    """Return the watch of a row. Raises ValueError if the row is corrupt."""
    verify_checksum(stored_checksum, kind, tag, body)
    return StoredWatch(Kind(kind), tag, None if body is None else decode_watch(body))
