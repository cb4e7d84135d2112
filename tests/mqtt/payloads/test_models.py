"""The encoding of payloads, and the payloads of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.codec import decode_record, encode_record
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.models import EventPayload, OnlinePayload, ResponsePayload, WatchesPayload, iso_time

if TYPE_CHECKING:
    from collections.abc import Callable

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
ID = "0123456789abcdef0123456789abcdef"
MAX_SEQ = 2**53
# Wide characters, and those that JSON escapes, take more than one byte.
TEXT = st.text(max_size=40) | st.builds(
    str.__mul__, st.sampled_from(["x", "\\", "\0", "é", "😀\n"]), st.integers(0, 3000)
)
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
CHANGES = st.lists(st.builds(Change, TEXT, VALUE, VALUE), max_size=20)


@pytest.mark.parametrize(
    ("unix_time", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000+00:00"),
        (1_795_435_200.123, "2026-11-23T12:00:00.123+00:00"),
        (1_795_435_200.9999, "2026-11-23T12:00:00.999+00:00"),
    ],
)
def test_iso_time_has_milliseconds_and_offset(unix_time: float, text: str) -> None:
    assert iso_time(unix_time) == text


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (OnlinePayload(state="online"), b'{"state":"online"}'),
        (WatchesPayload(watches=[]), b'{"watches":[]}'),
        (ResponsePayload(status="ok", data={}), b'{"status":"ok","data":{}}'),
        (ResponsePayload(status="ok", data={}, transaction=0), b'{"status":"ok","data":{},"transaction":0}'),
        (
            ResponsePayload(status="error", data={}, error="no", transaction=""),
            b'{"status":"error","data":{},"error":"no","transaction":""}',
        ),
    ],
)
def test_payload_is_encoded_as_documented(payload: OnlinePayload | ResponsePayload, expected: bytes) -> None:
    assert payload.encode() == expected


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_response_with_arbitrary_data_is_valid_json(data: dict[str, Any]) -> None:
    decoded = orjson.loads(ResponsePayload(status="ok", data=data).encode())
    assert decoded["data"].keys() == data.keys()


@pytest.mark.parametrize(
    "build",
    [
        lambda: OnlinePayload.model_validate({"state": "perhaps"}),
        lambda: OnlinePayload.model_validate({"state": "online", "password": "x"}),
        lambda: ResponsePayload.model_validate({"status": "ok"}),
    ],
)
def test_payload_with_invalid_or_unknown_keys_is_rejected(build: Callable[[], object]) -> None:
    with pytest.raises(ValidationError):
        build()


def published(event: Event, *, seq: int = MAX_SEQ) -> bytes:
    """Return an event's payload. An event that was read from the journal's file has the same."""
    record = EventRecord.of(event)
    payload, from_file = (
        EventPayload.of(JournalEntry(seq, ID, Kind.CLAN, one)).encode()
        for one in (record, decode_record(encode_record(record)))
    )
    assert payload == from_file
    return payload


def clan_updated(**fields: Any) -> Event:
    return Event(EventType.CLAN_UPDATED, "#2PP", **{"name": "The Order", **fields})


def test_event_is_published_as_documented() -> None:
    event = Event(
        EventType.MEMBER_ROLE_CHANGED,
        "#2PP",
        1_795_435_200.123,
        changes=(Change("role", "member", "admin"),),
        metadata={
            "member_tag": "#G8YP9GL08",
            "member_name": "Kristen",
            "old_role": "member",
            "new_role": "admin",
            "direction": "promoted",
        },
        name="The Order",
    )
    assert orjson.loads(published(event, seq=4711)) == {
        "id": ID,
        "seq": 4711,
        "event_type": "member_role_changed",
        "tag": "#2PP",
        "name": "The Order",
        "timestamp": "2026-11-23T12:00:00.123+00:00",
        "summary": "Kristen of The Order was promoted to elder",
        "changes": [{"field": "role", "old_value": "member", "new_value": "admin"}],
        "metadata": event.metadata,
    }


@given(
    seq=st.integers(1, MAX_SEQ),
    name=st.none() | TEXT,
    changes=CHANGES.map(tuple),
    metadata=st.dictionaries(st.text(max_size=30), VALUE, max_size=15),
)
def test_payload_of_any_event_is_small_and_valid(seq: int, **fields: Any) -> None:
    payload = published(clan_updated(**fields), seq=seq)
    assert len(payload) <= MAX_EVENT_BYTES
    event = EventPayload.model_validate(orjson.loads(payload))
    assert (event.id, event.seq, event.tag) == (ID, seq, "#2PP")


def test_event_of_the_maximum_size_is_published_completely() -> None:
    notes = {f"note{number}": "x" * 150 for number in range(11)}
    spare = MAX_EVENT_BYTES - len(published(clan_updated(metadata={**notes, "message": ""})))
    assert 0 < spare < 150
    complete = published(clan_updated(metadata={**notes, "message": "x" * spare}))
    assert len(complete) == MAX_EVENT_BYTES
    assert "left_out" not in orjson.loads(complete)["metadata"]
    too_long = {**notes, "message": "x" * (spare + 1)}
    cut = orjson.loads(published(clan_updated(metadata=too_long)))
    del too_long["note0"]
    assert cut["metadata"] == {**too_long, "left_out": 1}


def test_changes_are_left_out_from_the_end_before_any_metadata() -> None:
    changes = tuple(Change(f"field{number}", "a" * 150, "b" * 150) for number in range(20))
    event = orjson.loads(published(clan_updated(changes=changes, metadata={"endpoint": "clan"})))
    kept = len(event["changes"])
    assert [change["field"] for change in event["changes"]] == [f"field{number}" for number in range(kept)]
    assert kept > 0
    assert event["metadata"] == {"endpoint": "clan", "left_out": 20 - kept}


def test_longest_metadata_is_left_out_first() -> None:
    long, longer = ({str(number): "x" * 150 for number in range(count)} for count in (11, 12))
    metadata = {"member_tag": "#2PP", "long": long, "message": "y" * 150, "longer": longer}
    event = orjson.loads(published(clan_updated(metadata=metadata)))
    assert event["metadata"] == {"member_tag": "#2PP", "message": "y" * 150, "left_out": 2}


@pytest.mark.parametrize("field", ["name", "summary"])
def test_long_name_or_summary_is_cut_with_an_ellipsis(field: str) -> None:
    text = "😀" * 3000
    renamed = Event(EventType.PLAYER_NAME_CHANGED, "#2PP", metadata={"old_value": text, "new_value": text}, name=text)
    event = orjson.loads(published(renamed))
    assert event[field].startswith("😀" * 40)
    assert event[field].endswith("😀…")


def test_change_of_the_longest_description_fits() -> None:
    old, new = "部" * 255, "😀" * 255
    payload = published(clan_updated(changes=(Change("description", old, new),)))
    assert len(payload) <= MAX_EVENT_BYTES
    event = orjson.loads(payload)
    assert event["summary"] == "The Order has a new description"
    assert event["changes"][0]["old_value"].startswith("部")


def test_long_metadata_list_keeps_as_many_entries_as_fit() -> None:
    left = [{"tag": f"#2PP{number:06}", "name": f"Member {number}", "attacks_left": 2} for number in range(50)]
    metadata = {"result": "lose", "attacks_left": 100, "members_attacks_left": left}
    payload = published(Event(EventType.WAR_ENDED, "#2PP", metadata=metadata, name="The Order"))
    assert MAX_EVENT_BYTES - 80 < len(payload) <= MAX_EVENT_BYTES
    kept = len(orjson.loads(payload)["metadata"]["members_attacks_left"])
    assert orjson.loads(payload)["metadata"] == {
        **metadata,
        "members_attacks_left": left[:kept],
        "left_out": 50 - kept,
    }


def test_left_out_counts_changes_beyond_the_first_twenty() -> None:
    changes = tuple(Change(f"field{number}", "a" * 150, "b" * 150) for number in range(31))
    event = orjson.loads(published(clan_updated(changes=changes)))
    assert len(event["changes"]) + event["metadata"]["left_out"] == 31
