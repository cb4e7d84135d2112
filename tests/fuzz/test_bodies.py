"""Any reply of the API results only in events that can be published, and never in an invalid snapshot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.clash import ApiResponse, ClashError
from coc2mqtt.clash.error_response import ErrorResponse
from coc2mqtt.clash.response import parse_max_age, parse_retry_after
from coc2mqtt.events.resource import Kind
from tests.fuzz.examples import fuzzed
from tests.fuzz.fake_poller import API_EVENT_TYPES, FakePoller, Reply, is_unusable
from tests.fuzz.malformed import ANY_BYTES, corrupted, difference, mutated, to_bytes
from tests.fuzz.valid_bodies import NOON, game

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn
    from hypothesis.vendor.pretty import RepresentationPrinter

    from coc2mqtt.journal import JournalEntry

pytestmark = pytest.mark.fuzz

KINDS = [Kind.CLAN, Kind.WAR, Kind.RAID, Kind.PLAYER]
# Longer than a suspicious response is deferred (seconds).
CONFIRMATION_TIMEOUT_S = 140.0
CACHE_CONTROL = st.sampled_from(["", "max-age=60", "public max-age=600", "max-age=-1", "max-age=1e9", "no-store", "\0"])
RETRY_AFTER = st.sampled_from(
    ["", "5", "-1", "1e9", "9" * 20, "soon", "Mon, 01 Jan 2027 00:00:00 GMT", "Mon, 99 Foo 0000 99:99:99 +9999"]
) | st.text(max_size=20)
STATUS = st.sampled_from([*(201, 204, 206, 301, 304, 400, 401, 403, 404, 418, 429, 500, 502, 503, 504, 520, 599, 999)])


@st.composite
def error_responses(draw: DrawFn, body: bytes) -> Reply:
    return ErrorResponse(
        status=draw(STATUS),
        body=body,
        subject="clan #2PP",
        token="the token",
        needs_war_log=draw(st.booleans()),
        max_age=parse_max_age(draw(CACHE_CONTROL)),
        retry_after=parse_retry_after(draw(RETRY_AFTER), now=NOON.timestamp()),
    ).to_error()


@st.composite
def replies(draw: DrawFn, good: dict[str, Any]) -> Reply:
    """A mutated reply, in most cases almost valid."""
    how = draw(st.integers(0, 9))
    body = (
        draw(ANY_BYTES)
        if how == 0
        else draw(corrupted(orjson.dumps(good)))
        if how == 1
        else to_bytes(draw(mutated(good)))
    )
    return draw(error_responses(body)) if how == 2 else ApiResponse(200, body, 0.0)


@dataclass(frozen=True)
class History:
    """A valid body, mutated replies with the seconds before each, and a valid body at the end.

    ``other_replies`` are those for the opponent and the war log of a clan, and for its past raid weekends.
    """

    kind: Kind
    first: int
    mutated: list[tuple[Reply, float]]
    last: int
    other_replies: dict[str, Reply]

    def _repr_pretty_(self, printer: RepresentationPrinter, _cycle: bool) -> None:
        printer.text(str(self))

    def __str__(self) -> str:
        reply = [(after, describe(self.kind, one)) for one, after in self.mutated]
        return f"{self.kind} {self.first} to {self.last}: {reply}, elsewhere {self.other_replies.keys()}"

    def good(self, number: int) -> ApiResponse:
        return ApiResponse(200, orjson.dumps(game().bodies[self.kind][number]), 0.0)


@st.composite
def histories(draw: DrawFn, kind: Kind) -> History:
    bodies = game().bodies[kind]
    first = draw(st.integers(0, len(bodies) - 1))
    last = draw(st.integers(first, min(first + 3, len(bodies) - 1)))
    mutated = [
        (
            draw(replies(bodies[draw(st.integers(first, last))])),
            draw(st.sampled_from([1.0, 60.0, CONFIRMATION_TIMEOUT_S])),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    other_replies = {}
    if kind is Kind.WAR:
        for path, known in (("currentwar", bodies), ("warlog", game().war_logs)):
            other_replies[path] = draw(replies(known[draw(st.integers(0, len(known) - 1))]))
    if kind is Kind.RAID:
        other_replies["capitalraidseasons"] = draw(replies(bodies[first]))
    return History(kind, first, mutated, last, other_replies)


def describe(kind: Kind, reply: Reply) -> str:
    """Return a short description of a reply."""
    if not isinstance(reply, ApiResponse):
        return reply.kind
    try:
        odd = [list(difference(good, reply.data)) for good in game().bodies[kind]]
    except ClashError:
        return f"{len(reply.body)} bytes: {reply.body[:40]!r} ... {reply.body[-40:]!r}"
    return f"{len(reply.body)} bytes: {min(odd, key=len)[:9]}"


def reported_changes(entries: list[JournalEntry]) -> Counter[bytes]:
    """Return the reported changes in the game, without times and without differences between two runs."""
    unlike = {"catch_up", "snapshot_age_seconds"}
    return Counter(
        orjson.dumps(
            [
                entry.record.event_type,
                entry.record.summary,
                entry.record.changes,
                {key: value for key, value in entry.record.metadata.items() if key not in unlike},
            ]
        )
        for entry in entries
        if entry.record.event_type not in API_EVENT_TYPES
    )


def poll_until_accepted(poller: FakePoller, reply: ApiResponse) -> Counter[bytes]:
    """Poll the same valid reply until it is accepted, and return the reported changes."""
    return reported_changes(
        [entry for _ in range(6) for entry in poller.poll(reply, seconds_later=CONFIRMATION_TIMEOUT_S)]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_any_reply_keeps_the_snapshot_valid(kind: Kind, count_example: Callable[[], None]) -> None:
    tag = game().tags[kind]

    @fuzzed(short=150, long=5000)
    @given(histories(kind))
    def check_history(history: History) -> None:
        count_example()
        poller = FakePoller(kind, tag, now=NOON.timestamp(), other_replies=history.other_replies)
        poller.poll(history.good(history.first))
        for reply, after in history.mutated:
            before = poller.data
            events = poller.poll(reply, seconds_later=after)
            if is_unusable(poller.resource, reply):
                assert poller.data == before
                assert {entry.record.event_type for entry in events} <= API_EVENT_TYPES
        # A second poller starts from the current snapshots, as after a restart.
        again = FakePoller(kind, tag, now=poller.now, other_replies=history.other_replies)
        again.store.snapshots = dict(poller.store.snapshots)
        last = history.good(history.last)
        assert poll_until_accepted(poller, last) == poll_until_accepted(again, last)
        assert poller.data == again.data

    check_history()


@pytest.mark.parametrize("kind", KINDS)
def test_unusable_replies_do_not_change_later_events(kind: Kind, count_example: Callable[[], None]) -> None:
    tag = game().tags[kind]

    @fuzzed(short=100, long=2000)
    @given(histories(kind))
    def check_history(history: History) -> None:
        count_example()
        pollers = [FakePoller(kind, tag, now=NOON.timestamp(), other_replies=history.other_replies) for _ in range(2)]
        for poller in pollers:
            poller.poll(history.good(history.first))
        for reply, after in history.mutated:
            if is_unusable(pollers[0].resource, reply):
                pollers[0].poll(reply, seconds_later=after)
        pollers[1].now = pollers[0].now
        last = history.good(history.last)
        assert poll_until_accepted(pollers[0], last) == poll_until_accepted(pollers[1], last)
        assert pollers[0].data == pollers[1].data

    check_history()
