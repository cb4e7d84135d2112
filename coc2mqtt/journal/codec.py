"""How snapshots, records and watches are written into the journal."""

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

# Of JSON of this size the first level makes no more bytes than the usual third, in two thirds of the time.
_COMPRESSION: dict[int, int] = {
    zstd.CompressionParameter.checksum_flag: 1,
    zstd.CompressionParameter.compression_level: 1,
}
_FIELD_SETS = ("include_fields", "exclude_fields")


def checksum(*parts: str | bytes | float | None) -> int:
    """Return a checksum over what is stored in a row, in this order."""
    total = 0
    for part in parts:
        total = zlib.crc32(part if isinstance(part, bytes) else f"{part}\0".encode(), total)
    return total


def check(stored: int, *parts: str | bytes | float | None) -> None:
    """Raise ValueError where the parts are not those that the checksum was made of."""
    if stored != checksum(*parts):
        raise ValueError("the checksum is another one")


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return a snapshot's data and memo as JSON; raises TypeError when something in them is no JSON."""
    return orjson.dumps({"data": snapshot.data, "memo": snapshot.memo})


class Compressor:
    """Compresses one body after the other, in one thread at a time."""

    def __init__(self) -> None:
        # One for all of them, because the tables that it needs cost as much as the compressing.
        self._zstd = zstd.ZstdCompressor(options=_COMPRESSION)

    def compress(self, body: bytes) -> bytes:
        """Return a body that ``decode_snapshot`` can read."""
        return self._zstd.compress(body, zstd.ZstdCompressor.FLUSH_FRAME)


def decode_snapshot(body: bytes, *, taken_at: float) -> Snapshot:
    """Return the snapshot that was encoded and compressed; raises ValueError when the bytes are damaged."""
    with _damage():
        fields = orjson.loads(zstd.decompress(body))
        return Snapshot(fields["data"], fields["memo"], taken_at)


def encode_record(record: EventRecord) -> str:
    """Return a record as JSON; raises TypeError when something in it is no JSON."""
    return orjson.dumps(record).decode()


def decode_record(text: str) -> EventRecord:
    """Return the record that was encoded; raises ValueError when the text is damaged."""
    with _damage():
        fields = orjson.loads(text)
        return EventRecord(**{**fields, "changes": tuple(fields["changes"])})


def encode_watch(watch: Watch) -> str:
    """Return a watch as JSON, its sets of fields sorted."""
    return orjson.dumps({**asdict(watch), **{name: _sorted(getattr(watch, name)) for name in _FIELD_SETS}}).decode()


def decode_watch(text: str) -> Watch:
    """Return the watch that was encoded; raises ValueError when the text is damaged."""
    with _damage():
        fields: dict[str, Any] = orjson.loads(text)
        sets = {name: None if fields[name] is None else frozenset(fields[name]) for name in _FIELD_SETS}
        return Watch(**{**fields, **sets, "kind": Kind(fields["kind"])})


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Let whatever damaged bytes lead to be a ValueError: a key with another letter in it, say, is a KeyError."""
    try:
        yield
    except (zstd.ZstdError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from error


def _sorted(fields: Iterable[str] | None) -> list[str] | None:
    return None if fields is None else sorted(fields)
