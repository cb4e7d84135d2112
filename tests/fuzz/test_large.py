"""A large answer holds up nothing for long."""

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

# Of most of an answer, and how many entries are as large.
SIZE = 400_000
MANY = 18_000


def tags(first: int) -> list[str]:
    return [f"#{number:x}" for number in range(first, first + MANY)]


def deep(leaf: int) -> Any:
    """Hundreds of thousands of values, of which each list holds few."""
    value: Any = leaf
    for _ in range(15):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("kind", "field", "fill"),
    [
        (Kind.CLAN, "new", lambda first: list(range(first, first + MANY))),
        (Kind.CLAN, "new", lambda first: [{"name": tag, "level": first} for tag in tags(0)]),
        (Kind.CLAN, "new", lambda first: dict.fromkeys(tags(first), first)),
        (Kind.CLAN, "new", deep),
        (Kind.CLAN, "memberList", lambda first: [{"tag": tag} for tag in tags(first)]),
        (Kind.PLAYER, "new", lambda first: list(range(first, first + MANY))[:: 1 if first else -1]),
        (Kind.PLAYER, "labels", lambda first: [{"name": tag} for tag in tags(first)]),
        (Kind.PLAYER, "troops", lambda first: [{"name": tag, "level": first} for tag in tags(0)]),
        (Kind.PLAYER, "achievements", lambda first: [{"name": tag, "stars": 3 if first else 1} for tag in tags(0)]),
        (Kind.WAR, "new", lambda first: list(range(first, first + MANY))),
        (Kind.WAR, "preparationStartTime", lambda first: f"2026112{first}T080000.000Z" + "x" * SIZE),
        (Kind.PLAYER, "name", lambda first: f"{first}" * SIZE),
    ],
)
def test_a_large_answer_is_compared_in_time_and_told_in_few_words(
    kind: Kind, field: str, fill: Callable[[int], Any]
) -> None:
    good = next(body for body in game().bodies[kind] if body.get("state", "inWar") == "inWar")
    nothing = ApiResponse(200, b"{}", 0.0)
    believer = FakePoller(
        kind, game().tags[kind], now=NOON.timestamp(), elsewhere={"currentwar": nothing, "warlog": nothing}
    )
    believer.see(ApiResponse(200, orjson.dumps(good), 0.0))
    for first in (0, 1):
        body = orjson.dumps({**good, field: fill(first)})
        assert SIZE / 5 < len(body) < 512 * 1024
        # Each poll has its time measured, and each event and state its size.
        believer.see(ApiResponse(200, body, 0.0), after=200)
    assert len(believer.store.entries) < 20


def test_an_answer_larger_than_any_of_the_game_is_refused() -> None:
    believer = FakePoller(Kind.CLAN, game().tags[Kind.CLAN], now=NOON.timestamp(), elsewhere={})
    good = orjson.dumps(game().bodies[Kind.CLAN][0])
    assert believer.see(ApiResponse(200, good, 0.0)) == []
    before = believer.data
    (entry,) = believer.see(ApiResponse(200, good + b" " * 512 * 1024, 0.0))
    assert entry.record.metadata["message"] == "the response is larger than 512 kB: the response is ignored"
    assert believer.data == before
