"""The command ``replay``: what was delivered, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal.protocol import JournalEntry, Selection
from coc2mqtt.mqtt.control.commands import Commands
from coc2mqtt.mqtt.control.replay import LARGEST_ANSWER, Replay
from coc2mqtt.mqtt.payloads.event import encode_event
from coc2mqtt.mqtt.payloads.requests import ReplayRequest
from tests.support.control import DeliveredInMemory, LevelInMemory, WatchedInMemory, commands, everything_noted, health

if TYPE_CHECKING:
    from coc2mqtt.mqtt.payloads.models import ResponsePayload

NOW = 1_800_000_000.0  # what the clock of the commands under test says


def entries(count: int, *, note: str = "") -> list[JournalEntry]:
    return [
        JournalEntry(
            seq,
            f"{seq:032x}",
            Kind.CLAN,
            EventRecord.of(Event(EventType.CLAN_UPDATED, "#2PP", timestamp=NOW, metadata={"note": note})),
        )
        for seq in range(1, count + 1)
    ]


async def answer(journal: DeliveredInMemory, payload: bytes | dict[str, Any], **how: Any) -> ResponsePayload:
    payload = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return await commands(WatchedInMemory(), journal=journal).answer("replay", payload, **how)


async def ask(journal: DeliveredInMemory, payload: bytes | dict[str, Any], **how: Any) -> Any:
    """Return the answer as whoever asked reads it."""
    return orjson.loads((await answer(journal, payload, **how)).encode())


async def page_with_a_bug(journal: DeliveredInMemory, bad: int, **request: Any) -> tuple[list[int], int | None]:
    """Return a page's numbers and its ``next_seq``, where one event cannot be encoded."""
    entry = journal.entries[bad - 1]
    journal.entries[bad - 1] = replace(entry, record=replace(entry.record, timestamp="no time"))  # type: ignore[arg-type]
    replay = Replay(journal, noted=everything_noted, clock=lambda: NOW, contain=InternalErrors().contain)
    found = await replay.page(ReplayRequest.model_validate(request))
    return [event.seq for event in found.events], found.next_seq


@pytest.mark.parametrize(
    ("bad", "limit", "expected"),
    [(2, 10, ([1, 3, 4], None)), (2, 2, ([1], 2)), (1, 1, ([], 1)), (4, 10, ([1, 2, 3], None)), (4, 3, ([1, 2, 3], 3))],
)
async def test_event_that_cannot_be_encoded_is_left_out_of_its_page(
    bad: int, limit: int, expected: tuple[list[int], int | None]
) -> None:
    with capture_logs() as lines:
        assert await page_with_a_bug(DeliveredInMemory(entries(4)), bad, since_seq=0, limit=limit) == expected
    assert len(lines) == (bad <= limit)


def seqs(said: Any) -> list[int]:
    return [event["seq"] for event in said["data"]["events"]]


async def test_events_come_again_with_the_bytes_with_which_they_were_published() -> None:
    known = entries(3)
    response = await answer(DeliveredInMemory(known), {"since_seq": 1, "transaction": "t"})
    events = b",".join(map(encode_event, known[1:]))
    expected = b'{"status":"ok","data":{"events":[' + events + b'],"next_seq":null},"transaction":"t"}'
    assert response.encode() == expected


async def test_next_seq_leads_from_page_to_page_until_there_is_no_more() -> None:
    journal = DeliveredInMemory(entries(7))
    pages: list[list[int]] = []
    next_seq: int | None = 0
    while next_seq is not None:
        said = await ask(journal, {"since_seq": next_seq, "limit": 3})
        pages.append(seqs(said))
        next_seq = said["data"]["next_seq"]
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]


async def test_where_nothing_is_left_the_answer_is_empty() -> None:
    assert (await ask(DeliveredInMemory(entries(2)), b"2"))["data"] == {"events": [], "next_seq": None}


async def test_a_hundred_events_come_where_no_limit_is_given() -> None:
    said = await ask(DeliveredInMemory(entries(101)), b"0")
    assert (len(seqs(said)), said["data"]["next_seq"]) == (100, 100)


@pytest.mark.parametrize("room", [LARGEST_ANSWER, 10 * LARGEST_ANSWER, 20_000, 5_000])
async def test_a_page_ends_where_the_answer_would_be_too_large(room: int) -> None:
    transaction = "\0" * 256
    request = {"since_seq": 0, "limit": 500, "transaction": transaction}
    response = await answer(DeliveredInMemory(entries(500, note="x" * 100)), request, room=room)
    bound = min(room, LARGEST_ANSWER)
    assert bound - 2500 < len(response.encode()) <= bound
    assert response.data["next_seq"] == len(response.data["events"])


async def test_however_little_room_there_is_it_goes_on_by_one_event() -> None:
    said = await ask(DeliveredInMemory(entries(3)), b"1", room=10)
    assert (seqs(said), said["data"]["next_seq"]) == ([2], 2)


@pytest.mark.parametrize(
    ("payload", "since"),
    [
        (b"4711", None),
        (b'"4711"', None),
        ({"since_seq": 4711}, None),
        ({"since_seq": 4711, "since": None}, None),
        (b"1h", NOW - 3600),
        (b" 30 m\n", NOW - 1800),
        ({"since": "7d"}, NOW - 604_800),
        ({"since": "0.5h", "since_seq": None}, NOW - 1800),
        (b"2026-11-24T12:00:00+00:00", 1_795_521_600.0),
        ({"since": "2026-11-24T13:00:00.250+01:00"}, 1_795_521_600.25),
        ({"since": "2026-11-24T12:00:00Z"}, 1_795_521_600.0),
        ({"since": "0001-01-01T00:00:00+23:00"}, datetime(1, 1, 1, tzinfo=UTC).timestamp() - 23 * 3600),
    ],
)
async def test_it_begins_after_a_seq_or_at_a_time_or_an_age(payload: Any, since: float | None) -> None:
    journal = DeliveredInMemory()
    assert (await ask(journal, payload))["status"] == "ok"
    assert journal.asked == [(since, Selection())]


@pytest.mark.parametrize(
    ("choice", "only"),
    [
        ({}, Selection()),
        ({"kind": "clan"}, Selection(kinds=frozenset({Kind.CLAN, Kind.WAR}))),
        ({"kind": "player", "tag": "8qq"}, Selection(kinds=frozenset({Kind.PLAYER}), tag="#8QQ")),
        ({"kind": "api"}, Selection(kinds=frozenset({Kind.API}))),
        ({"tag": "#2PO", "event_type": "war_ended"}, Selection(tag="#2P0", event_type="war_ended")),
        ({"kind": None, "tag": None, "event_type": None}, Selection()),
    ],
)
async def test_it_can_be_of_a_kind_a_tag_and_a_type_alone(choice: dict[str, Any], only: Selection) -> None:
    journal = DeliveredInMemory()
    await ask(journal, {"since_seq": 0, **choice})
    assert journal.asked == [(None, only)]


BEGIN = "say where to begin: give either since_seq or since"
TIME = "since: must be a time with its offset, such as 2026-11-24T12:00:00+00:00, or an age, such as 1h"


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", BEGIN),
        ({"since_seq": 1, "since": "1h"}, BEGIN),
        ({"since_seq": None, "since": None}, BEGIN),
        (b"yesterday", TIME),
        (b"2026-11-24T12:00:00", TIME),
        ({"since": "2026-11-24"}, TIME),
        ({"since": "4711"}, TIME),
        ({"since": 4711}, TIME),
        ({"since": "-1h"}, TIME),
        (b"9" * 5000, TIME),
        (b"9" * 50 + b"d", TIME),
        (b"9" * 19, "since_seq: input should be less than or equal to 9223372036854775807"),
        ({"since_seq": -1}, "since_seq: input should be greater than or equal to 0"),
        ({"since_seq": "1"}, "since_seq: input should be a valid integer"),
        ({"since_seq": True}, "since_seq: input should be a valid integer"),
        ({"since_seq": 1, "limit": 0}, "limit: input should be greater than or equal to 1"),
        ({"since_seq": 1, "limit": 501}, "limit: input should be less than or equal to 500"),
        ({"since_seq": 1, "kind": "war"}, "kind: input should be 'clan', 'player' or 'api'"),
        ({"since_seq": 1, "kind": "api", "tag": "#2PP"}, "the API has no tag: leave it out"),
        ({"since_seq": 1, "event_type": "war"}, "'war' is no type of event: write one such as member_joined"),
        ({"since_seq": 1, "seq": 1}, "'seq' is no key of this command"),
    ],
)
async def test_what_makes_no_sense_is_answered_by_one_clear_sentence(payload: Any, error: str) -> None:
    journal = DeliveredInMemory(entries(3))
    said = await ask(journal, payload)
    assert (said["status"], said["data"]) == ("error", {})
    assert error in said["error"]
    assert journal.asked == []


async def test_the_journal_is_asked_only_after_it_has_noted_what_the_broker_acknowledged() -> None:
    journal = DeliveredInMemory(entries(1))

    async def note_two_more() -> None:
        journal.entries = entries(3)

    replay = Replay(journal, noted=note_two_more)
    asked = Commands(WatchedInMemory(), health=health, replay=replay, log_level=LevelInMemory())
    response = await asked.answer("replay", b"0")
    assert seqs(orjson.loads(response.encode())) == [1, 2, 3]
