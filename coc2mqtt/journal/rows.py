"""What a row holds, with its checksum, and what it means."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.codec import (
    check,
    checksum,
    decode_record,
    decode_snapshot,
    decode_watch,
    encode_record,
)
from coc2mqtt.journal.protocol import JournalEntry, StoredWatch

if TYPE_CHECKING:
    import random

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Resource, Snapshot


class NewEvent(NamedTuple):
    """An event that has no number yet; ``timestamp`` is Unix time in seconds, ``record`` JSON."""

    id: str
    kind: str
    timestamp: float
    record: str
    checksum: int


class EventRow(NamedTuple):
    """An event as it is read."""

    seq: int
    id: str
    kind: str
    record: str
    checksum: int


def new_event(kind: Kind, event: Event, rng: random.Random) -> NewEvent:
    """Return what is stored of an event, with an id of its own; raises TypeError when something in it is no JSON."""
    record = EventRecord.of(event)
    id_, text = uuid.UUID(int=rng.getrandbits(128), version=4).hex, encode_record(record)
    return NewEvent(id_, kind, record.timestamp, text, checksum(id_, kind, text))


def entry(seq: int, id_: str, kind: str, record: str, stored: int) -> JournalEntry:
    """Return an event that was read; raises ValueError when the row is damaged."""
    check(stored, id_, kind, record)
    return JournalEntry(seq, id_, Kind(kind), decode_record(record))


def snapshot_row(resource: Resource, taken_at: float, body: bytes) -> tuple[str, str, float, bytes, int]:
    """Return what is stored of a snapshot, with its body compressed."""
    # As a float, because that is how SQLite gives it back.
    taken_at = float(taken_at)
    return *resource, taken_at, body, checksum(*resource, taken_at, body)


def stored_snapshot(resource: Resource, body: bytes, taken_at: float, stored: int) -> Snapshot:
    """Return a snapshot that was read; raises ValueError when the row is damaged."""
    check(stored, *resource, taken_at, body)
    return decode_snapshot(body, taken_at=taken_at)


def watch_row(kind: Kind, tag: str, body: str | None) -> tuple[str, str, str | None, int]:
    """Return what is stored of a watch."""
    return kind, tag, body, checksum(kind, tag, body)


def stored_watch(kind: str, tag: str, body: str | None, stored: int) -> StoredWatch:
    """Return a watch that was read; raises ValueError when the row is damaged."""
    check(stored, kind, tag, body)
    return StoredWatch(Kind(kind), tag, None if body is None else decode_watch(body))
