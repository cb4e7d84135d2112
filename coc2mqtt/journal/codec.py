"""Encoding of snapshots, event records and watches for storage."""

from __future__ import annotations

import contextlib
import sys
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Snapshot
from coc2mqtt.events.watch import Watch

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


def checksum(*columns: str | bytes | float | None) -> int:
    """Return a checksum of the columns of a row, in this order."""
    total = 0
    for column in columns:
        total = zlib.crc32(column if isinstance(column, bytes) else f"{column}\0".encode(), total)
    return total


def verify_checksum(stored: int, *columns: str | bytes | float | None) -> None:
    """Raise ValueError unless ``stored`` is the checksum of the columns."""
    if stored != checksum(*columns):
        raise ValueError("checksum mismatch")


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the data and the memo of a snapshot as JSON. Raises TypeError if they cannot be encoded."""
    return orjson.dumps({"data": snapshot.data, "memo": snapshot.memo})


class Compressor:
    """Compresses encoded snapshots, in one thread at a time."""

    def __init__(self) -> None:
        # Reused, because creating its tables takes as long as compressing a snapshot.
        self._zstd = zstd.ZstdCompressor(options=_COMPRESSION)

    def compress(self, body: bytes) -> bytes:
        """Return the compressed body, for ``decode_snapshot``."""
        return self._zstd.compress(body, zstd.ZstdCompressor.FLUSH_FRAME)


def decode_snapshot(body: bytes, *, taken_at: float) -> Snapshot:
    """Return the snapshot of an encoded and compressed body. Raises ValueError if the body is corrupt."""
    with _corruption_as_value_error():
        fields = orjson.loads(zstd.decompress(body))
        return Snapshot(fields["data"], fields["memo"], taken_at)


def encode_record(record: EventRecord) -> str:
    """Return a record as JSON. Raises TypeError if it cannot be encoded."""
    return orjson.dumps(record).decode()


def decode_record(text: str) -> EventRecord:
    """Return the record of an encoded text. Raises ValueError if the text is corrupt."""
    with _corruption_as_value_error():
        fields = orjson.loads(text)
        return EventRecord(**{**fields, "changes": tuple(fields["changes"])})


def encode_watch(watch: Watch) -> str:
    """Return a watch as JSON, with its field sets sorted."""
    return orjson.dumps({**asdict(watch), **{name: _sorted(getattr(watch, name)) for name in _FIELD_SETS}}).decode()


def decode_watch(text: str) -> Watch:
    """Return the watch of an encoded text. Raises ValueError if the text is corrupt."""
    with _corruption_as_value_error():
        fields: dict[str, Any] = orjson.loads(text)
        sets = {name: None if fields[name] is None else frozenset(fields[name]) for name in _FIELD_SETS}
        return Watch(**{**fields, **sets, "kind": Kind(fields["kind"])})


@contextlib.contextmanager
def _corruption_as_value_error() -> Iterator[None]:
    """Convert every exception that corrupt bytes can cause to ValueError: a changed letter in a key raises KeyError."""
    try:
        yield
    except (zstd.ZstdError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from error


def _sorted(fields: Iterable[str] | None) -> list[str] | None:
    return None if fields is None else sorted(fields)
