"""How snapshots, records and watches are written into the journal."""

from __future__ import annotations

import sys
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
    from collections.abc import Iterable

# With a checksum, because SQLite keeps none: what a disk did to a page would else be believed.
_COMPRESSION: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
_FIELD_SETS = ("include_fields", "exclude_fields")


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return a snapshot's data and memo, compressed; raises TypeError when something in them is no JSON."""
    return zstd.compress(orjson.dumps({"data": snapshot.data, "memo": snapshot.memo}), options=_COMPRESSION)


def decode_snapshot(body: bytes, *, taken_at: float) -> Snapshot:
    """Return the snapshot that was encoded; raises ValueError when the bytes are damaged."""
    try:
        fields = orjson.loads(zstd.decompress(body))
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    return Snapshot(fields["data"], fields["memo"], taken_at)


def encode_record(record: EventRecord) -> str:
    """Return a record as JSON; raises TypeError when something in it is no JSON."""
    return orjson.dumps(record).decode()


def decode_record(text: str) -> EventRecord:
    """Return the record that was encoded; raises ValueError when the text is damaged."""
    fields = orjson.loads(text)
    return EventRecord(**{**fields, "changes": tuple(fields["changes"])})


def encode_watch(watch: Watch) -> str:
    """Return a watch as JSON, its sets of fields sorted."""
    return orjson.dumps({**asdict(watch), **{name: _sorted(getattr(watch, name)) for name in _FIELD_SETS}}).decode()


def decode_watch(text: str) -> Watch:
    """Return the watch that was encoded; raises ValueError when the text is damaged."""
    fields: dict[str, Any] = orjson.loads(text)
    sets = {name: None if fields[name] is None else frozenset(fields[name]) for name in _FIELD_SETS}
    return Watch(**{**fields, **sets, "kind": Kind(fields["kind"])})


def _sorted(fields: Iterable[str] | None) -> list[str] | None:
    return None if fields is None else sorted(fields)
