"""The command ``replay``: delivered events, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import CLAN_PARTS, PLAYER_PARTS, Kind
from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal.protocol import JournalEntry, Selection
from coc2mqtt.mqtt.control.commands import MAX_RESPONSE_BYTES, CommandContext
from coc2mqtt.mqtt.control.dispatcher import CommandDispatcher
from coc2mqtt.mqtt.control.replay import Replay, ReplayRequest
from coc2mqtt.mqtt.payloads.models import EventPayload
from tests.support.control import (
    DeliveredInMemory,
    LogLevelInMemory,
    WatchesInMemory,
    dispatcher,
    health,
    nothing_to_flush,
)

if TYPE_CHECKING:
    from coc2mqtt.mqtt.payloads.models import ResponsePayload

NOW = 1_800_000_000.0  # the time of the dispatcher's clock


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


async def execute(journal: DeliveredInMemory, payload: bytes | dict[str, Any], **options: Any) -> ResponsePayload:
    payload = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return await dispatcher(WatchesInMemory(), journal=journal.journal).execute("replay", payload, **options)


async def replay(journal: DeliveredInMemory, payload: bytes | dict[str, Any], **options: Any) -> Any:
    """Execute a request and return the decoded response."""
    return orjson.loads((await execute(journal, payload, **options)).encode())


async def page_with_a_bug(journal: DeliveredInMemory, bad: int, **request: Any) -> tuple[list[int], int | None]:
    """Return the seqs and the ``next_seq`` of a page with an event that cannot be encoded."""
    entry = journal.entries[bad - 1]
    journal.entries[bad - 1] = replace(entry, record=replace(entry.record, timestamp="no time"))  # type: ignore[arg-type]
    contain = InternalErrors().contain
    pages = Replay(journal.journal, flush_acks=nothing_to_flush, clock=lambda: NOW, contain=contain)
    found = await pages.page(ReplayRequest.model_validate(request))
    return [event.seq for event in found.events], found.next_seq


@pytest.mark.parametrize(
    ("bad", "limit", "expected"),
    [(2, 10, ([1, 3, 4], None)), (2, 2, ([1], 2)), (1, 1, ([], 1)), (4, 10, ([1, 2, 3], None)), (4, 3, ([1, 2, 3], 3))],
)
async def test_event_that_cannot_be_encoded_is_skipped(
    bad: int, limit: int, expected: tuple[list[int], int | None]
) -> None:
    with capture_logs() as lines:
        assert await page_with_a_bug(DeliveredInMemory(entries(4)), bad, since_seq=0, limit=limit) == expected
    assert len(lines) == (bad <= limit)


def seqs(response: Any) -> list[int]:
    return [event["seq"] for event in response["data"]["events"]]


async def test_replayed_events_are_identical_to_published_ones() -> None:
    delivered = entries(3)
    response = await execute(DeliveredInMemory(delivered), {"since_seq": 1, "transaction": "t"})
    events = b",".join(EventPayload.of(entry).encode() for entry in delivered[1:])
    expected = b'{"status":"ok","data":{"events":[' + events + b'],"next_seq":null},"transaction":"t"}'
    assert response.encode() == expected


async def test_next_seq_leads_through_all_pages() -> None:
    journal = DeliveredInMemory(entries(7))
    pages: list[list[int]] = []
    next_seq: int | None = 0
    while next_seq is not None:
        response = await replay(journal, {"since_seq": next_seq, "limit": 3})
        pages.append(seqs(response))
        next_seq = response["data"]["next_seq"]
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]


async def test_page_after_last_event_is_empty() -> None:
    assert (await replay(DeliveredInMemory(entries(2)), b"2"))["data"] == {"events": [], "next_seq": None}


async def test_default_limit_is_a_hundred_events() -> None:
    response = await replay(DeliveredInMemory(entries(101)), b"0")
    assert (len(seqs(response)), response["data"]["next_seq"]) == (100, 100)


@pytest.mark.parametrize("max_bytes", [MAX_RESPONSE_BYTES, 10 * MAX_RESPONSE_BYTES, 20_000, 5_000])
async def test_page_ends_before_response_exceeds_max_bytes(max_bytes: int) -> None:
    transaction = "\0" * 256
    request = {"since_seq": 0, "limit": 500, "transaction": transaction}
    response = await execute(DeliveredInMemory(entries(500, note="x" * 100)), request, max_response_bytes=max_bytes)
    limit = min(max_bytes, MAX_RESPONSE_BYTES)
    assert limit - 2500 < len(response.encode()) <= limit
    assert response.data["next_seq"] == len(response.data["events"])


async def test_page_contains_an_event_even_if_it_exceeds_max_bytes() -> None:
    response = await replay(DeliveredInMemory(entries(3)), b"1", max_response_bytes=10)
    assert (seqs(response), response["data"]["next_seq"]) == ([2], 2)


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
async def test_replay_starts_after_seq_or_at_time_or_age(payload: Any, since: float | None) -> None:
    journal = DeliveredInMemory()
    assert (await replay(journal, payload))["status"] == "ok"
    assert journal.calls == [(since, Selection())]


@pytest.mark.parametrize(
    ("keys", "selection"),
    [
        ({}, Selection()),
        ({"kind": "clan"}, Selection(kinds=frozenset({Kind.CLAN, *CLAN_PARTS}))),
        ({"kind": "player", "tag": "8qq"}, Selection(kinds=frozenset({Kind.PLAYER, *PLAYER_PARTS}), tag="#8QQ")),
        ({"kind": "api"}, Selection(kinds=frozenset({Kind.API, Kind.CALENDAR}))),
        ({"tag": "#2PO", "event_type": "war_ended"}, Selection(tag="#2P0", event_type="war_ended")),
        ({"kind": None, "tag": None, "event_type": None}, Selection()),
    ],
)
async def test_replay_selects_by_kind_tag_and_event_type(keys: dict[str, Any], selection: Selection) -> None:
    journal = DeliveredInMemory()
    await replay(journal, {"since_seq": 0, **keys})
    assert journal.calls == [(None, selection)]


ONE_OF = "give exactly one of since_seq and since"
TIME = "since: must be a time with its offset, such as 2026-11-24T12:00:00+00:00, or an age, such as 1h"


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", ONE_OF),
        ({"since_seq": 1, "since": "1h"}, ONE_OF),
        ({"since_seq": None, "since": None}, ONE_OF),
        (b"yesterday", TIME),
        (b"2026-11-24T12:00:00", TIME),
        ({"since": "2026-11-24"}, TIME),
        ({"since": "4711"}, TIME),
        ({"since": 4711}, TIME),
        ({"since": "-1h"}, TIME),
        (b"9" * 5000, TIME),
        (b"9" * 50 + b"d", TIME),
        (b"9" * 19, "since_seq: must be at most 9223372036854775807"),
        ({"since_seq": -1}, "since_seq: must be at least 0"),
        ({"since_seq": "1"}, "since_seq: must be a whole number, got '1'"),
        ({"since_seq": True}, "since_seq: must be a whole number, got true"),
        ({"since_seq": 1, "limit": 0}, "limit: must be at least 1"),
        ({"since_seq": 1, "limit": 501}, "limit: must be at most 500"),
        ({"since_seq": 1, "kind": "war"}, "kind: must be 'clan', 'player' or 'api'"),
        ({"since_seq": 1, "kind": "api", "tag": "#2PP"}, "events of the API have no tag: remove it"),
        ({"since_seq": 1, "event_type": "war"}, "event_type: unknown event type 'war': use one such as member_joined"),
        ({"since_seq": 1, "seq": 1}, "unknown key 'seq'"),
    ],
)
async def test_invalid_request_gets_error_and_reads_no_events(payload: Any, error: str) -> None:
    journal = DeliveredInMemory(entries(3))
    response = await replay(journal, payload)
    assert (response["status"], response["data"]) == ("error", {})
    assert error in response["error"]
    assert journal.calls == []


async def test_journal_is_read_after_acknowledgements_are_flushed() -> None:
    journal = DeliveredInMemory(entries(1))

    async def flush_two_more() -> None:
        journal.entries = entries(3)

    pages = Replay(journal.journal, flush_acks=flush_two_more)
    context = CommandContext(WatchesInMemory(), health=health, replay=pages, log_level=LogLevelInMemory())
    response = await CommandDispatcher(context).execute("replay", b"0")
    assert seqs(orjson.loads(response.encode())) == [1, 2, 3]
