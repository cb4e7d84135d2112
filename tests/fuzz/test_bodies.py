"""Whatever the API says: nothing but events that can be published comes of it, and what is believed is never spoilt."""

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
from tests.fuzz.fake_poller import TROUBLE, FakePoller, Reply, is_bad
from tests.fuzz.malformed import ANYTHING, corrupted, difference, mutated, written
from tests.fuzz.valid_bodies import NOON, game

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn
    from hypothesis.vendor.pretty import RepresentationPrinter

    from coc2mqtt.journal import JournalEntry

pytestmark = pytest.mark.fuzz

KINDS = [Kind.CLAN, Kind.WAR, Kind.PLAYER]
# Longer than any answer is doubted (seconds).
PATIENCE = 140.0
CACHE_CONTROL = st.sampled_from(["", "max-age=60", "public max-age=600", "max-age=-1", "max-age=1e9", "no-store", "\0"])
RETRY_AFTER = st.sampled_from(
    ["", "5", "-1", "1e9", "9" * 20, "soon", "Mon, 01 Jan 2027 00:00:00 GMT", "Mon, 99 Foo 0000 99:99:99 +9999"]
) | st.text(max_size=20)
STATUS = st.sampled_from([*(201, 204, 206, 301, 304, 400, 401, 403, 404, 418, 429, 500, 502, 503, 504, 520, 599, 999)])


@st.composite
def refusals(draw: DrawFn, body: bytes) -> Reply:
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
def answers(draw: DrawFn, good: dict[str, Any]) -> Reply:
    """A spoilt answer: most of them nearly good."""
    how = draw(st.integers(0, 9))
    body = (
        draw(ANYTHING)
        if how == 0
        else draw(corrupted(orjson.dumps(good)))
        if how == 1
        else written(draw(mutated(good)))
    )
    return draw(refusals(body)) if how == 2 else ApiResponse(200, body, 0.0)


@dataclass(frozen=True)
class History:
    """What is good at first, spoilt answers, each so many seconds after the one before, and what is good at last.

    ``elsewhere`` is what a clan's opponent and war log say.
    """

    kind: Kind
    first: int
    mutated: list[tuple[Reply, float]]
    last: int
    elsewhere: dict[str, Reply]

    def _repr_pretty_(self, printer: RepresentationPrinter, _cycle: bool) -> None:
        printer.text(str(self))

    def __str__(self) -> str:
        said = [(after, shown(self.kind, one)) for one, after in self.mutated]
        return f"{self.kind} {self.first} to {self.last}: {said}, elsewhere {self.elsewhere.keys()}"

    def good(self, number: int) -> ApiResponse:
        return ApiResponse(200, orjson.dumps(game().bodies[self.kind][number]), 0.0)


@st.composite
def histories(draw: DrawFn, kind: Kind) -> History:
    bodies = game().bodies[kind]
    first = draw(st.integers(0, len(bodies) - 1))
    last = draw(st.integers(first, min(first + 3, len(bodies) - 1)))
    mutated = [
        (draw(answers(bodies[draw(st.integers(first, last))])), draw(st.sampled_from([1.0, 60.0, PATIENCE])))
        for _ in range(draw(st.integers(1, 3)))
    ]
    elsewhere = {}
    if kind is Kind.WAR:
        for path, known in (("currentwar", bodies), ("warlog", game().war_logs)):
            elsewhere[path] = draw(answers(known[draw(st.integers(0, len(known) - 1))]))
    return History(kind, first, mutated, last, elsewhere)


def shown(kind: Kind, said: Reply) -> str:
    """Return few words about an answer."""
    if not isinstance(said, ApiResponse):
        return said.kind
    try:
        odd = [list(difference(good, said.data)) for good in game().bodies[kind]]
    except ClashError:
        return f"{len(said.body)} bytes: {said.body[:40]!r} ... {said.body[-40:]!r}"
    return f"{len(said.body)} bytes: {min(odd, key=len)[:9]}"


def told(entries: list[JournalEntry]) -> Counter[bytes]:
    """What was told of the game, without when, and without the difference between two runs."""
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
        if entry.record.event_type not in TROUBLE
    )


def settle(believer: FakePoller, answer: ApiResponse) -> Counter[bytes]:
    """See the same good answer until it is believed, whatever keeps it back, and return what that told."""
    return told([entry for _ in range(6) for entry in believer.see(answer, after=PATIENCE)])


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_spoils_what_is_believed(kind: Kind, tried: Callable[[], None]) -> None:
    tag = game().tags[kind]

    @fuzzed(short=150, long=5000)
    @given(histories(kind))
    def see(history: History) -> None:
        tried()
        believer = FakePoller(kind, tag, now=NOON.timestamp(), elsewhere=history.elsewhere)
        believer.see(history.good(history.first))
        for said, after in history.mutated:
            before = believer.data
            events = believer.see(said, after=after)
            if is_bad(believer.resource, said):
                assert believer.data == before
                assert {entry.record.event_type for entry in events} <= TROUBLE
        # As if the program had begun anew with what is believed now.
        again = FakePoller(kind, tag, now=believer.now, elsewhere=history.elsewhere)
        again.store.snapshots = dict(believer.store.snapshots)
        last = history.good(history.last)
        assert settle(believer, last) == settle(again, last)
        assert believer.data == again.data

    see()


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_answer_can_be_changes_nothing_of_what_is_told_afterwards(
    kind: Kind, tried: Callable[[], None]
) -> None:
    tag = game().tags[kind]

    @fuzzed(short=100, long=2000)
    @given(histories(kind))
    def see(history: History) -> None:
        tried()
        believers = [FakePoller(kind, tag, now=NOON.timestamp(), elsewhere=history.elsewhere) for _ in range(2)]
        for believer in believers:
            believer.see(history.good(history.first))
        for said, after in history.mutated:
            if is_bad(believers[0].resource, said):
                believers[0].see(said, after=after)
        believers[1].now = believers[0].now
        last = history.good(history.last)
        assert settle(believers[0], last) == settle(believers[1], last)
        assert believers[0].data == believers[1].data

    see()
