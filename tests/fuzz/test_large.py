"""A large response does not block the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.clash import ApiResponse
from coc2mqtt.events.resource import Kind
from tests.fuzz.fake_poller import FakePoller
from tests.fuzz.valid_bodies import NOON, game

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.fuzz

# The size of most responses, and the number of entries of about this size.
BODY_BYTES = 400_000
ENTRIES = 18_000


def tags(first: int) -> list[str]:
    return [f"#{number:x}" for number in range(first, first + ENTRIES)]


def deep(leaf: int) -> Any:
    """Return hundreds of thousands of values in nested lists with two items each."""
    value: Any = leaf
    for _ in range(15):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("kind", "field", "fill"),
    [
        (Kind.CLAN, "new", lambda first: list(range(first, first + ENTRIES))),
        (Kind.CLAN, "new", lambda first: [{"name": tag, "level": first} for tag in tags(0)]),
        (Kind.CLAN, "new", lambda first: dict.fromkeys(tags(first), first)),
        (Kind.CLAN, "new", deep),
        (Kind.CLAN, "memberList", lambda first: [{"tag": tag} for tag in tags(first)]),
        (Kind.PLAYER, "new", lambda first: list(range(first, first + ENTRIES))[:: 1 if first else -1]),
        (Kind.PLAYER, "labels", lambda first: [{"name": tag} for tag in tags(first)]),
        (Kind.PLAYER, "troops", lambda first: [{"name": tag, "level": first} for tag in tags(0)]),
        (Kind.PLAYER, "achievements", lambda first: [{"name": tag, "stars": 3 if first else 1} for tag in tags(0)]),
        (Kind.WAR, "new", lambda first: list(range(first, first + ENTRIES))),
        (Kind.WAR, "preparationStartTime", lambda first: f"2026112{first}T080000.000Z" + "x" * BODY_BYTES),
        (Kind.PLAYER, "name", lambda first: f"{first}" * BODY_BYTES),
    ],
)
def test_large_response_is_compared_in_time_into_few_events(kind: Kind, field: str, fill: Callable[[int], Any]) -> None:
    good = next(body for body in game().bodies[kind] if body.get("state", "inWar") == "inWar")
    nothing = ApiResponse(200, b"{}", 0.0)
    poller = FakePoller(
        kind, game().tags[kind], now=NOON.timestamp(), other_replies={"currentwar": nothing, "warlog": nothing}
    )
    poller.poll(ApiResponse(200, orjson.dumps(good), 0.0))
    for first in (0, 1):
        body = orjson.dumps({**good, field: fill(first)})
        assert BODY_BYTES / 5 < len(body) < 512 * 1024
        # Each poll checks its time, and the size of events and states.
        poller.poll(ApiResponse(200, body, 0.0), seconds_later=200)
    assert len(poller.store.entries) < 20


def test_response_over_512_kb_is_rejected() -> None:
    poller = FakePoller(Kind.CLAN, game().tags[Kind.CLAN], now=NOON.timestamp(), other_replies={})
    good = orjson.dumps(game().bodies[Kind.CLAN][0])
    assert poller.poll(ApiResponse(200, good, 0.0)) == []
    before = poller.data
    (entry,) = poller.poll(ApiResponse(200, good + b" " * 512 * 1024, 0.0))
    assert entry.record.metadata["message"] == "the response is larger than 512 kB: the response is ignored"
    assert poller.data == before
