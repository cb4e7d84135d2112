from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.event import EVENT_LIMIT, encode_event
from coc2mqtt.mqtt.payloads.models import EventPayload

ID = "0123456789abcdef0123456789abcdef"
# Wide characters, and those that JSON escapes, count more than one byte.
TEXT = st.text(max_size=40) | st.builds(
    str.__mul__, st.sampled_from(["x", "\\", "\0", "é", "😀\n"]), st.integers(0, 3000)
)
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
CHANGES = st.lists(st.fixed_dictionaries({"field": TEXT, "old_value": VALUE, "new_value": VALUE}), max_size=20)


def entry(**fields: Any) -> JournalEntry:
    said = {
        "event_type": "member_role_changed",
        "tag": "#2PP",
        "name": "The Order",
        "timestamp": 1_795_435_200.123,
        "summary": "Kristen of The Order was promoted to elder",
        "changes": (),
        "metadata": {},
        **fields,
    }
    return JournalEntry(4711, ID, Kind.CLAN, EventRecord(**said))


def test_an_event_is_published_as_documented() -> None:
    changes = ({"field": "role", "old_value": "member", "new_value": "admin"},)
    metadata = {"member_tag": "#G8YP9GL08", "member_name": "Kristen", "old_role": "member", "new_role": "admin"}
    assert orjson.loads(encode_event(entry(changes=changes, metadata=metadata))) == {
        "id": ID,
        "seq": 4711,
        "event_type": "member_role_changed",
        "tag": "#2PP",
        "name": "The Order",
        "timestamp": "2026-11-23T12:00:00.123+00:00",
        "summary": "Kristen of The Order was promoted to elder",
        "changes": list(changes),
        "metadata": metadata,
    }


@given(
    name=st.none() | TEXT,
    summary=TEXT,
    changes=CHANGES.map(tuple),
    metadata=st.dictionaries(st.text(max_size=30), VALUE, max_size=15),
)
def test_whatever_the_record_holds_the_payload_is_small_and_valid(**fields: Any) -> None:
    payload = encode_event(entry(**fields))
    assert len(payload) <= EVENT_LIMIT
    event = EventPayload.model_validate(orjson.loads(payload))
    assert (event.id, event.seq, event.tag) == (ID, 4711, "#2PP")


def test_an_event_at_the_limit_is_whole() -> None:
    spare = EVENT_LIMIT - len(encode_event(entry(metadata={"message": ""})))
    whole = encode_event(entry(metadata={"message": "x" * spare}))
    assert len(whole) == EVENT_LIMIT
    assert "left_out" not in orjson.loads(whole)["metadata"]
    cut = orjson.loads(encode_event(entry(metadata={"message": "x" * (spare + 1)})))
    assert cut["metadata"] == {"left_out": 1}


def test_changes_are_left_out_from_the_end_before_any_metadata() -> None:
    changes = tuple({"field": f"field{number}", "old_value": "a" * 150, "new_value": "b" * 150} for number in range(20))
    said = orjson.loads(encode_event(entry(changes=changes, metadata={"endpoint": "clan"})))
    kept = len(said["changes"])
    assert [change["field"] for change in said["changes"]] == [f"field{number}" for number in range(kept)]
    assert kept > 0
    assert said["metadata"] == {"endpoint": "clan", "left_out": 20 - kept}


def test_the_longest_metadata_is_left_out_first() -> None:
    metadata = {"member_tag": "#2PP", "long": "x" * 1500, "message": "y" * 400, "longer": "z" * 1600}
    said = orjson.loads(encode_event(entry(metadata=metadata)))
    assert said["metadata"] == {"member_tag": "#2PP", "message": "y" * 400, "left_out": 2}


@pytest.mark.parametrize("field", ["name", "summary"])
def test_a_name_or_a_sentence_that_is_too_long_is_cut_and_shows_it(field: str) -> None:
    said = orjson.loads(encode_event(entry(**{field: "😀" * 3000})))
    assert said[field].startswith("😀" * 40)
    assert said[field].endswith("😀…")


def test_a_name_that_is_no_text_is_none() -> None:
    assert orjson.loads(encode_event(entry(name=5)))["name"] is None


def test_a_change_between_descriptions_as_long_as_the_game_allows_fits() -> None:
    old, new = "部" * 255, "😀" * 255
    event = Event(EventType.CLAN_UPDATED, "#2PP", changes=(Change("description", old, new),), name="The Order")
    payload = encode_event(JournalEntry(1, ID, Kind.CLAN, EventRecord.of(event)))
    assert len(payload) <= EVENT_LIMIT
    assert orjson.loads(payload)["summary"].startswith("The Order: description changed from 部")


def test_of_a_long_list_as_many_entries_are_kept_as_fit() -> None:
    left = [{"tag": f"#2PP{number:06}", "name": f"Member {number}", "attacks_left": 2} for number in range(50)]
    event = Event(
        EventType.WAR_ENDED,
        "#2PP",
        metadata={"result": "lose", "attacks_left": 100, "members_attacks_left": left},
        name="The Order",
    )
    payload = encode_event(JournalEntry(1, ID, Kind.WAR, EventRecord.of(event)))
    said = orjson.loads(payload)["metadata"]
    assert EVENT_LIMIT - 80 < len(payload) <= EVENT_LIMIT
    kept = len(said["members_attacks_left"])
    assert said["members_attacks_left"] == left[:kept]
    assert said == {"result": "lose", "attacks_left": 100, "members_attacks_left": left[:kept], "left_out": 50 - kept}


def test_what_the_record_left_out_is_counted_as_well() -> None:
    changes = tuple(Change(f"field{number}", "a" * 150, "b" * 150) for number in range(31))
    record = EventRecord.of(Event(EventType.CLAN_UPDATED, "#2PP", changes=changes, name="The Order"))
    said = orjson.loads(encode_event(JournalEntry(1, ID, Kind.CLAN, record)))
    assert len(said["changes"]) + said["metadata"]["left_out"] == 31
