"""Conversion between table rows, with their checksums, and the snapshots, events and watches that they store."""

from __future__ import annotations

import contextlib
import sys
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import DEFAULT_REMINDERS, INACTIVE_AFTER_S, Kind, Reminders, Resource, Snapshot, Watch
from coc2mqtt.journal.protocol import JournalEntry, StoredWatch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# For JSON of this size, level 1 compresses as well as the default level 3 and takes two thirds of the time.
_COMPRESSION: dict[int, int] = {
    zstd.CompressionParameter.checksum_flag: 1,
    zstd.CompressionParameter.compression_level: 1,
}
_FIELD_SETS = ("include_fields", "exclude_fields")
# The watch of a clan that a version without these options stored is like a new one.
_LATER_OPTIONS: dict[str, Any] = {
    "cwl": True,
    "raids": True,
    "reminders": DEFAULT_REMINDERS,
    "inactive_after": INACTIVE_AFTER_S,
}


def checksum(*columns: str | bytes | float | None) -> int:
    """Return a checksum of the columns of a row, in this order."""
    total = 0
    for column in columns:
        total = zlib.crc32(column if isinstance(column, bytes) else f"{column}\0".encode(), total)
    return total


def encode_event_row(entry: JournalEntry) -> tuple[int, str, str, float, str, int]:
    """Return the columns of an event: seq, id, kind, timestamp, record, checksum."""
    record = encode_record(entry.record)
    return entry.seq, entry.id, entry.kind, entry.record.timestamp, record, checksum(entry.id, entry.kind, record)


def decode_event_row(seq: int, id_: str, kind: str, record: str, stored_checksum: int) -> JournalEntry:
    """Return the event of a row without its timestamp. Raises ValueError if the row is corrupt."""
    _verify_checksum(stored_checksum, id_, kind, record)
    return JournalEntry(seq, id_, Kind(kind), decode_record(record))


def encode_record(record: EventRecord) -> str:
    """Return a record as JSON."""
    return orjson.dumps(record).decode()


def decode_record(text: str) -> EventRecord:
    """Return the record of an encoded text. Raises ValueError if the text is corrupt."""
    with _corruption_as_value_error():
        fields = orjson.loads(text)
        return EventRecord(**{**fields, "changes": tuple(fields["changes"])})


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the data and the memo of a snapshot as JSON. Raises TypeError if they cannot be encoded."""
    return orjson.dumps({"data": snapshot.data, "memo": snapshot.memo})


class Compressor:
    """Compresses encoded snapshots, in one thread at a time."""

    def __init__(self) -> None:
        # Reused, because creating its tables takes as long as compressing a snapshot.
        self._zstd = zstd.ZstdCompressor(options=_COMPRESSION)

    def compress(self, body: bytes) -> bytes:
        """Return the compressed body, for ``decode_snapshot_row``."""
        return self._zstd.compress(body, zstd.ZstdCompressor.FLUSH_FRAME)


def encode_snapshot_row(resource: Resource, taken_at: float, body: bytes) -> tuple[str, str, float, bytes, int]:
    """Return the columns of a snapshot with an encoded and compressed body."""
    # SQLite returns a float, and the checksum of 7 differs from that of 7.0.
    taken_at = float(taken_at)
    return *resource, taken_at, body, checksum(*resource, taken_at, body)


def decode_snapshot_row(resource: Resource, body: bytes, taken_at: float, stored_checksum: int) -> Snapshot:
    """Return the snapshot of a row. Raises ValueError if the row is corrupt."""
    _verify_checksum(stored_checksum, *resource, taken_at, body)
    return decode_snapshot(body, taken_at=taken_at)


def decode_snapshot(body: bytes, *, taken_at: float) -> Snapshot:
    """Return the snapshot of an encoded and compressed body. Raises ValueError if the body is corrupt."""
    with _corruption_as_value_error():
        fields = orjson.loads(zstd.decompress(body))
        return Snapshot(fields["data"], fields["memo"], taken_at)


def encode_watch_row(kind: Kind, tag: str, body: str | None) -> tuple[str, str, str | None, int]:
    """Return the columns of an encoded watch, or of a removed watch (None)."""
    return kind, tag, body, checksum(kind, tag, body)


def decode_watch_row(kind: str, tag: str, body: str | None, stored_checksum: int) -> StoredWatch:
    """Return the watch of a row. Raises ValueError if the row is corrupt."""
    _verify_checksum(stored_checksum, kind, tag, body)
    return StoredWatch(Kind(kind), tag, None if body is None else decode_watch(body))


def encode_watch(watch: Watch) -> str:
    """Return a watch as JSON, with its field sets sorted."""
    fields = asdict(watch)
    fields |= {name: _sorted(fields[name]) for name in _FIELD_SETS}
    fields["reminders"]["roles"] = _sorted(fields["reminders"]["roles"])
    return orjson.dumps(fields).decode()


def decode_watch(text: str) -> Watch:
    """Return the watch of an encoded text. Raises ValueError if the text is corrupt."""
    with _corruption_as_value_error():
        fields: dict[str, Any] = orjson.loads(text)
        sets = {name: None if fields[name] is None else frozenset(fields[name]) for name in _FIELD_SETS}
        is_clan = fields["kind"] == Kind.CLAN
        if "reminders" in fields:
            fields["reminders"] = _decode_reminders(fields["reminders"])
        return Watch(**{**(_LATER_OPTIONS if is_clan else {}), **fields, **sets, "kind": Kind(fields["kind"])})


def _decode_reminders(fields: dict[str, Any]) -> Reminders:
    times = {name: tuple(fields[name]) for name in ("war", "cwl", "raid", "games")}
    roles = None if fields["roles"] is None else frozenset(fields["roles"])
    return Reminders(**{**fields, **times, "roles": roles})


def _verify_checksum(stored: int, *columns: str | bytes | float | None) -> None:
    """Raise ValueError unless ``stored`` is the checksum of the columns."""
    if stored != checksum(*columns):
        raise ValueError("checksum mismatch")


@contextlib.contextmanager
def _corruption_as_value_error() -> Iterator[None]:
    """Convert every exception that corrupt bytes can cause to ValueError: a changed letter in a key raises KeyError."""
    try:
        yield
    except (zstd.ZstdError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from error


def _sorted(fields: Iterable[str] | None) -> list[str] | None:
    return None if fields is None else sorted(fields)
